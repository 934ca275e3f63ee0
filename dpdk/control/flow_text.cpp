// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/flow_text.hpp"

#include <fmt/compile.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "dpdk/config/protocol_names.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/control/flow_states.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::dpdk {

namespace {

using Out = fmt::memory_buffer;

template <class Format, class First, class... Others>
void add(Out& out, const Format& format, const First& first, const Others&... others) {
    fmt::format_to(std::back_inserter(out), format, first, others...);
}
void add(Out& out, std::string_view text) {
    out.append(text.data(), text.data() + text.size());
}

void add_address(Out& out, const V4Address& address) {
    const std::uint32_t host = address.value.host();
    add(out, FMT_COMPILE("{}.{}.{}.{}"), host >> 24, host >> 16 & 255U, host >> 8 & 255U,
        host & 255U);
}

void add_side_object(Out& out, const Tuple<V4>& tuple, std::uint64_t packets, std::uint64_t bytes) {
    add(out, R"({"source":")");
    add_address(out, tuple.source);
    add(out, R"(","destination":")");
    add_address(out, tuple.destination);
    add(out, FMT_COMPILE(R"(","source_port":{},"destination_port":{},"packets":{},"bytes":{}}})"),
        tuple.source_port.host(), tuple.destination_port.host(), packets, bytes);
}

void add_end_object(Out& out, const V4Address& address, Be16 port) {
    add(out, R"({"address":")");
    add_address(out, address);
    add(out, FMT_COMPILE(R"(","port":{}}})"), port.host());
}

void add_end(Out& out, const V4Address& address, Be16 port) {
    add_address(out, address);
    add(out, FMT_COMPILE(":{}"), port.host());
}

enum class Side { original, reply };

void add_side(Out& out, const FlowView& flow, Side side) {
    const bool original = side == Side::original;
    const Tuple<V4>& tuple = original ? flow.original : flow.reply;
    const auto at = static_cast<std::size_t>(side);
    add(out, "src=");
    add_address(out, tuple.source);
    add(out, " dst=");
    add_address(out, tuple.destination);
    if (tuple.protocol == nat::ip_protocol::icmp) {
        // An echo's identifier is the source port of its request and the destination port of its
        // reply.
        add(out, FMT_COMPILE(" type={} code=0 id={}"), original ? 8 : 0,
            (original ? tuple.source_port : tuple.destination_port).host());
    } else {
        add(out, FMT_COMPILE(" sport={} dport={}"), tuple.source_port.host(),
            tuple.destination_port.host());
    }
    add(out, FMT_COMPILE(" packets={} bytes={}"), flow.packets[at], flow.bytes[at]);
}

/// "tcp      6 ", for each protocol number.
std::array<std::string, 256> protocol_columns() {
    std::array<std::string, 256> columns;
    for (unsigned number = 0; number < columns.size(); ++number)
        columns[number] =
            fmt::format("{:8} {} ", protocol_name(static_cast<std::uint8_t>(number)), number);
    return columns;
}

const std::string& protocol_column(std::uint8_t protocol) {
    static const std::array<std::string, 256> columns = protocol_columns();
    return columns[protocol];
}

std::string_view filtering_of(const FlowView& mapping) {
    return to_text(static_cast<nat::Filtering>(mapping.protocol_state));
}

std::string_view whole(const Out& out) {
    return {out.data(), out.size()};
}

}  // namespace

/// A reload may bring new rules while flows are listed.
const std::string& FlowText::rule(nat::RuleId id) {
    while (quoted_.size() <= id) {
        const auto next = static_cast<nat::RuleId>(quoted_.size());
        const std::string quoted = nlohmann::json(rules_.name_of(next)).dump();
        quoted_.push_back(quoted.substr(1, quoted.size() - 2));
    }
    return quoted_[id];
}

std::string_view FlowText::object(const FlowView& flow) {
    out_.clear();
    if (flow.is_wildcard() && !flow.is_incarnation()) {
        add_wildcard_object(flow);
        return whole(out_);
    }
    const std::string_view state = flow.state();
    const std::string_view quote = state.empty() ? "" : "\"";
    add(out_, R"({"protocol":")");
    add(out_, protocol_name(flow.original.protocol));
    add(out_, FMT_COMPILE(R"(","state":{}{}{},"timeout_s":{},"zone":{},"original":)"), quote,
        state.empty() ? "null" : state, quote, std::max(0, flow.timeout_ms / 1000),
        flow.original.zone);
    add_side_object(out_, flow.original, flow.packets[0], flow.bytes[0]);
    add(out_, R"(,"reply":)");
    add_side_object(out_, flow.reply, flow.packets[1], flow.bytes[1]);
    add(out_, FMT_COMPILE(R"(,"assured":{},"replied":{},"rule":"{}","worker":{}}})"),
        (flow.marks & flow_mark::assured) != 0, (flow.marks & flow_mark::replied) != 0,
        rule(flow.rule), flow.worker);
    return whole(out_);
}

std::string_view FlowText::line(const FlowView& flow) {
    out_.clear();
    out_.push_back('"');
    add(out_, protocol_column(flow.original.protocol));
    if (flow.is_wildcard() && !flow.is_incarnation()) {
        add_wildcard_line(flow);
        return whole(out_);
    }
    add(out_, FMT_COMPILE("{} "), std::max(0, flow.timeout_ms / 1000));
    if (const std::string_view state = flow.state(); !state.empty())
        add(out_, FMT_COMPILE("{} "), state);
    add_side(out_, flow, Side::original);
    add(out_, (flow.marks & flow_mark::replied) != 0 ? " " : " [UNREPLIED] ");
    add_side(out_, flow, Side::reply);
    if ((flow.marks & flow_mark::assured) != 0) add(out_, " [ASSURED]");
    add(out_, FMT_COMPILE(" zone={} rule={}\""), flow.original.zone, rule(flow.rule));
    return whole(out_);
}

/// Adds a mapping's outside endpoint and its filtering, or the address that a permission is for.
void FlowText::add_wildcard_object(const FlowView& flow) {
    const Tuple<V4>& original = flow.original;
    const Tuple<V4>& reply = flow.reply;
    add(out_, FMT_COMPILE(R"({{"protocol":"{}","state":"{}","zone":{},"outside":)"),
        protocol_name(original.protocol), flow.state(), original.zone);
    add_end_object(out_, reply.destination, reply.destination_port);
    if (flow.state() == mapping_state) {
        add(out_, R"(,"inside":)");
        add_end_object(out_, original.source, original.source_port);
        add(out_, FMT_COMPILE(R"(,"filtering":"{}")"), filtering_of(flow));
    } else {
        add(out_, R"(,"remote":")");
        add_address(out_, reply.source);
        out_.push_back('"');
    }
    add(out_, FMT_COMPILE(R"(,"references":{},"rule":"{}","worker":{}}})"), flow.references,
        rule(flow.rule), flow.worker);
}

void FlowText::add_wildcard_line(const FlowView& flow) {
    const bool mapping = flow.state() == mapping_state;
    add(out_, FMT_COMPILE("{} {}="), flow.state(), mapping ? "inside" : "remote");
    if (mapping)
        add_end(out_, flow.original.source, flow.original.source_port);
    else
        add_address(out_, flow.reply.source);
    add(out_, " outside=");
    add_end(out_, flow.reply.destination, flow.reply.destination_port);
    add(out_, FMT_COMPILE(" references={}"), flow.references);
    if (mapping) add(out_, FMT_COMPILE(" filtering={}"), filtering_of(flow));
    add(out_, FMT_COMPILE(" zone={} rule={}\""), flow.original.zone, rule(flow.rule));
}

}  // namespace noclash::dpdk
