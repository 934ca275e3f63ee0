// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/ports/policies.hpp"

namespace noclash::bench {

/// A remote service, the pool address that flows to it share, and which of its ports they have:
/// the sequential set that a policy's answers are held against.
class Destination {
  public:
    Destination(std::uint32_t number, nat::PortRange range)
        : remote_(V4Address::from_host(0xcb007100U + number)),
          range_(range),
          flows_(range.size()) {}

    [[nodiscard]] V4Address remote() const { return remote_; }
    [[nodiscard]] nat::PortRange range() const { return range_; }
    [[nodiscard]] std::uint32_t used() const { return static_cast<std::uint32_t>(used_.size()); }
    [[nodiscard]] std::uint32_t free() const { return range_.size() - used(); }

    void add(std::uint16_t port, FlowId flow) {
        if (!range_.contains(port) || flow_of(port) != no_flow)
            throw std::logic_error("a port was given twice, or is out of range");
        flow_of(port) = flow;
        used_.push_back(port);
    }
    /// Forgets one flow, each as likely as any other.
    FlowId remove_any(std::mt19937& random) {
        std::uniform_int_distribution<std::size_t> any(0, used_.size() - 1);
        std::swap(used_[any(random)], used_.back());
        const std::uint16_t port = used_.back();
        used_.pop_back();
        return std::exchange(flow_of(port), no_flow);
    }

  private:
    FlowId& flow_of(std::uint16_t port) { return flows_[port - std::size_t{range_.first}]; }

    V4Address remote_;
    nat::PortRange range_;
    std::vector<FlowId> flows_;  ///< by port, from the range's first on
    std::vector<std::uint16_t> used_;
};

/// How one new flow fared.
struct Attempt {
    SetupError error = SetupError::unfinished;
    FlowId flow = no_flow;
    std::uint16_t port = 0;
    std::uint32_t visits = 0;
    std::uint64_t ns = 0;  ///< of all visits: claim, reserve, publish or roll back
};

/// One worker of the real engine, with a policy, in a time of its own: 1 ms a flow.
template <Policy P>
class Gateway {
  public:
    static constexpr std::uint32_t most_visits = 2000;

    explicit Gateway(std::uint32_t flows)
        : table_(flows, 1, 1), worker_(table_, 0, 0), policy_(std::make_unique<P>(table_)) {
        worker_.online();
    }

    /// A new flow to `destination`. A search that a visit did not finish goes on at once, where the
    /// daemon would park the packet till its next round.
    Attempt connect(const Destination& destination) {
        Attempt attempt;
        const Tuple<V4> original = next_flow(destination);
        while (attempt.error == SetupError::unfinished && attempt.visits < most_visits) {
            if (attempt.visits > 0) between_bursts();
            ++attempt.visits;
            const auto start = std::chrono::steady_clock::now();
            visit(attempt, original, destination.range());
            attempt.ns += static_cast<std::uint64_t>(
                std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
        }
        if (++now_ms_ % burst == 0) between_bursts();
        return attempt;
    }

    /// A flow to `destination` from a port of the caller's choice.
    FlowId connect_from(const Destination& destination, std::uint16_t port) {
        const Tuple<V4> original = next_flow(destination);
        Claim claim(worker_, original);
        Tuple<V4> reply = reply_to(original);
        reply.destination_port = Be16::from_host(port);
        if (claim.error() != SetupError::none || claim.reserve(reply) != SetupError::none)
            throw std::logic_error("a free port could not be reserved");
        if (++now_ms_ % burst == 0) between_bursts();
        return claim.publish(never(), now_ms_);
    }

    void end(FlowId flow) {
        if (!table_.release(flow, worker_.counters(), gone()))
            throw std::logic_error("a flow was gone already");
    }

    void between_bursts() {
        worker_.quiescent();
        worker_.maintain(now_ms_, budget, gone());
        policy_->top_up();
    }

    /// As after a long pause: the maps of crowded destinations were taken back.
    void forget_maps() { policy_ = std::make_unique<P>(table_); }

    [[nodiscard]] std::size_t bytes() const { return table_.bytes(); }
    [[nodiscard]] const EngineCounters& counters() const { return worker_.counters(); }

  private:
    static constexpr std::uint32_t burst = 32;
    static constexpr std::uint32_t budget = 4096;  // flows looked at between two bursts

    auto gone() {
        return [this](const auto& flow) { policy_->ended(flow); };
    }
    [[nodiscard]] Moment never() const { return to_moment(now_ms_) + (1U << 30U); }

    Tuple<V4> next_flow(const Destination& destination) {
        return {V4Address::from_host(0x0a000000U + ++flows_made_),
                destination.remote(),
                Be16::from_host(40000),
                Be16::from_host(443),
                0,
                6,
                0};
    }
    static Tuple<V4> reply_to(const Tuple<V4>& original) {
        Tuple<V4> reply = original.inverse();
        reply.destination = V4Address::from_host(0xc6336401U);
        return reply;
    }

    void visit(Attempt& attempt, const Tuple<V4>& original, nat::PortRange range) {
        Claim claim(worker_, original);
        if (claim.error() == SetupError::busy) return;
        if (claim.error() != SetupError::none)
            throw std::runtime_error("the flow table is too small for this measurement");
        attempt.error = policy_->reserve(claim, reply_to(original), range, to_moment(now_ms_));
        if (attempt.error != SetupError::none) return;
        attempt.port = claim.record().tuple(Direction::reply).destination_port.host();
        attempt.flow = claim.publish(never(), now_ms_);
    }

    FlowTable<V4> table_;
    FlowWorker<V4> worker_;
    std::unique_ptr<P> policy_;
    std::uint32_t flows_made_ = 0;
    std::uint64_t now_ms_ = 0;
};

}  // namespace noclash::bench
