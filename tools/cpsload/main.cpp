// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <rte_version.h>
#include <sched.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>

#include <atomic>
#include <cstdio>
#include <optional>
#include <thread>

#include "dpdk/eal.hpp"
#include "dpdk/interrupt_gate.hpp"
#include "dpdk/packet_pool.hpp"
#include "dpdk/port.hpp"
#include "tools/cpsload/introduce.hpp"
#include "tools/cpsload/session.hpp"

namespace noclash::cpsload {
namespace {

enum Exit : int { fine = 0, faults = 1, usage = 2, environment = 3, interrupted = 130 };

constexpr Time patience = 10 * second;  // for links to come up, and for gateways to answer
constexpr std::uint32_t packet_buffers = 16384;

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

void stop_on_signals() {
    struct sigaction action {};
    action.sa_handler = [](int) { stop.store(true, std::memory_order_relaxed); };
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one ends us at once
    for (const int signal : {SIGINT, SIGTERM})
        ::sigaction(signal, &action, nullptr);
}

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

void pin_to(std::uint32_t core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0)
        throw UsageError(fmt::format("--core: this process may not run on CPU {}", core));
}

/// memif and NICs take a moment.
void wait_for_link(const dpdk::Port& port, const Clock& clock) {
    const Time begin = clock.now();
    while (!port.link_up() && !stop) {
        if (clock.now() - begin > patience)
            throw std::runtime_error(
                fmt::format("port {} ({}): no link; is the other end of it up?", port.config().name,
                            port.config().device));
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

Station station_of(const dpdk::Port& port, const SideOptions& side) {
    return {
        nat::MacAddress{port.mac()}, {side.address, side.prefix_length}, side.own, side.gateway};
}

Outcome measure_through_gateway(const Options& options, const dpdk::Config& config,
                                const Bench& bench) {
    dpdk::Port client_port(config, 0, bench.packets);
    dpdk::Port server_port(config, 1, bench.packets);
    std::optional<dpdk::InterruptGate> gate;  // after the ports: it ends before they are closed
    if (client_port.is_memif() || server_port.is_memif()) gate.emplace(std::uint16_t{2});
    for (dpdk::Port* port : {&client_port, &server_port}) {
        port->start();
        wait_for_link(*port, bench.clock);
    }
    const auto link_of = [&gate](const dpdk::Port& port, std::uint16_t user) {
        return port.is_memif() ? Link(port.id(), *gate, user) : Link(port.id());
    };
    Link client_link = link_of(client_port, 0);
    Link server_link = link_of(server_port, 1);
    Station client = station_of(client_port, options.client);
    Station server = station_of(server_port, options.server);
    introduce({client_link, client}, {server_link, server}, bench.packets, bench.clock, patience,
              stop);
    return measure(options, bench, {client_link, client}, {server_link, server});
}

int run(const Options& options) {
    if (options.core) pin_to(*options.core);
    ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    const dpdk::Config config = config_of(options);
    const dpdk::Eal eal(config);
    const dpdk::PacketPool packets(eal.memory(), eal.pages());
    const Clock clock;
    stop_on_signals();
    const Bench bench{packets.get(), clock, stop, Progress::Mode::shown};
    const double ceiling =
        options.measure_ceiling && !options.self_test ? measure_ceiling(options, bench) : 0;
    Outcome outcome = options.self_test ? measure_back_to_back(options, bench)
                                        : measure_through_gateway(options, config, bench);
    outcome.ceiling_cps = ceiling;
    fmt::print("{}\n", options.json ? as_json(options, outcome) : as_text(options, outcome));
    if (outcome.interrupted) return interrupted;
    return outcome.fine(options.measure) ? fine : faults;
}

}  // namespace
}  // namespace noclash::cpsload

int main(int argc, char** argv) {
    using namespace noclash::cpsload;
    spdlog::set_default_logger(spdlog::stderr_color_mt("cpsload"));
    spdlog::set_pattern("cpsload: %v");
    spdlog::set_level(spdlog::level::warn);
    try {
        const auto parsed = read_options(argc, argv);
        return parsed.options ? run(*parsed.options) : fine;
    } catch (const UsageError& error) {
        fmt::print(stderr, "cpsload: {}\n", error.what());
        return usage;
    } catch (const std::exception& error) {
        fmt::print(stderr, "cpsload: {}\n", error.what());
        return environment;
    }
}
