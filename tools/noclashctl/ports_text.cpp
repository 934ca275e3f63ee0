// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/ports_text.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "tools/noclashctl/tables.hpp"

namespace noclash::tools {

namespace {

using nlohmann::json;

// Counters of a port that count losses.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> losses{{
    {"rx_missed", "arrived while the receive queue, or the ring of the socket, was full"},
    {"rx_no_buffers", "arrived while no packet buffer was free"},
    {"rx_errors", "arrived damaged"},
    {"tx_errors", "the device failed to send"},
    {"interface_rx_dropped", "dropped by the kernel before the port got it"},
    {"interface_rx_errors", "arrived damaged, as the kernel's driver counts"},
    {"interface_tx_dropped", "not sent by the kernel, which counts each try"},
    {"interface_tx_errors", "the kernel's driver failed to send"},
}};

}  // namespace

std::string losses_text(const std::vector<json>& ports) {
    TextTable table({"lost at port", "counter", "packets", "meaning"});
    bool any = false;
    const auto add = [&](const json& port, std::string_view counter, std::uint64_t packets,
                         std::string_view meaning) {
        if (packets == 0) return;
        table.add({port.value("name", ""), std::string(counter), fmt::format("{}", packets),
                   std::string(meaning)});
        any = true;
    };
    for (const json& port : ports) {
        for (const auto& [counter, meaning] : losses)
            add(port, counter, port.value(std::string(counter), std::uint64_t{0}), meaning);
        const json further = port.value("further_losses", json::object());
        for (const auto& [counter, packets] : further.items())
            add(port, counter, packets.get<std::uint64_t>(),
                "a counter of the driver, by its own name");
    }
    return any ? fmt::format("\n{}", table.text()) : "";
}

std::string ports_text(const std::vector<json>& ports) {
    return rows_table(ports, {"name", "device", "driver", "mac", "address", "mtu", "link", "link_s",
                              "link_changes", "queues", "rx_packets", "rx_bytes", "tx_packets",
                              "tx_bytes"}) +
           losses_text(ports);
}

}  // namespace noclash::tools
