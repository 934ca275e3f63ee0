// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <string>

#include "dpdk/config/protocol_names.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/control/flow_states.hpp"
#include "nat/packet/protocols.hpp"
#include "tools/noclashctl/usage.hpp"

namespace noclash::tools {

namespace {

// A validator answers with the fault, or with nothing; CLI11 puts the option's name before it.

CLI::Validator address() {
    const auto check = [](std::string& text) {
        if (dpdk::parse_address_with_length(text, std::uint8_t{32})) return std::string();
        return fmt::format("{} is no address such as 10.1.0.2, nor a prefix such as 10.1.0.0/24",
                           text);
    };
    return {check, ""};
}

CLI::Validator protocol() {
    const auto check = [](std::string& text) {
        std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
        if (dpdk::parse_protocol(text)) return std::string();
        const auto names = dpdk::known_protocol_names();
        return fmt::format("{} is no protocol that is translated: expected {}, or a number{}", text,
                           fmt::join(names, ", "), suggestion(text, {names.begin(), names.end()}));
    };
    return {check, ""};
}

CLI::Validator state() {
    const auto check = [](std::string& text) {
        const auto known = dpdk::parse_flow_state(text);
        if (known) {
            text = *known;
            return std::string();
        }
        const auto names = dpdk::known_flow_states();
        std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
        return fmt::format("{} is no state: expected {}{}", text, fmt::join(names, ", "),
                           suggestion(text, {names.begin(), names.end()}));
    };
    return {check, ""};
}

}  // namespace

CLI::Validator number(const char* kind, std::uint32_t least, std::uint32_t most) {
    const auto check = [=](std::string& text) {
        const auto value = dpdk::parse_number(text, most);
        if (!value || *value < least)
            return fmt::format("{} is no {}: expected a number from {} to {}", text, kind, least,
                               most);
        text = std::to_string(*value);  // CLI11 would take 010 for 8
        return std::string();
    };
    return {check, ""};
}

void add_filter(CLI::App& command, FlowFilter& filter) {
    const auto add = [&](const char* name, auto& value, const char* type,
                         const CLI::Validator& validator, const std::string& help) {
        command.add_option(name, value, help)
            ->transform(validator)
            ->type_name(type)
            ->group("Which flows");
    };
    const CLI::Validator port = number("port", 0, 65535);
    add("--source", filter.source, "ADDRESS[/LENGTH]", address(),
        "Source of the flow's first packet");
    add("--destination", filter.destination, "ADDRESS[/LENGTH]", address(),
        "Destination of the flow's first packet, before translation");
    add("--address", filter.address, "ADDRESS[/LENGTH]", address(),
        "Source or destination, before or after translation");
    add("--source-port", filter.source_port, "PORT", port,
        "Source port of the first packet; ICMP: the identifier");
    add("--destination-port", filter.destination_port, "PORT", port,
        "Destination port of the first packet, before translation");
    add("--port", filter.port, "PORT", port, "Source or destination, before or after translation");
    add("--protocol", filter.protocol, "PROTOCOL", protocol(),
        fmt::format("{}, or a number", dpdk::known_protocols()));
    add("--state", filter.state, "STATE", state(),
        "State of TCP or SCTP, such as ESTABLISHED; or MAPPING, PERMISSION, INCARNATION");
}

void require_five_tuple(CLI::App& command, const FlowFilter& filter) {
    for (const char* part : {"--protocol", "--source", "--destination"})
        command.get_option(part)->required();
    command.get_option("--source-port")
        ->description("Required if the protocol has ports; ICMP: the identifier");
    command.get_option("--destination-port")->description("Required if the protocol has ports");
    command.parse_complete_callback([&filter] {
        const auto protocol = dpdk::parse_protocol(filter.protocol.value_or(""));
        if (!protocol) return;
        const bool ports = nat::ip_protocol::has_ports(*protocol);
        if ((ports || *protocol == nat::ip_protocol::icmp) && !filter.source_port)
            throw CLI::RequiredError("--source-port");
        if (ports && !filter.destination_port) throw CLI::RequiredError("--destination-port");
    });
}

}  // namespace noclash::tools
