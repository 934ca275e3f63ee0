// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/devices.hpp"

#include <fmt/format.h>

#include <chrono>
#include <stdexcept>
#include <thread>

namespace noclash::cpsload {
namespace {

constexpr std::uint32_t packet_buffers = 16384;

dpdk::PortConfig port_of(const char* name, const SideOptions& side, const Options& options) {
    dpdk::PortConfig port;
    port.name = name;
    port.device = side.device;
    port.address = side.address;
    port.prefix_length = side.prefix_length;
    port.mtu = options.mtu;
    port.descriptors = options.descriptors;
    return port;
}

}  // namespace

dpdk::Config config_of(const Options& options) {
    dpdk::Config config;
    config.file = "cpsload";
    config.log_level = "warning";
    config.memory.huge_pages = options.huge_pages;
    config.memory.packet_buffers = packet_buffers + 8U * options.descriptors;
    if (!options.self_test) {
        config.ports.push_back(port_of("client", options.client, options));
        config.ports.push_back(port_of("server", options.server, options));
    }
    return config;
}

void wait_for_link(const dpdk::Port& port, const Clock& clock, const std::atomic<bool>& stop) {
    const Time begin = clock.now();
    while (!port.link_up() && !stop) {
        if (clock.now() - begin > device_patience)
            throw std::runtime_error(
                fmt::format("port {} ({}): no link; is the other end of it up?", port.config().name,
                            port.config().device));
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

}  // namespace noclash::cpsload
