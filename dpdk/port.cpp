// SPDX-License-Identifier: Apache-2.0
#include "dpdk/port.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "dpdk/device_string.hpp"
#include "dpdk/dpdk_log.hpp"
#include "dpdk/packet_fanout.hpp"
#include "dpdk/unix_socket.hpp"
#include "engine/random.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::uint64_t checksum_offloads =
    RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
constexpr std::uint64_t rss_fields = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;

/// Checksums that the device verifies. Not virtio's: asking for them allows the host to hand over
/// packets whose checksum nobody has computed yet.
std::uint64_t offered_checksums(const rte_eth_dev_info& info) {
    if (std::string_view(info.driver_name).starts_with("net_virtio")) return 0;
    return info.rx_offload_capa & checksum_offloads;
}

/// Bytes of a frame beside its IP packet, as the device counts them.
std::uint32_t frame_overhead(const rte_eth_dev_info& info) {
    if (info.max_mtu != UINT16_MAX && info.max_rx_pktlen > info.max_mtu) {
        return info.max_rx_pktlen - info.max_mtu;
    }
    return RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
}

}  // namespace

Port::Port(const Config& config, std::size_t index, rte_mempool* packets)
    : config_(config.ports.at(index)), queues_(config.workers) {
    attach(index);
    try {
        configure(config, packets);
    } catch (...) {
        ::rte_eth_dev_close(id_);
        throw;
    }
}

Port::~Port() {
    if (started_) ::rte_eth_dev_stop(id_);
    ::rte_eth_dev_close(id_);
}

void Port::fail(const std::string& what, int error) const {
    std::string text = fmt::format("port {} ({}): {}", config_.name, config_.device, what);
    if (error != 0) text += fmt::format(": {}", ::rte_strerror(error < 0 ? -error : error));
    if (const std::string said = DpdkLog::recent(); !said.empty()) {
        text += fmt::format(" ({})", said);
    }
    throw std::runtime_error(text);
}

void Port::attach(std::size_t index) {
    DpdkLog::forget();
    const auto parsed = parse_device(config_, index, queues_);
    if (const auto* wrong = std::get_if<std::string>(&parsed)) fail(*wrong);
    const auto& device = std::get<Device>(parsed);
    device_name_ = device.name;
    longest_frame_ = device.longest_frame;
    if (!device.interface.empty() && ::if_nametoindex(device.interface.c_str()) == 0) {
        fail(
            fmt::format("there is no interface {} here (see `ip link`); a network namespace sees "
                        "only its own",
                        device.interface));
    }
    if (!device.socket.empty()) {
        // The driver neither makes the directory nor replaces the socket of a killed process.
        create_directory_of(device.socket);
        remove_stale_socket(device.socket, SOCK_SEQPACKET);
    }
    // A program that embeds the gateway may have made the device already, say of its own rings.
    const bool there = ::rte_eth_dev_get_port_by_name(device.name.c_str(), &id_) == 0;
    const std::uint64_t joined_before = sockets_without_defragmentation();
    if (!there && !device.arguments.empty()) {
        const int error = ::rte_dev_probe(device.arguments.c_str());
        if (error != 0) fail("DPDK cannot open the device", error);
        if (device.kind == DeviceKind::af_packet &&
            sockets_without_defragmentation() == joined_before) {
            spdlog::warn(
                "port {}: the kernel puts fragments together before they come here, so [fragments] "
                "does not bound a flood of them; use af_xdp where that matters",
                config_.name);
        }
    }
    if (!there && ::rte_eth_dev_get_port_by_name(device.name.c_str(), &id_) != 0) {
        fail(device.kind == DeviceKind::pci
                 ? "no such device is bound to a driver that DPDK can use (see `dpdk-devbind.py "
                   "--status`)"
                 : "DPDK has no Ethernet device of this kind");
    }
}

void Port::check_limits(const rte_eth_dev_info& info) const {
    const std::uint16_t most = std::min(info.max_rx_queues, info.max_tx_queues);
    if (queues_ > most) {
        fail(
            fmt::format("{} workers need a queue each, and the device has at most {}; lower "
                        "`workers`",
                        queues_, most));
    }
    std::uint32_t most_mtu = info.max_mtu;
    if (info.max_rx_pktlen != 0) {
        most_mtu = std::min(most_mtu, info.max_rx_pktlen - frame_overhead(info));
    }
    if (config_.mtu > most_mtu || config_.mtu < info.min_mtu) {
        fail(fmt::format("mtu {}: driver {} can do {} to {}", config_.mtu, driver_,
                         std::max<std::uint32_t>(info.min_mtu, RTE_ETHER_MIN_MTU), most_mtu));
    }
}

void Port::configure(const Config& config, rte_mempool* packets) {
    DpdkLog::forget();
    rte_eth_dev_info info{};
    if (const int error = ::rte_eth_dev_info_get(id_, &info); error != 0) {
        fail("cannot ask the device what it can do", error);
    }
    driver_ = info.driver_name;
    check_limits(info);

    rte_eth_conf wanted{};
    wanted.rxmode.mtu = config_.mtu;
    wanted.rxmode.offloads = offered_checksums(info);
    checks_rx_checksums_ = wanted.rxmode.offloads != 0;
    wanted.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    const std::uint64_t rss = info.flow_type_rss_offloads & rss_fields;
    spreads_by_rss_ = queues_ > 1 && rss != 0;
    if (spreads_by_rss_) {
        wanted.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        wanted.rx_adv_conf.rss_conf.rss_hf = rss;
        // Drivers' own keys are in their source: who knows the key, knows more of the ports.
        if (config.reply_locality && info.hash_key_size != 0) {
            rss_key_.resize(info.hash_key_size);
            random_bytes(rss_key_.data(), rss_key_.size());
            wanted.rx_adv_conf.rss_conf.rss_key = rss_key_.data();
            wanted.rx_adv_conf.rss_conf.rss_key_len = info.hash_key_size;
        }
    }
    if (const int error = ::rte_eth_dev_configure(id_, queues_, queues_, &wanted); error != 0) {
        fail("cannot configure the device", error);
    }
    // A frame without its tag would pass for one of no VLAN. No offload was asked for that does so.
    const int vlan_offloads = ::rte_eth_dev_get_vlan_offload(id_);
    if (vlan_offloads > 0 && (vlan_offloads & RTE_ETH_VLAN_STRIP_OFFLOAD) != 0)
        fail("the device takes VLAN tags off the frames that it receives; switch that off");
    set_up_queues(info, packets, wanted.txmode.offloads);
    set_mtu();

    rte_ether_addr address{};
    if (const int error = ::rte_eth_macaddr_get(id_, &address); error != 0) {
        fail("cannot read the MAC address", error);
    }
    // Rings have none, and take any frame; their neighbours need one to send to.
    if (::rte_is_zero_ether_addr(&address) != 0) ::rte_eth_random_addr(address.addr_bytes);
    std::copy(std::begin(address.addr_bytes), std::end(address.addr_bytes), mac_.begin());
}

void Port::set_up_queues(const rte_eth_dev_info& info, rte_mempool* packets,
                         std::uint64_t offloads) {
    std::uint16_t rx_descriptors = config_.descriptors;
    std::uint16_t tx_descriptors = config_.descriptors;
    if (const int error = ::rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_descriptors, &tx_descriptors);
        error != 0) {
        fail("cannot fit `descriptors` to the device", error);
    }
    if (rx_descriptors != config_.descriptors || tx_descriptors != config_.descriptors) {
        spdlog::info("port {}: the device takes {} receive and {} transmit descriptors, not {}",
                     config_.name, rx_descriptors, tx_descriptors, config_.descriptors);
    }
    const auto socket = static_cast<unsigned>(std::max(::rte_eth_dev_socket_id(id_), 0));
    rte_eth_txconf tx = info.default_txconf;
    tx.offloads = offloads;
    for (std::uint16_t queue = 0; queue < queues_; ++queue) {
        // Drivers that pair the two need the receive queue first.
        if (const int error = ::rte_eth_rx_queue_setup(id_, queue, rx_descriptors, socket,
                                                       &info.default_rxconf, packets);
            error != 0) {
            fail(fmt::format("cannot set up receive queue {}", queue), error);
        }
        if (const int error = ::rte_eth_tx_queue_setup(id_, queue, tx_descriptors, socket, &tx);
            error != 0) {
            fail(fmt::format("cannot set up transmit queue {}", queue), error);
        }
    }
}

void Port::set_mtu() {
    const int error = ::rte_eth_dev_set_mtu(id_, config_.mtu);
    // Drivers without the operation take any frame that fits their buffers.
    if (error != 0 && error != -ENOTSUP) {
        fail(fmt::format("cannot set the mtu to {}", config_.mtu), error);
    }
}

void Port::start() {
    DpdkLog::forget();
    if (const int error = ::rte_eth_dev_start(id_); error != 0) {
        fail("cannot start the device", error);
    }
    started_ = true;
}

PortStats Port::stats() const {
    rte_eth_stats device{};
    if (::rte_eth_stats_get(id_, &device) != 0) return {};
    return {device.ipackets, device.opackets, device.ibytes,    device.obytes,
            device.imissed,  device.ierrors,  device.rx_nombuf, device.oerrors};
}

bool Port::link_up() const {
    rte_eth_link link{};
    return ::rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

}  // namespace noclash::dpdk
