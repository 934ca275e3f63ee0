// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/datapath/address_defense.hpp"
#include "dpdk/datapath/current_policy.hpp"
#include "dpdk/datapath/flow_resets.hpp"
#include "dpdk/datapath/link_log.hpp"
#include "dpdk/datapath/neighbor.hpp"
#include "dpdk/datapath/shared_mac.hpp"
#include "dpdk/datapath/snapshot.hpp"
#include "dpdk/device/interrupt_gate.hpp"
#include "dpdk/device/port.hpp"
#include "dpdk/device/port_states.hpp"
#include "dpdk/state/state.hpp"
#include "engine/flow_table.hpp"
#include "nat/conntrack/reset_ends.hpp"
#include "nat/conntrack/timestamps.hpp"
#include "nat/packet/packet_ids.hpp"
#include "nat/pipeline.hpp"
#include "nat/ports/occupancy_maps.hpp"
#include "nat/ports/rss_model.hpp"

namespace noclash::dpdk {

using Table = FlowTable<V4>;
using Crowded = nat::OccupancyMaps<V4, Production>;
using Limits = nat::Limits<V4, Production>;
using Timestamps = nat::Timestamps<V4, Production>;
using Round = nat::RoutedRound<V4, RouteTable>;
using Pipeline = nat::Pipeline<V4, RouteTable>;

/// Clients that the control socket admits at once.
inline constexpr unsigned control_clients = 8;
/// Threads beside the workers that may look at flows at once: one for each such client, and the
/// main thread.
inline constexpr unsigned flow_readers = control_clients + 1;

/// The state that all workers share. The main thread builds it; all of it is fixed or lock-free,
/// and `policy` is replaced as a whole.
struct Gateway {
    /// @param memif_gate  there when a port is memif
    /// @param kept        what outlives this process; null: nothing does
    Gateway(Config with, std::vector<std::unique_ptr<Port>> on, rte_mempool* packet_buffers,
            std::uint64_t seed, std::unique_ptr<InterruptGate> memif_gate = nullptr,
            State* kept = nullptr)
        : config(std::move(with)),
          ports(std::move(on)),
          gate(std::move(memif_gate)),
          port_states(ports.size(), config.workers),
          links(ports.size()),
          buffers(packet_buffers),
          identities(kept == nullptr ? nat::Identities() : kept->identities()),
          policy_before(kept == nullptr ? nullptr : snapshot_before(*kept, config, identities)),
          policy(first_policy(config, identities, policy_before.get())),
          neighbors(config.neighbors, config.ports, policy.of_round().pinned, seed),
          flows(kept == nullptr ? Table(config.flows, config.workers, config.workers + flow_readers)
                                : Table(config.flows, config.workers, config.workers + flow_readers,
                                        kept->records())),
          crowded(flows),
          state(kept),
          own_lasting(kept == nullptr ? std::make_unique<Lasting>() : nullptr),
          lasting(kept == nullptr ? *own_lasting : kept->lasting()),
          timestamps(config.policy.tcp_timestamps, lasting.clocks),
          limits(flows, config.limits, identities.rules().most()),
          steering(config.reply_locality && config.workers > 1 ? ports.size() : 0),
          syn_proxy(identities.service_key(), identities.rules().most()),
          flow_resets(config.workers) {
        for (const auto& port : ports)
            macs.emplace_back(nat::MacAddress{port->mac()});
    }

    [[nodiscard]] std::uint16_t port_count() const {
        return static_cast<std::uint16_t>(ports.size());
    }

  private:
    /// Null when its flows cannot be compared with what ours would be.
    static std::shared_ptr<const Snapshot> snapshot_before(const State& state, const Config& config,
                                                           nat::Identities& identities);
    static std::shared_ptr<const Snapshot> first_policy(const Config& config,
                                                        nat::Identities& identities,
                                                        const Snapshot* before) {
        // Addresses that flows of the process before may have are retired at worst.
        return before == nullptr ? std::make_shared<const Snapshot>(config, identities)
                                 : std::make_shared<const Snapshot>(config, identities, before,
                                                                    before->router.own_addresses());
    }

  public:
    const Config config;  ///< that it started with: a policy has its own
    std::vector<std::unique_ptr<Port>> ports;
    std::unique_ptr<InterruptGate> gate;  ///< after the ports: it ends before they are closed
    PortStates port_states;
    LinkLog links;
    std::vector<SharedMac> macs;  ///< by port
    rte_mempool* buffers;
    nat::Identities identities;
    /// That the flows of the process before this one went by, until they go by ours; or null.
    std::shared_ptr<const Snapshot> policy_before;
    CurrentPolicy policy;
    NeighborTable neighbors;
    AddressDefense defense;
    Table flows;
    Crowded crowded;
    State* state;                          ///< what outlives this process; null: nothing does
    std::unique_ptr<Lasting> own_lasting;  ///< none: `lasting` is the state's
    Lasting& lasting;
    Timestamps timestamps;
    Limits limits;
    /// By port, written before the workers begin; empty: replies may come to any worker.
    std::vector<nat::RssModel<V4>> steering;
    nat::SynProxyShared<V4, Production> syn_proxy;
    std::vector<FlowResets> flow_resets;  ///< by worker: what it is to send
    nat::ResetEnds reset_ends;
    std::atomic<std::uint32_t> readers_taken{0};  ///< bits of the control readers in use
};

}  // namespace noclash::dpdk
