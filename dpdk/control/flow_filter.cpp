// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/flow_filter.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dpdk/config/protocol_names.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/control/flow_states.hpp"

namespace noclash::dpdk {

namespace {

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
    std::string name = value.is_string() ? value.get<std::string>() : "";
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    const auto protocol = parse_protocol(name);
    if (!protocol) refuse("protocol", fmt::format("{}, or a number", known_protocols()));
    return *protocol;
}

std::string to_state(const nlohmann::json& value) {
    const auto state =
        value.is_string() ? parse_flow_state(value.get_ref<const std::string&>()) : std::nullopt;
    if (!state) refuse("state", fmt::format("one of {}", fmt::join(known_flow_states(), ", ")));
    return *state;
}

}  // namespace

FlowFilter FlowFilter::parse(const nlohmann::json& request) {
    FlowFilter result;
    const auto found = request.find("filter");
    if (found == request.end() || found->is_null()) return result;
    const nlohmann::json& filter = *found;
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
    return !state || flow.state() == *state;
}

bool FlowFilter::wants_wildcards() const {
    return state == mapping_state || state == permission_state || state == incarnation_state;
}

}  // namespace noclash::dpdk
