// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <rte_version.h>
#include <sched.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <sys/prctl.h>

#include <atomic>
#include <cstdio>
#include <optional>

#include "dpdk/device/eal.hpp"
#include "dpdk/device/interrupt_gate.hpp"
#include "dpdk/device/log.hpp"
#include "dpdk/device/packet_pool.hpp"
#include "dpdk/device/port.hpp"
#include "tools/cpsload/ceiling.hpp"
#include "tools/cpsload/devices.hpp"
#include "tools/cpsload/introduce.hpp"
#include "tools/cpsload/receive_drops.hpp"
#include "tools/cpsload/session.hpp"

namespace noclash::cpsload {
namespace {

// Others are those of verdicts.
enum Exit : int { fine = 0, usage = 2, environment = 3 };

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

void stop_on_signals() {
    struct sigaction action {};
    action.sa_handler = [](int) { stop.store(true, std::memory_order_relaxed); };
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one ends us at once
    for (const int signal : {SIGINT, SIGTERM})
        ::sigaction(signal, &action, nullptr);
}

void pin_to(std::uint32_t core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0)
        throw UsageError(fmt::format("--core: this process may not run on CPU {}", core));
}

Station station_of(const dpdk::Port& port, const SideOptions& side) {
    return {
        nat::MacAddress{port.mac()}, {side.address, side.prefix_length}, side.own, side.gateway};
}

Outcome measure_through_gateway(const Options& options, const dpdk::Config& config, Bench bench) {
    dpdk::Port client_port(config, 0, bench.packets);
    dpdk::Port server_port(config, 1, bench.packets);
    std::optional<dpdk::InterruptGate> gate;  // after the ports: it ends before they are closed
    if (client_port.is_memif() || server_port.is_memif()) gate.emplace(std::uint16_t{2});
    for (dpdk::Port* port : {&client_port, &server_port}) {
        port->start();
        wait_for_link(*port, bench.clock, stop);
    }
    const auto link_of = [&gate](const dpdk::Port& port, std::uint16_t user) {
        return port.is_memif() ? Link(port.id(), *gate, user) : Link(port.id());
    };
    Link client_link = link_of(client_port, 0);
    Link server_link = link_of(server_port, 1);
    Station client = station_of(client_port, options.client);
    Station server = station_of(server_port, options.server);
    introduce({client_link, client}, {server_link, server}, bench.packets, bench.clock,
              device_patience, stop);
    ReceiveDrops drops(client_port, server_port);
    bench.losses = [&drops] { return drops.since_start(); };
    return measure(options, bench, {client_link, client}, {server_link, server});
}

int run(const Options& options) {
    if (options.core) pin_to(*options.core);
    ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    const bool wants_ceiling = options.measure_ceiling && !options.self_test;
    const auto on_devices =
        wants_ceiling && on_packet_sockets(options) ? ceiling_on_devices(options) : std::nullopt;
    const dpdk::Config config = config_of(options);
    const dpdk::Eal eal(config);
    const dpdk::PacketPool packets(eal.memory(), eal.pages());
    const Clock clock;
    stop_on_signals();
    const Bench bench{packets.get(), clock, stop, Progress::Mode::shown};
    Ceiling ceiling;
    if (on_devices) ceiling = {*on_devices, true};
    if (wants_ceiling && !on_devices) ceiling = {ceiling_without_devices(options, bench), false};
    Outcome outcome = options.self_test ? measure_back_to_back(options, bench)
                                        : measure_through_gateway(options, config, bench);
    outcome.ceiling = ceiling;
    fmt::print("{}\n", options.json ? as_json(options, outcome) : as_text(options, outcome));
    return exit_status(judge(outcome.findings(options.measure)));
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
