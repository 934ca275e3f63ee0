// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/pipeline/flows.hpp"
#include "dpdk/control/adopt.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/worker.hpp"
#include "dpdk/device/eal.hpp"
#include "dpdk/device/packet_pool.hpp"

namespace noclash::bench {

/// DPDK and the packet buffers: one for the whole run.
class Dpdk {
  public:
    /// @throws std::runtime_error when DPDK does not start
    Dpdk(unsigned workers, dpdk::HugePages pages);

    [[nodiscard]] rte_mempool* buffers() const { return buffers_.get(); }
    [[nodiscard]] unsigned workers() const { return workers_; }

  private:
    unsigned workers_;
    dpdk::Eal eal_;
    dpdk::PacketPool buffers_;
};

/// Frames that one batch writes ahead of the worker, and that a queue can hold.
inline constexpr std::uint32_t batch_frames = 4096;

/// The settings of a gateway.
struct Wish {
    std::uint32_t flows = 1024;
    unsigned workers = 1;
    /// The action of the rule for packets of clients.
    std::string action = "action = \"snat\"\npool = \"bench\"";
    std::string pool = "198.51.100.0/26";
    std::string timeouts{};  ///< lines of [timeouts]
    /// Lines that stand before any table. With a `name`, flows outlive the bed.
    std::string general{};
    std::string rules{};   ///< [[rule]]s before the one for what clients send
    std::string routes{};  ///< [[route]]s beside the two that the traffic needs
};

/// The configuration of such a gateway.
[[nodiscard]] dpdk::Config bench_config(const Wish& wish, unsigned number = 0);

/// A gateway on ports that are rings: the daemon's own workers, configuration and ports, without
/// its threads. Clients are behind a router on port 0, servers behind one on port 1.
class Bed {
  public:
    Bed(Dpdk& dpdk, const Wish& wish);
    Bed(const Bed&) = delete;
    Bed& operator=(const Bed&) = delete;
    ~Bed();

    [[nodiscard]] const Wish& wish() const { return wish_; }
    /// Its configuration with other rules before the one for what clients send: for a reload.
    [[nodiscard]] dpdk::Config with_rules(std::string rules) const;
    [[nodiscard]] rte_mempool* buffers() const { return gateway_->buffers; }
    [[nodiscard]] dpdk::Gateway& gateway() { return *gateway_; }
    [[nodiscard]] dpdk::Worker& worker(unsigned number) { return *workers_[number]; }
    [[nodiscard]] unsigned workers() const { return wish_.workers; }
    /// The rings that worker `number` receives from, and sends to.
    [[nodiscard]] rte_ring* rx(Side side, unsigned number) const { return ring(side, number, 0); }
    [[nodiscard]] rte_ring* tx(Side side, unsigned number) const { return ring(side, number, 1); }
    [[nodiscard]] nat::MacAddress mac(Side side) const { return gateway_->macs[port_of(side)]; }
    [[nodiscard]] std::uint16_t port_id(Side side) const {
        return gateway_->ports[port_of(side)]->id();
    }
    /// The MAC address of the router on a side.
    [[nodiscard]] static nat::MacAddress neighbor_mac(Side side) {
        return {{2, 0, 0, 0, 0xbe, static_cast<std::uint8_t>(0x10 + port_of(side))}};
    }

    /// Runs `work(worker)` for workers 0 .. count-1, each on its lcore, and waits for all. The
    /// first exception of any is thrown here.
    void on_workers(unsigned count, const std::function<void(unsigned)>& work);

    /// Ends all flows, and has the workers reclaim their records.
    void forget_flows();

    /// What came of the flows that a bed before it has left.
    [[nodiscard]] const dpdk::AdoptionReport& adoption() const { return adoption_; }
    [[nodiscard]] std::uint64_t live_flows() const;
    /// Frames that workers dropped, for whatever reason.
    [[nodiscard]] std::uint64_t dropped() const;

  private:
    [[nodiscard]] rte_ring* ring(Side side, unsigned worker, unsigned direction) const {
        return rings_[port_of(side)][worker * 2 + direction];
    }
    void make_port(Side side, const std::string& name);
    /// Lets the gateway know its neighbours: they ask for its address, as hosts do first.
    void introduce(Side side);

    Wish wish_;
    unsigned number_;
    std::array<std::vector<rte_ring*>, 2> rings_;
    std::optional<dpdk::State> state_;
    dpdk::AdoptionReport adoption_;
    std::unique_ptr<dpdk::Gateway> gateway_;
    std::vector<std::unique_ptr<dpdk::Worker>> workers_;
};

}  // namespace noclash::bench
