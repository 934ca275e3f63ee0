// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "engine/reservation.hpp"
#include "nat/ports/port_allocator.hpp"

namespace noclash::test {

/// The ports of one destination behind the real engine: one worker, in a time of its own.
class GatewayPorts {
  public:
    /// @param flow_ms  time that passes with each flow. What ended is reclaimed in 10 s at most; a
    ///                 tuple that is used again sooner, again and again, would fill its bucket.
    explicit GatewayPorts(nat::PortRange range, std::uint64_t flow_ms = 1)
        // Room for those that live, and for those that ended and are not reclaimed yet.
        : range_(range),
          flow_ms_(flow_ms),
          table_(range.size() + 65536, 1, 1),
          worker_(table_, 0, 0),
          crowded_(table_),
          proposals_(crowded_),
          flows_(65536) {
        worker_.online();
    }

    /// Looks on until the search has an answer, as a parked packet does.
    std::optional<std::uint16_t> allocate() {
        const Tuple<V4> original{V4Address::from_host(++flows_made_),
                                 V4Address::from_host(0xcb007101U),
                                 Be16::from_host(40000),
                                 Be16::from_host(443),
                                 0,
                                 6,
                                 0};
        Tuple<V4> reply = original.inverse();
        reply.destination = V4Address::from_host(0xc6336401U);
        for (;;) {
            between_bursts();
            Reservation<V4> claim(worker_, original);
            if (claim.error() != SetupError::none) continue;
            const auto proposed = proposals_.reserve(
                claim, reply,
                {.addresses = {&reply.destination, 1}, .ports = range_, .reserved = &reserved_},
                to_moment(now_ms_));
            if (proposed == SetupError::exhausted) return std::nullopt;
            if (proposed != SetupError::none) continue;
            const Be16 port = claim.record().tuple(Direction::reply).destination_port;
            flows_[port.host()] = claim.publish(to_moment(now_ms_) + never_ms, now_ms_);
            return port.host();
        }
    }

    void release(std::uint16_t port) {
        table_.release(std::exchange(flows_[port], no_flow), worker_.counters(),
                       [this](const auto& flow) { crowded_.ended(flow); });
    }

  private:
    static constexpr std::uint32_t never_ms = 1U << 30U;

    void between_bursts() {
        now_ms_ += flow_ms_;
        worker_.quiescent();
        worker_.maintain(now_ms_, 4096, [this](const auto& flow) { crowded_.ended(flow); });
        proposals_.top_up();
    }

    nat::PortRange range_;
    std::uint64_t flow_ms_;
    FlowTable<V4> table_;
    FlowWorker<V4> worker_;
    nat::ReservedPorts<V4> reserved_{{}};
    nat::OccupancyMaps<V4, Production> crowded_;
    nat::PortAllocator<V4, Production> proposals_;
    std::vector<FlowId> flows_;  ///< by port
    std::uint32_t flows_made_ = 0;
    std::uint64_t now_ms_ = 0;
};

}  // namespace noclash::test
