// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/ceiling.hpp"

#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "dpdk/device/eal.hpp"
#include "dpdk/device/log.hpp"
#include "dpdk/device/packet_pool.hpp"
#include "dpdk/device/port.hpp"
#include "tools/cpsload/devices.hpp"

namespace noclash::cpsload {
namespace {

constexpr const char* one_end = "cpsload0";
constexpr const char* other_end = "cpsload1";

/// Runs `ip` with these arguments.
void ip(std::vector<const char*> words) {
    words.insert(words.begin(), "ip");
    words.push_back(nullptr);
    pid_t child = 0;
    int status = 0;
    // Their type is a relic: nothing is written to them.
    auto* const* arguments = const_cast<char* const*>(words.data());
    if (::posix_spawnp(&child, "ip", nullptr, nullptr, arguments, environ) != 0 ||
        ::waitpid(child, &status, 0) != child || status != 0)
        throw std::runtime_error("cannot make a veth pair");
}

void make_wire() {
    if (::unshare(CLONE_NEWNET) != 0) throw std::runtime_error("cannot make a network namespace");
    ip({"link", "add", one_end, "type", "veth", "peer", "name", other_end});
    for (const char* end : {one_end, other_end})
        ip({"link", "set", end, "up"});
}

double measure_over_wire(const Options& asked) {
    make_wire();
    Options options = ceiling_options(asked);
    options.client.device = std::string("af_packet:") + one_end;
    options.server.device = std::string("af_packet:") + other_end;
    const dpdk::Config config = config_of(options);
    const dpdk::Eal eal(config);
    const dpdk::PacketPool packets(eal.memory(), eal.pages());
    const Clock clock;
    const std::atomic<bool> stop{false};
    dpdk::Port client_port(config, 0, packets.get());
    dpdk::Port server_port(config, 1, packets.get());
    for (dpdk::Port* port : {&client_port, &server_port}) {
        port->start();
        wait_for_link(*port, clock, stop);
    }
    Link client_link(client_port.id());
    Link server_link(server_port.id());
    const nat::MacAddress client_mac{client_port.mac()};
    const nat::MacAddress server_mac{server_port.mac()};
    Station client(client_mac, server_mac);
    Station server(server_mac, client_mac);
    const Bench bench{packets.get(), clock, stop, Progress::Mode::silent};
    return ceiling_of(measure(options, bench, {client_link, client}, {server_link, server}));
}

[[noreturn]] void be_child(const Options& options, int out) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    spdlog::set_level(spdlog::level::off);
    double found = 0;
    try {
        found = measure_over_wire(options);
    } catch (const std::exception&) {
        found = 0;  // the parent tells that no device is included
    }
    const bool told = ::write(out, &found, sizeof found) == sizeof found;
    ::_exit(told ? 0 : 1);
}

}  // namespace

bool on_packet_sockets(const Options& options) {
    return options.client.device.starts_with("af_packet:") &&
           options.server.device.starts_with("af_packet:");
}

std::optional<double> ceiling_on_devices(const Options& options) {
    int ends[2];
    if (::pipe(ends) != 0) return std::nullopt;
    const pid_t child = ::fork();
    if (child == 0) be_child(options, ends[1]);
    ::close(ends[1]);
    double found = 0;
    const bool told = child > 0 && ::read(ends[0], &found, sizeof found) == sizeof found;
    ::close(ends[0]);
    if (child > 0) ::waitpid(child, nullptr, 0);
    return told && found > 0 ? std::optional(found) : std::nullopt;
}

double ceiling_without_devices(const Options& options, const Bench& bench) {
    Bench silent = bench;
    silent.progress = Progress::Mode::silent;
    return ceiling_of(measure_back_to_back(ceiling_options(options), silent));
}

}  // namespace noclash::cpsload
