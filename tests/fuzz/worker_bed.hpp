// SPDX-License-Identifier: Apache-2.0
#pragma once

// A gateway with two workers on two ports that are rings, without the daemon's threads: whoever
// drives it puts frames in, has the workers do their rounds, and takes out what leaves.
//
//      hosts 10.1.0.0/24 ---- inside [gateway] outside ---- 203.0.113.0/24, router .254
//      198.51.100.0/24, public, behind 10.1.0.254: forwarded untracked

#include <fmt/format.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/worker.hpp"
#include "dpdk/device/eal.hpp"
#include "dpdk/device/packet_pool.hpp"

namespace noclash::dpdk::test {

inline constexpr unsigned workers = 2;
inline constexpr std::uint16_t inside = 0, outside = 1;
inline constexpr unsigned ring_frames = 1024;

inline void require(bool condition, const char* file = __builtin_FILE(),
                    int line = __builtin_LINE()) {
    if (condition) return;
    fmt::print(stderr, "not so: {}:{}\n", file, line);
    std::abort();
}

/// The settings in which the configurations differ.
struct Variant {
    const char* tcp_window = "liberal";
    const char* tcp_timestamps = "preserve";
    const char* pool = "pooling = \"arbitrary\"";
    const char* tcp_unknown = "drop";
    const char* reverse_path = "off";
    unsigned outside_mtu = 1500;
    bool picks_up = false;
    bool early_drop = false;
};
inline constexpr const char* full_cone =
    "mapping = \"endpoint-independent\"\nfiltering = \"endpoint-independent\"";
inline constexpr const char* restricted_cone =
    "mapping = \"endpoint-independent\"\nfiltering = \"address-dependent\"";
inline constexpr std::array<Variant, 8> variants{{
    {},
    {.tcp_window = "strict", .tcp_unknown = "reset", .reverse_path = "strict"},
    {.tcp_timestamps = "normalize", .outside_mtu = 576},
    {.pool = full_cone, .early_drop = true},
    {.tcp_window = "strict", .tcp_timestamps = "normalize", .pool = restricted_cone},
    {.tcp_window = "off", .tcp_timestamps = "strip", .picks_up = true},
    {.tcp_timestamps = "strip", .pool = full_cone, .outside_mtu = 576},
    {.tcp_window = "strict", .reverse_path = "loose", .outside_mtu = 1280, .picks_up = true},
}};

inline Config config_of(std::size_t number) {
    const Variant& variant = variants.at(number);
    return parse_config(fmt::format(
                            R"(
flows = 1024
workers = {}
tcp_window = "{}"
tcp_timestamps = "{}"
tcp_pickup = {}
tcp_unknown = "{}"
[memory]
huge_pages = "none"
packet_buffers = 4096
[neighbors]
queue_packets = 64
capacity = 64
[fragments]
capacity = 64
[timeouts]
below_rfc_floor = true
tcp_syn_sent_s = 4
tcp_syn_recv_s = 4
tcp_established_s = 6
tcp_fin_wait_s = 4
tcp_close_wait_s = 4
tcp_last_ack_s = 4
tcp_time_wait_s = 4
tcp_close_s = 4
udp_s = 4
udp_stream_s = 6
icmp_s = 4
sctp_established_s = 6
sctp_transitory_s = 4
generic_s = 4
port_quarantine_s = 4
[limits]
flows_per_subscriber = 200
early_drop = {}
[[port]]
name = "inside"
device = "vdev:net_ring_inside"
address = "10.1.0.1/24"
reverse_path = "{}"
[[port]]
name = "outside"
device = "vdev:net_ring_outside"
address = "203.0.113.1/24"
mtu = {}
[[route]]
to = "0.0.0.0/0"
via = "203.0.113.254"
[[route]]
to = "198.51.100.0/24"
via = "10.1.0.254"
[[pool]]
name = "pool"
addresses = ["203.0.113.64/30"]
{}
[[rule]]
name = "transit-out"
in = "inside"
from = "198.51.100.0/24"
action = "forward"
track = false
[[rule]]
name = "transit-in"
in = "outside"
to = "198.51.100.0/24"
action = "forward"
track = false
[[rule]]
name = "static"
action = "static"
inside = "10.1.0.50"
outside = "203.0.113.80"
[[rule]]
name = "web"
in = "outside"
protocol = "tcp"
to = "203.0.113.1/32"
to_port = 80
action = "dnat"
target = ["10.1.0.10:8080", "10.1.0.11:8080"]
source = "masquerade"
[[rule]]
name = "dns"
protocol = "udp"
to = "203.0.113.1/32"
to_port = 53
action = "dnat"
target = "10.1.0.10:53"
source = "keep"
[[rule]]
name = "refused"
in = "inside"
to = "203.0.113.200/32"
action = "reject"
[[rule]]
name = "outbound"
in = "inside"
from = "10.1.0.0/24"
action = "snat"
pool = "pool"
mss_clamp = true
)",
                            workers, variant.tcp_window, variant.tcp_timestamps, variant.picks_up,
                            variant.tcp_unknown, variant.early_drop, variant.reverse_path,
                            variant.outside_mtu, variant.pool),
                        "the fuzzer's configuration");
}

/// DPDK and its packet buffers: one for the whole process.
class Ground {
  public:
    Ground() : eal_(quiet(config_of(0))), buffers_(eal_.memory(), eal_.pages()) {}
    [[nodiscard]] rte_mempool* buffers() const { return buffers_.get(); }

  private:
    static Config quiet(Config config) {
        config.log_level = "error";
        return config;
    }
    Eal eal_;
    PacketPool buffers_;
};

/// A frame that left.
struct Sent {
    std::uint16_t port;
    std::vector<std::uint8_t> bytes;
};

/// A gateway of a variant, its workers and its rings.
class Bed {
  public:
    Bed(const Ground& ground, std::size_t variant) : buffers_(ground.buffers()) {
        const Config config = config_of(variant);
        std::vector<std::unique_ptr<Port>> ports;
        for (const std::uint16_t port : {inside, outside}) {
            make_device(port, port == inside ? "inside" : "outside");
            ports.push_back(std::make_unique<Port>(config, port, buffers_));
            ports.back()->start();
        }
        gateway_ = std::make_unique<Gateway>(config, std::move(ports), buffers_, 1);
        for (unsigned id = 0; id < workers; ++id) {
            workers_.push_back(std::make_unique<Worker>(*gateway_, static_cast<std::uint16_t>(id)));
            workers_.back()->begin();
        }
    }
    Bed(const Bed&) = delete;
    Bed& operator=(const Bed&) = delete;
    ~Bed() {
        for (const auto& worker : workers_)
            worker->end();
    }

    [[nodiscard]] nat::MacAddress mac(std::uint16_t port) const { return gateway_->macs[port]; }
    [[nodiscard]] std::uint16_t mtu(std::uint16_t port) const {
        return gateway_->config.ports[port].mtu;
    }

    void put(std::uint16_t port, unsigned worker, const std::vector<std::uint8_t>& bytes) {
        rte_mbuf* frame = rte_pktmbuf_alloc(buffers_);
        require(frame != nullptr);
        auto* room = rte_pktmbuf_append(frame, static_cast<std::uint16_t>(bytes.size()));
        require(room != nullptr);
        if (!bytes.empty()) std::memcpy(room, bytes.data(), bytes.size());
        require(rte_ring_sp_enqueue(rx_.at(port).at(worker), frame) == 0);
    }
    /// A round of each worker; what left is appended.
    void round(std::uint64_t now_ms, std::vector<Sent>& sent) {
        for (const auto& worker : workers_)
            worker->round(now_ms);
        for (const std::uint16_t port : {inside, outside}) {
            for (unsigned worker = 0; worker < workers; ++worker) {
                void* taken = nullptr;
                while (rte_ring_sc_dequeue(tx_.at(port).at(worker), &taken) == 0) {
                    auto* frame = static_cast<rte_mbuf*>(taken);
                    std::vector<std::uint8_t> bytes(rte_pktmbuf_pkt_len(frame));
                    const void* whole = rte_pktmbuf_read(
                        frame, 0, static_cast<std::uint32_t>(bytes.size()), bytes.data());
                    if (whole != bytes.data()) std::memcpy(bytes.data(), whole, bytes.size());
                    sent.push_back({port, std::move(bytes)});
                    rte_pktmbuf_free(frame);
                }
            }
        }
    }
    /// Buffers that somebody holds.
    [[nodiscard]] unsigned held() const { return rte_mempool_in_use_count(buffers_); }
    [[nodiscard]] std::uint32_t flows() const {
        std::uint32_t there = 0;
        const auto& pool = gateway_->flows.pool();
        for (FlowId id = 1; id <= pool.last_id(); ++id)
            there += pool[id].status.load() == FlowStatus::live ? 1U : 0U;
        return there;
    }

    /// Frames that came or were made, less frames that were sent, dropped or used up: those that
    /// nobody holds any more, and nobody has counted. Unknown while fragments are put together.
    [[nodiscard]] std::int64_t unaccounted() const {
        std::uint64_t in = 0, out = 0;
        for (const auto& worker : workers_) {
            const WorkerCounters& c = worker->counters();
            in += c.rx_packets.value() + c.icmp_errors_sent.value() + c.tcp_resets_sent.value() +
                  c.flow_resets_sent.value() + c.arp_sent.value() + c.fragments_sent.value() -
                  c.fragmented.value();
            out += c.tx_packets.value() + c.arp_received.value();
            for (const Counter& drop : c.drops)
                out += drop.value();
        }
        return static_cast<std::int64_t>(in - out);
    }
    [[nodiscard]] std::uint64_t fragments() const {
        std::uint64_t came = 0;
        for (const auto& worker : workers_)
            came += worker->counters().fragments_received.value();
        return came;
    }

  private:
    void make_device(std::uint16_t port, const std::string& name) {
        for (auto* const rings : {&rx_.at(port), &tx_.at(port)}) {
            for (unsigned worker = 0; worker < workers; ++worker) {
                const auto ring_name =
                    fmt::format("{}{}{}", name, rings == &rx_.at(port) ? "rx" : "tx", worker);
                rings->at(worker) = rte_ring_create(ring_name.c_str(), ring_frames, SOCKET_ID_ANY,
                                                    RING_F_SP_ENQ | RING_F_SC_DEQ);
                require(rings->at(worker) != nullptr);
            }
        }
        require(rte_eth_from_rings(name.c_str(), rx_.at(port).data(), workers, tx_.at(port).data(),
                                   workers, 0) >= 0);
    }

    using Rings = std::array<std::array<rte_ring*, workers>, 2>;

    rte_mempool* buffers_;
    Rings rx_{}, tx_{};
    std::unique_ptr<Gateway> gateway_;
    std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace noclash::dpdk::test
