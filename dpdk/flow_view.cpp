// SPDX-License-Identifier: Apache-2.0
#include "dpdk/flow_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dpdk/config_values.hpp"
#include "dpdk/protocol_names.hpp"
#include "engine/clock.hpp"
#include "nat/flow_end.hpp"
#include "nat/headers.hpp"
#include "nat/sctp.hpp"
#include "nat/tcp_state.hpp"

namespace noclash::dpdk {

namespace {

// What stands for a TCP state with what is no connection.
constexpr std::string_view mapping_state = "MAPPING";
constexpr std::string_view permission_state = "PERMISSION";
constexpr std::string_view incarnation_state = "INCARNATION";

[[noreturn]] void refuse(const std::string& key, std::string_view expected) {
    throw std::runtime_error(fmt::format("filter: {}: expected {}", key, expected));
}

Prefix<V4> to_prefix(const std::string& key, const nlohmann::json& value) {
    const auto parsed = value.is_string()
                            ? parse_address_with_length(value.get<std::string>(), std::uint8_t{32})
                            : std::nullopt;
    if (!parsed) refuse(key, "an address or a prefix such as 10.1.0.0/16");
    return {parsed->address, parsed->length};
}

std::uint16_t to_u16(const std::string& key, const nlohmann::json& value) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > 65535)
        refuse(key, "a number from 0 to 65535");
    return value.get<std::uint16_t>();
}

std::uint8_t to_protocol(const nlohmann::json& value) {
    const auto protocol =
        value.is_string() ? parse_protocol(value.get<std::string>()) : std::nullopt;
    if (!protocol) refuse("protocol", fmt::format("{}, or a number", known_protocols()));
    return *protocol;
}

std::string to_state(const nlohmann::json& value) {
    std::string name = value.is_string() ? value.get<std::string>() : "";
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
    if (name == mapping_state || name == permission_state || name == incarnation_state) return name;
    const auto is_of = [&](const auto& names) {
        return std::ranges::find(names, name) != names.end();
    };
    if (!is_of(nat::tcp_state_names) && !is_of(nat::sctp_state_names))
        refuse("state", fmt::format("{}, {}, one of {}, or of SCTP {}", mapping_state,
                                    permission_state, fmt::join(nat::tcp_state_names, ", "),
                                    fmt::join(nat::sctp_state_names, ", ")));
    return name;
}

std::string side_json(const Tuple<V4>& tuple, std::uint64_t packets, std::uint64_t bytes) {
    return fmt::format(
        R"({{"source":"{}","destination":"{}","source_port":{},"destination_port":{},"packets":{},"bytes":{}}})",
        to_string<V4>(tuple.source), to_string<V4>(tuple.destination), tuple.source_port.host(),
        tuple.destination_port.host(), packets, bytes);
}

std::string end_json(const V4Address& address, Be16 port) {
    return fmt::format(R"({{"address":"{}","port":{}}})", to_string<V4>(address), port.host());
}

/// Of a mapping: `outside` is whose, and who gets in. Of a permission: to which address.
std::string wildcard_json(const FlowView& view, const Config& config) {
    const Tuple<V4>& original = view.original;
    const Tuple<V4>& reply = view.reply;
    const std::string whose =
        view.state() == mapping_state
            ? fmt::format(R"("inside":{},"filtering":"{}")",
                          end_json(original.source, original.source_port),
                          to_text(static_cast<nat::Filtering>(view.protocol_state)))
            : fmt::format(R"("remote":"{}")", to_string<V4>(reply.source));
    return fmt::format(
        R"({{"protocol":"{}","state":"{}","zone":{},"outside":{},{},"references":{},"rule":{},"worker":{}}})",
        protocol_name(original.protocol), view.state(), original.zone,
        end_json(reply.destination, reply.destination_port), whose, view.references,
        nlohmann::json(config.policy.rules[view.rule].name).dump(), view.worker);
}

}  // namespace

std::string_view FlowView::state() const {
    if (original.reserved == nat::wildcard::remote) return mapping_state;
    if (original.reserved == nat::wildcard::remote_port) return permission_state;
    if (original.reserved == nat::wildcard::incarnation) return incarnation_state;
    switch (original.protocol) {
        case nat::ip_protocol::tcp:
            return nat::to_string(nat::TcpProgress(protocol_state).state());
        case nat::ip_protocol::sctp:
            return nat::to_string(static_cast<nat::SctpState>(protocol_state));
        default:
            return {};
    }
}

FlowFilter FlowFilter::parse(const nlohmann::json& filter) {
    FlowFilter result;
    if (filter.is_null()) return result;
    if (!filter.is_object()) throw std::runtime_error("filter: expected an object");
    for (const auto& [key, value] : filter.items()) {
        if (key == "source")
            result.source = to_prefix(key, value);
        else if (key == "destination")
            result.destination = to_prefix(key, value);
        else if (key == "address")
            result.address = to_prefix(key, value);
        else if (key == "port")
            result.port = to_u16(key, value);
        else if (key == "source_port")
            result.source_port = to_u16(key, value);
        else if (key == "destination_port")
            result.destination_port = to_u16(key, value);
        else if (key == "protocol")
            result.protocol = to_protocol(value);
        else if (key == "state")
            result.state = to_state(value);
        else if (key == "zone")
            result.zone = to_u16(key, value);
        else
            throw std::runtime_error(fmt::format("filter: {}: no such key", key));
    }
    return result;
}

bool FlowFilter::matches(const FlowView& flow) const {
    if (flow.is_wildcard() && (!state || flow.state() != *state)) return false;
    const Tuple<V4>& o = flow.original;
    const Tuple<V4>& r = flow.reply;
    if (source && !source->contains(o.source)) return false;
    if (destination && !destination->contains(o.destination)) return false;
    if (address && !address->contains(o.source) && !address->contains(o.destination) &&
        !address->contains(r.source) && !address->contains(r.destination))
        return false;
    if (port && o.source_port.host() != *port && o.destination_port.host() != *port &&
        r.source_port.host() != *port && r.destination_port.host() != *port)
        return false;
    if (source_port && o.source_port.host() != *source_port) return false;
    if (destination_port && o.destination_port.host() != *destination_port) return false;
    if (protocol && o.protocol != *protocol) return false;
    if (zone && o.zone != *zone) return false;
    return !state || flow.state() == *state;
}

std::string to_json(const FlowView& flow, const Config& config) {
    if (flow.is_wildcard() && !flow.is_incarnation()) return wildcard_json(flow, config);
    const std::string_view state = flow.state();
    return fmt::format(
        R"({{"protocol":"{}","state":{},"timeout_s":{},"zone":{},"original":{},"reply":{},"assured":{},"replied":{},"rule":{},"worker":{}}})",
        protocol_name(flow.original.protocol),
        state.empty() ? std::string("null") : fmt::format("\"{}\"", state),
        std::max(0, flow.timeout_ms / 1000), flow.original.zone,
        side_json(flow.original, flow.packets[0], flow.bytes[0]),
        side_json(flow.reply, flow.packets[1], flow.bytes[1]),
        (flow.marks & flow_mark::assured) != 0, (flow.marks & flow_mark::replied) != 0,
        nlohmann::json(config.policy.rules[flow.rule].name).dump(), flow.worker);
}

FlowReader::FlowReader(Gateway& gateway) : gateway_(gateway) {
    std::uint32_t taken = gateway_.readers_taken.load(std::memory_order_relaxed);
    do {
        place_ = static_cast<unsigned>(std::countr_one(taken));
        if (place_ >= control_readers) throw std::runtime_error("too many readers at once");
    } while (!gateway_.readers_taken.compare_exchange_weak(taken, taken | (1U << place_),
                                                           std::memory_order_acquire));
    reader_ = gateway_.config.workers + place_;
}

FlowReader::~FlowReader() {
    gateway_.readers_taken.fetch_and(~(1U << place_), std::memory_order_release);
}

void FlowReader::copy(FlowId first, std::uint32_t count, const FlowFilter& filter,
                      std::vector<FlowView>& out) {
    auto& pool = gateway_.flows.pool();
    const Moment now = to_moment(now_ms());
    const FlowId end = std::min(pool.last_id() + 1, first + count);
    gateway_.flows.quiescence().online(reader_);
    for (FlowId id = first; id < end; ++id) {
        auto& flow = pool[id];
        // Acquire: pairs with the release in Reservation::publish.
        if (flow.status.load(std::memory_order_acquire) != FlowStatus::live) continue;
        FlowView view{};
        view.id = id;
        view.original = flow.tuple(Direction::original);
        view.reply = flow.tuple(Direction::reply);
        for (std::size_t i = 0; i < 2; ++i) {
            view.packets[i] = flow.counters[i].packets.load(std::memory_order_relaxed);
            view.bytes[i] = flow.counters[i].bytes.load(std::memory_order_relaxed);
        }
        view.timeout_ms = ms_between(now, flow.expires.load(std::memory_order_relaxed));
        view.rule = flow.rule;
        view.worker = flow.owner;
        view.protocol_state = flow.protocol_state.load(std::memory_order_relaxed);
        view.marks = flow.marks.load(std::memory_order_relaxed);
        view.references = nat::references(flow).load(std::memory_order_relaxed);
        if (view.is_wildcard() && nat::has_quarantine(flow) && view.references > 0)
            --view.references;  // its own
        if (filter.matches(view)) out.push_back(view);
    }
    gateway_.flows.quiescence().offline(reader_);
}

bool FlowReader::flush(const FlowView& flow, EngineCounters& counters,
                       nat::MappingCounters& mappings) {
    if (flow.is_wildcard()) return false;
    nat::FlowEnd<V4, Production> end(gateway_.flows, gateway_.crowded,
                                     gateway_.limits.active() ? &gateway_.limits : nullptr,
                                     counters, mappings);
    gateway_.flows.quiescence().online(reader_);
    auto& record = gateway_.flows.pool()[flow.id];
    const bool same = record.status.load(std::memory_order_acquire) == FlowStatus::live &&
                      record.tuple(Direction::original) == flow.original &&
                      record.tuple(Direction::reply) == flow.reply;
    const bool ended = same && gateway_.flows.release(flow.id, counters, end);
    gateway_.flows.quiescence().offline(reader_);
    return ended;
}

}  // namespace noclash::dpdk
