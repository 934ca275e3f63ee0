// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dpdk/datapath/egress.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/icmp_rate_limit.hpp"
#include "dpdk/datapath/neighbor_keeper.hpp"
#include "dpdk/datapath/packet_queue.hpp"
#include "dpdk/datapath/reassembly.hpp"
#include "dpdk/datapath/rx_queue.hpp"
#include "dpdk/datapath/sleeper.hpp"
#include "dpdk/datapath/worker_counters.hpp"
#include "dpdk/device/urgency.hpp"

namespace noclash::dpdk {

/// One worker: an lcore that receives on its own queue of every port and runs each burst to
/// completion. `run` is called on the worker's thread; counters may be read from any.
///
///     receive -> sort frames (ARP, IP) -> pipeline -> act on the verdicts -> send
///     and between bursts: packets that waited, timers, reclamation
///
/// No two share a cache line.
class alignas(64) Worker {
  public:
    Worker(Gateway& gateway, std::uint16_t id);
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker();

    /// Takes free records, and its part of the flows that were adopted. Before it begins.
    void stock(std::span<const FlowId> records) { flows_.stock(records); }
    void adopt(const FlowAdoption<V4>& adopted, Round round) { pipeline_.adopt(adopted, round); }

    /// Returns soon after `stop` becomes true.
    void run(const std::atomic<bool>& stop);

    /// The parts of `run`, for a caller that drives a worker itself, on the worker's thread.
    /// Rounds come between `begin` and `end`: while a worker has begun, the flow engine waits for
    /// its rounds before it reclaims anything.
    void begin() {
        flows_.online();
        if (gateway_.gate) gateway_.gate->join(id_);
        gateway_.port_states.join(id_);
    }
    /// One turn of the loop: a burst from each port, and what is done between bursts. Returns the
    /// number of frames received, and of flow resets sent.
    std::size_t round(std::uint64_t now_ms);
    void end() {
        flows_.offline();
        if (gateway_.gate) gateway_.gate->leave(id_);
        gateway_.port_states.leave(id_);
    }

    [[nodiscard]] const WorkerCounters& counters() const { return counters_; }
    /// For one thread that reads them.
    [[nodiscard]] NeighborEvents& neighbor_events() { return neighbors_.events(); }
    /// When its last round began, by `now_ms()`; 0 before the first.
    [[nodiscard]] std::uint64_t round_ms() const { return neighbors_.round_ms(); }
    [[nodiscard]] const EngineCounters& engine_counters() const { return flows_.counters(); }
    [[nodiscard]] const Pipeline& pipeline() const { return pipeline_; }

    /// Has the steps of its rounds timed from now on; null: no longer. On the worker's thread.
    void profile(nat::StepCycles* cycles) {
        cycles_ = cycles;
        pipeline_.profile(cycles);
    }

  private:
    static constexpr std::size_t burst = Pipeline::burst;
    using PacketContext = nat::PacketContext<V4>;

    struct Parked {
        rte_mbuf* frame;
        std::uint16_t ingress_port;
        std::uint16_t largest_fragment;
        std::uint64_t since_ms;
    };

    /// Whether memif devices are to be left alone in this round.
    void hold(bool held) {
        held_ = held;
        egress_.hold(held);
    }
    [[nodiscard]] std::size_t receive(std::uint16_t port, Round round);
    [[nodiscard]] bool sort_out(std::uint16_t port, rte_mbuf* frame, Round round);
    void handle_arp(std::uint16_t port, rte_mbuf* frame, Round round);
    void act(PacketContext& context, Round round);
    void do_otherwise(PacketContext& context, Round round);
    [[nodiscard]] nat::DropReason reason_for(const PacketContext& context) const;
    static rte_mbuf* trimmed(const PacketContext& context);
    void identify(const PacketContext& context);
    void transmit_in_fragments(const PacketContext& context);
    void act_on_late(PacketContext& context, Round round);
    void reassemble(const PacketContext& fragment, Round round);
    void park(const PacketContext& context, std::uint64_t now_ms);
    void revisit_parked(Round round);
    void reject(const PacketContext& context, Round round);
    void reset(const PacketContext& context, Round round);
    [[nodiscard]] std::size_t send_flow_resets(Round round);
    void send_own_segments(Round round);
    void send_all_own_segments(Round round);
    void send(const nat::OwnSegment<V4>& segment, Counter& sent, Round round);
    [[nodiscard]] rte_mbuf* make_frame(std::span<const std::uint8_t> packet);
    void neighbor_failed(rte_mbuf* failed, Round round);
    [[nodiscard]] static bool was_untracked(const PacketContext& about, const PacketContext& error,
                                            const PolicySnapshot& policy);
    [[nodiscard]] V4Address reporter_to(const V4Address& address,
                                        const std::optional<nat::Hop<V4>>& hop,
                                        const RouteTable& router) const;
    [[nodiscard]] rte_mbuf* make_error(const PacketContext& about, nat::IcmpError error,
                                       V4Address from, std::uint64_t now_ms);
    void end_step(nat::Step step) {
        if (cycles_ != nullptr) [[unlikely]]
            cycles_->end(step);
    }
    void take_port_states();
    void take_policy(const Snapshot& policy);
    void announce(std::uint16_t port);
    void announce(std::uint16_t port, const V4Address& address);
    void idle(std::uint32_t empty_loops, std::uint64_t now_ms);

    Gateway& gateway_;
    std::uint16_t id_;
    bool held_ = false;
    std::uint64_t ports_epoch_ = 0;         ///< of the port states that it goes by; 0: of none yet
    std::uint64_t generation_ = 0;          ///< of the policy that it goes by; 0: of none yet
    std::vector<std::uint16_t> receiving_;  ///< the ports that have a device
    Sleeper sleeper_;
    Urgency urgency_;
    WorkerCounters counters_;
    FlowWorker<V4> flows_;
    Pipeline pipeline_;
    Reassembly reassembly_;  ///< before all that may hold its packets: they return to it
    Egress egress_;
    NeighborKeeper neighbors_;
    std::vector<RxQueue<burst>> arrivals_;  ///< by port
    PacketQueue<Parked> parked_;
    IcmpRateLimit errors_;
    IcmpRateLimit mtu_errors_;
    IcmpRateLimit resets_;
    std::uint64_t flow_resets_ms_ = 0;  ///< when the last ones were sent
    std::size_t flow_resets_left_ = 0;  ///< that may be sent in that millisecond
    nat::StepCycles* cycles_ = nullptr;
    std::array<PacketContext, burst> contexts_{};  ///< of the burst that was received
};

}  // namespace noclash::dpdk
