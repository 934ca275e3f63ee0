// SPDX-License-Identifier: Apache-2.0
#include "tools/storm/send.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <mutex>
#include <thread>

#include "tools/storm/pacing.hpp"
#include "tools/storm/packet_socket.hpp"

namespace noclash::tools {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t threads = 2;
constexpr std::uint32_t port_space = 65536;
/// Before each slot, for the two threads to find each other.
constexpr auto time_to_meet = 5us;

V4Address offset_by(V4Address first, std::uint32_t offset) {
    return V4Address::from_host(first.value.host() + offset);
}

std::int64_t nanoseconds(Clock::time_point moment) {
    return std::chrono::nanoseconds(moment.time_since_epoch()).count();
}

/// When the `index`th of `rate` events a second is due.
Clock::time_point slot_of(Clock::time_point start, std::uint64_t index, std::uint64_t rate) {
    return start + std::chrono::nanoseconds(index * 1'000'000'000U / rate);
}

/// Source addresses that a thread turns through.
std::uint32_t sources_of_thread(const SendOptions& options) {
    return options.sockets == Sockets::shared ? options.sources : options.sources / threads;
}

/// Source ports in use: a multiple of a thread's addresses, so that a port that comes round again
/// meets another address each time.
std::uint32_t storm_ports(const SendOptions& options) {
    const std::uint32_t ports = port_space - options.first_source_port;
    return ports - ports % sources_of_thread(options);
}

struct SharedState {
    StepBarrier barrier;
    std::mutex lock;
    SendResult result;
    std::exception_ptr failure;
};

void send_steps(const SendOptions& options, std::uint32_t thread, Clock::time_point start,
                SharedState& shared) {
    const MacAddress own_mac = mac_of_interface(options.interface);
    FrameSender sender(options.interface);
    sleep_precisely();
    FrameBuffer frame;
    std::uint64_t sent = 0;
    for (std::uint32_t step = 0; step * threads + thread < options.connections; ++step) {
        const Probe probe = storm_probe(options, thread, step);
        const std::size_t length = write_frame(probe, own_mac, options.gateway_mac, frame);
        const std::uint64_t burst = step - step % options.burst_steps;
        const auto slot = slot_of(start, burst * threads, options.rate_cps);
        const bool alone = (step + 1) * threads > options.connections;
        if (options.stride == Stride::in_step && !alone) {
            wait_for(slot - time_to_meet);
            if (!shared.barrier.meet(thread, step, slot)) break;
        } else {
            wait_for(slot);
        }
        sender.send(std::span(frame).first(length));
        ++sent;
    }
    const std::lock_guard guard(shared.lock);
    shared.result.sent += sent;
    shared.result.retries += sender.retries();
}

}  // namespace

Probe storm_probe(const SendOptions& options, std::uint32_t thread, std::uint32_t step) {
    const std::uint32_t own_sources = sources_of_thread(options);
    const std::uint32_t ports = storm_ports(options);
    const std::uint32_t first = options.sockets == Sockets::shared ? 0 : thread * own_sources;
    const std::uint32_t address = first + (step + step / ports) % own_sources;
    return {.protocol = options.protocol,
            .source = offset_by(options.first_source, address),
            .destination = options.destination,
            .source_port = static_cast<std::uint16_t>(options.first_source_port + step % ports),
            .destination_port = options.destination_port,
            .id = step * threads + thread};
}

Probe storm_probe(const SendOptions& options, std::uint32_t id) {
    return storm_probe(options, id % threads, id / threads);
}

std::uint64_t storm_capacity(const SendOptions& options) {
    return std::uint64_t{storm_ports(options)} * sources_of_thread(options) * threads;
}

SendResult send_storm(const SendOptions& options) {
    const auto cpus = allowed_cpus();
    if (cpus.size() < threads)
        throw EnvironmentError("the storm needs two CPUs: on one, no two packets race");
    SharedState shared;
    const auto start = Clock::now() + 20ms;
    const auto run = [&](std::uint32_t thread) {
        try {
            pin_to_cpu(cpus[thread]);
            send_steps(options, thread, start, shared);
        } catch (...) {
            shared.barrier.give_up();
            const std::lock_guard guard(shared.lock);
            shared.failure = std::current_exception();
        }
    };
    std::thread second(run, 1U);
    std::thread first(run, 0U);
    first.join();
    second.join();
    if (shared.failure) std::rethrow_exception(shared.failure);
    shared.result.started_ns = nanoseconds(start);
    shared.result.ended_ns = nanoseconds(Clock::now());
    return shared.result;
}

Probe fill_probe(const FillOptions& options, std::uint32_t index) {
    // Destinations turn fastest, so that none is crowded while others are empty; then sources.
    const std::uint32_t rest = index / options.destinations;
    return {.protocol = options.protocol,
            .source = offset_by(options.first_source, rest % options.sources),
            .destination = offset_by(options.first_destination, index % options.destinations),
            .source_port =
                static_cast<std::uint16_t>(options.first_source_port + rest / options.sources),
            .destination_port = options.destination_port,
            .id = index};
}

std::uint64_t fill_capacity(const FillOptions& options) {
    return std::uint64_t{port_space - options.first_source_port} * options.sources *
           options.destinations;
}

SendResult send_fill(const FillOptions& options) {
    // Paced by the millisecond: sleeping between single frames could not keep up.
    const std::uint32_t burst = std::max(1U, options.rate_cps / 1000);
    const MacAddress own_mac = mac_of_interface(options.interface);
    FrameSender sender(options.interface);
    sleep_precisely();
    FrameBuffer frame;
    SendResult result;
    const auto start = Clock::now();
    for (std::uint32_t index = 0; index < options.connections; ++index) {
        if (index % burst == 0)
            std::this_thread::sleep_until(slot_of(start, index, options.rate_cps));
        const std::size_t length =
            write_frame(fill_probe(options, index), own_mac, options.gateway_mac, frame);
        sender.send(std::span(frame).first(length));
    }
    result.sent = options.connections;
    result.retries = sender.retries();
    result.started_ns = nanoseconds(start);
    result.ended_ns = nanoseconds(Clock::now());
    return result;
}

}  // namespace noclash::tools
