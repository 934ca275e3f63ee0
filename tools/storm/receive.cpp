// SPDX-License-Identifier: Apache-2.0
#include "tools/storm/receive.hpp"

#include <thread>

#include "tools/storm/packet_socket.hpp"

namespace noclash::tools {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// How long to doze between looks. The ring is deep, so that the instrument need not
/// wake up for every frame and take the CPU away from what it measures.
constexpr auto look_interval = 20ms;

bool has_changed_source(const ReceiveOptions& options, const Arrival& arrival) {
    const Probe& probe = arrival.probe;
    if (!options.sender || !arrival.checksums_good || probe.id >= options.expected) return false;
    const Probe sent = storm_probe(*options.sender, probe.id);
    return probe.source != sent.source || probe.source_port != sent.source_port;
}

}  // namespace

ReceiveResult receive_storm(const ReceiveOptions& options, const std::atomic<bool>& sender_ended,
                            const std::function<void()>& ready) {
    FrameReceiver receiver(options.interface);
    Ledger ledger(options.expected, options.sockets);
    ReceiveResult result;
    const auto begun = Clock::now();
    auto last_arrival = begun;
    const auto take = [&](std::span<const std::uint8_t> frame) {
        const auto arrival = read_frame(frame);
        if (!arrival || arrival->probe.protocol != options.protocol ||
            arrival->probe.destination_port != options.port)
            return;
        last_arrival = Clock::now();
        const auto now_ns = std::chrono::nanoseconds(last_arrival.time_since_epoch()).count();
        if (result.first_ns == 0) result.first_ns = now_ns;
        result.last_ns = now_ns;
        if (has_changed_source(options, *arrival)) ++result.changed_sources;
        ledger.enter(*arrival);
    };
    ready();
    bool told_to_end = false;
    for (;;) {
        receiver.drain(take);
        const auto now = Clock::now();
        if (sender_ended.load(std::memory_order_relaxed) && !told_to_end) {
            told_to_end = true;
            last_arrival = now;  // what the gateway still holds gets the whole idle time
        }
        const bool quiet = now - last_arrival >= options.idle;
        if (quiet && (told_to_end || ledger.complete())) break;
        if (now - begun >= options.limit) break;
        std::this_thread::sleep_for(look_interval);
    }
    result.summary = ledger.summary();
    result.kernel_drops = receiver.kernel_drops();
    return result;
}

}  // namespace noclash::tools
