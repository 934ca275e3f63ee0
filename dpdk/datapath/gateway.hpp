// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/datapath/address_defense.hpp"
#include "dpdk/datapath/current_policy.hpp"
#include "dpdk/datapath/link_log.hpp"
#include "dpdk/datapath/neighbor.hpp"
#include "dpdk/datapath/shared_mac.hpp"
#include "dpdk/datapath/snapshot.hpp"
#include "dpdk/device/interrupt_gate.hpp"
#include "dpdk/device/port.hpp"
#include "dpdk/device/port_states.hpp"
#include "engine/flow_table.hpp"
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
    /// `memif_gate` is there when a port is memif.
    Gateway(Config with, std::vector<std::unique_ptr<Port>> on, rte_mempool* packet_buffers,
            std::uint64_t seed, std::unique_ptr<InterruptGate> memif_gate = nullptr)
        : config(std::move(with)),
          ports(std::move(on)),
          gate(std::move(memif_gate)),
          port_states(ports.size(), config.workers),
          links(ports.size()),
          buffers(packet_buffers),
          policy(std::make_shared<const Snapshot>(config, identities)),
          neighbors(config.neighbors, config.ports, policy.of_round().pinned, seed),
          flows(config.flows, config.workers, config.workers + flow_readers),
          crowded(flows),
          timestamps(config.policy.tcp_timestamps),
          limits(flows, config.limits, identities.rules().most()),
          steering(config.reply_locality && config.workers > 1 ? ports.size() : 0) {
        for (const auto& port : ports)
            macs.emplace_back(nat::MacAddress{port->mac()});
    }

    [[nodiscard]] std::uint16_t port_count() const {
        return static_cast<std::uint16_t>(ports.size());
    }

    const Config config;  ///< that it started with: a policy has its own
    std::vector<std::unique_ptr<Port>> ports;
    std::unique_ptr<InterruptGate> gate;  ///< after the ports: it ends before they are closed
    PortStates port_states;
    LinkLog links;
    std::vector<SharedMac> macs;  ///< by port
    rte_mempool* buffers;
    nat::Identities identities;
    CurrentPolicy policy;
    NeighborTable neighbors;
    AddressDefense defense;
    Table flows;
    Crowded crowded;
    Timestamps timestamps;
    nat::PacketIds<V4> packet_ids;
    Limits limits;
    /// By port, written before the workers begin; empty: replies may come to any worker.
    std::vector<nat::RssModel<V4>> steering;
    std::atomic<std::uint32_t> readers_taken{0};  ///< bits of the control readers in use
};

}  // namespace noclash::dpdk
