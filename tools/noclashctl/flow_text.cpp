// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/flow_text.hpp"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

namespace noclash::tools {

namespace {

using nlohmann::json;
using Output = fmt::memory_buffer;

unsigned protocol_number(std::string_view name) {
    if (name == "tcp") return 6;
    if (name == "udp") return 17;
    if (name == "icmp") return 1;
    if (name == "sctp") return 132;
    if (name == "udplite") return 136;
    if (name == "gre") return 47;
    if (name == "esp") return 50;
    if (name == "ah") return 51;
    if (name == "ipip") return 4;
    if (name == "ipv6") return 41;
    if (name == "icmpv6") return 58;
    unsigned number = 0;  // protocols without a name are called by it
    std::from_chars(name.data(), name.data() + name.size(), number);
    return number;
}

template <class Json>
std::string scalar(const Json& value) {
    return value.is_string() ? value.template get<std::string>() : value.dump();
}

enum class Side { original, reply };

void append_tuple(Output& out, const json& flow, Side side, std::string_view protocol) {
    const json& tuple = flow.at(side == Side::original ? "original" : "reply");
    auto to = std::back_inserter(out);
    fmt::format_to(to, "src={} dst={} ", tuple.at("source").get_ref<const std::string&>(),
                   tuple.at("destination").get_ref<const std::string&>());
    if (protocol.starts_with("icmp")) {
        // An echo's identifier is the source port of its request and the destination port of its
        // reply.
        const bool request = side == Side::original;
        const unsigned type = protocol == "icmp" ? (request ? 8 : 0) : (request ? 128 : 129);
        fmt::format_to(to, "type={} code=0 id={}", type,
                       tuple.at(request ? "source_port" : "destination_port").get<unsigned>());
    } else {
        fmt::format_to(to, "sport={} dport={}", tuple.at("source_port").get<unsigned>(),
                       tuple.at("destination_port").get<unsigned>());
    }
    fmt::format_to(to, " packets={} bytes={}", tuple.at("packets").get<std::uint64_t>(),
                   tuple.at("bytes").get<std::uint64_t>());
}

std::string end_text(const json& end) {
    return fmt::format("{}:{}", end.at("address").get_ref<const std::string&>(),
                       end.at("port").get<unsigned>());
}

/// A mapping, or a permission, which have no flow's fields.
std::string mapping_line(const json& mapping) {
    const std::string& protocol = mapping.at("protocol").get_ref<const std::string&>();
    const bool permission = mapping.contains("remote");
    return fmt::format("{:8} {} {} {}={} outside={} references={}{} zone={} rule={}\n", protocol,
                       protocol_number(protocol), scalar(mapping.at("state")),
                       permission ? "remote" : "inside",
                       permission ? scalar(mapping.at("remote")) : end_text(mapping.at("inside")),
                       end_text(mapping.at("outside")), mapping.at("references").get<unsigned>(),
                       permission ? "" : " filtering=" + scalar(mapping.at("filtering")),
                       mapping.at("zone").get<unsigned>(), scalar(mapping.at("rule")));
}

void append_fields(Output& out, const nlohmann::ordered_json& object, const std::string& prefix) {
    for (const auto& [key, value] : object.items()) {
        if (value.is_object()) {
            append_fields(out, value, prefix + key + '.');
        } else {
            fmt::format_to(std::back_inserter(out), "{:28}{}\n", prefix + key,
                           value.is_null() ? "-" : scalar(value));
        }
    }
}

}  // namespace

std::string flow_line(const json& flow) {
    if (flow.contains("outside")) return mapping_line(flow);
    Output out;
    auto to = std::back_inserter(out);
    const std::string& protocol = flow.at("protocol").get_ref<const std::string&>();
    fmt::format_to(to, "{:8} {} {} ", protocol, protocol_number(protocol),
                   flow.at("timeout_s").get<std::uint64_t>());
    const json& state = flow.at("state");
    if (state.is_string()) fmt::format_to(to, "{} ", state.get_ref<const std::string&>());
    append_tuple(out, flow, Side::original, protocol);
    fmt::format_to(to, " {}", flow.at("replied").get<bool>() ? "" : "[UNREPLIED] ");
    append_tuple(out, flow, Side::reply, protocol);
    if (flow.at("assured").get<bool>()) fmt::format_to(to, " [ASSURED]");
    fmt::format_to(to, " zone={} rule={}\n", flow.at("zone").get<unsigned>(),
                   scalar(flow.at("rule")));
    return fmt::to_string(out);
}

std::string flow_details(std::string_view row) {
    Output out;
    append_fields(out, nlohmann::ordered_json::parse(row), "");
    out.push_back('\n');
    return fmt::to_string(out);
}

}  // namespace noclash::tools
