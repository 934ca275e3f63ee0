// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/port.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <stdexcept>

#include "dpdk/config/device_string.hpp"
#include "dpdk/device/device_sockets.hpp"
#include "dpdk/device/dpdk_log.hpp"
#include "dpdk/device/log.hpp"
#include "dpdk/device/packet_sockets.hpp"
#include "dpdk/device/unix_socket.hpp"
#include "engine/base/random.hpp"

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

/// Whether a driver's counter of this name counts packets that `PortStats` does not have already.
bool tells_of_loss(std::string_view name) {
    constexpr std::array<std::string_view, 4> had{"rx_missed_errors", "rx_errors",
                                                  "rx_mbuf_allocation_errors", "tx_errors"};
    constexpr std::array<std::string_view, 5> words{"drop", "miss", "discard", "error", "no_buf"};
    return std::ranges::find(had, name) == had.end() &&
           std::ranges::any_of(words, [&](std::string_view word) {
               return name.find(word) != std::string_view::npos;
           });
}

}  // namespace

PortStats& PortStats::operator+=(const PortStats& other) {
    rx_packets += other.rx_packets;
    tx_packets += other.tx_packets;
    rx_bytes += other.rx_bytes;
    tx_bytes += other.tx_bytes;
    rx_missed += other.rx_missed;
    rx_errors += other.rx_errors;
    rx_no_buffers += other.rx_no_buffers;
    tx_errors += other.tx_errors;
    return *this;
}

Port::Port(const Config& config, std::size_t index, rte_mempool* packets)
    : config_(config.ports.at(index)),
      index_(index),
      packets_(packets),
      own_rss_key_(config.reply_locality),
      queues_(config.workers) {
    open();
}

Port::~Port() {
    if (open_) remove();
}

void Port::open() {
    attach();
    open_ = true;
    try {
        configure();
    } catch (...) {
        remove();
        throw;
    }
}

/// Stops and closes the device; its name may then be used again.
void Port::remove() {
    rte_eth_dev_info info{};
    const bool known = ::rte_eth_dev_info_get(id_, &info) == 0;
    if (started_)
        ::rte_eth_dev_stop(id_);
    else if (driver_ == "net_af_packet")
        for (const int socket : packet_sockets_on(interface_index_))
            ::close(socket);  // the driver closes those of a device that was started
    ::rte_eth_dev_close(id_);
    if (known && interface_index_ != 0) ::rte_dev_remove(info.device);
    sockets_.clear();
    started_ = false;
    open_ = false;
}

void Port::close() {
    const std::scoped_lock lock(opening_);
    if (!open_) return;
    of_closed_ += stats_of_device();
    ring_drops_ = 0;
    remove();
}

void Port::reopen() {
    const std::scoped_lock lock(opening_);
    if (open_) return;
    open();
    try {
        start();
    } catch (...) {
        remove();
        throw;
    }
}

void Port::fail(const std::string& what, int error) const {
    std::string text = fmt::format("port {} ({}): {}", config_.name, config_.device, what);
    if (error != 0) text += fmt::format(": {}", ::rte_strerror(error < 0 ? -error : error));
    if (const std::string said = DpdkLog::recent(); !said.empty()) {
        text += fmt::format(" ({})", said);
    }
    throw std::runtime_error(text);
}

void Port::attach() {
    DpdkLog::forget();
    const auto parsed = parse_device(config_, index_, queues_);
    if (const auto* wrong = std::get_if<std::string>(&parsed)) fail(*wrong);
    const auto& device = std::get<Device>(parsed);
    device_name_ = device.name;
    longest_frame_ = device.longest_frame;
    interface_ = device.interface;
    interface_index_ = interface_.empty() ? 0 : ::if_nametoindex(interface_.c_str());
    if (!interface_.empty() && interface_index_ == 0) {
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
        open_packet_sockets();
        if (error != 0) fail("DPDK cannot open the device", error);
        if (device.kind == DeviceKind::af_packet &&
            sockets_without_defragmentation() == joined_before) {
            spdlog::warn(
                "port {}: the kernel reassembles fragments before the gateway gets them, so "
                "[fragments] does not limit a flood of them; use af_xdp where that matters",
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
        fail(fmt::format("mtu {}: driver {} supports {} to {}", config_.mtu, driver_,
                         std::max<std::uint32_t>(info.min_mtu, RTE_ETHER_MIN_MTU), most_mtu));
    }
}

void Port::configure() {
    DpdkLog::forget();
    rte_eth_dev_info info{};
    if (const int error = ::rte_eth_dev_info_get(id_, &info); error != 0) {
        fail("cannot read the capabilities of the device", error);
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
        if (own_rss_key_ && info.hash_key_size != 0) {
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
    const std::vector<int> xdp_before = xdp_sockets();
    set_up_queues(info, wanted.txmode.offloads);
    find_sockets(xdp_before);
    set_mtu();

    rte_ether_addr address{};
    if (const int error = ::rte_eth_macaddr_get(id_, &address); error != 0) {
        fail("cannot read the MAC address", error);
    }
    // Rings have none, and take any frame; their neighbours need one to send to.
    if (::rte_is_zero_ether_addr(&address) != 0) ::rte_eth_random_addr(address.addr_bytes);
    std::copy(std::begin(address.addr_bytes), std::end(address.addr_bytes), mac_.begin());
}

void Port::set_up_queues(const rte_eth_dev_info& info, std::uint64_t offloads) {
    std::uint16_t rx_descriptors = config_.descriptors;
    std::uint16_t tx_descriptors = config_.descriptors;
    if (const int error = ::rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_descriptors, &tx_descriptors);
        error != 0) {
        fail("cannot adjust `descriptors` to the device", error);
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
                                                       &info.default_rxconf, packets_);
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

/// One for each queue; none, when they cannot be told for sure.
void Port::find_sockets(const std::vector<int>& xdp_before) {
    sockets_.clear();
    if (driver_ == "net_af_packet") sockets_ = packet_sockets_on(interface_index_);
    if (driver_ == "net_af_xdp")
        std::ranges::set_difference(xdp_sockets(), xdp_before, std::back_inserter(sockets_));
    if (sockets_.size() != queues_) sockets_.clear();
}

bool Port::is_orphan() const {
    const std::scoped_lock lock(opening_);
    return open_ && driver_ == "net_af_packet" && std::ranges::any_of(sockets_, dpdk::is_orphan);
}

bool Port::has_frames() const {
    const std::scoped_lock lock(opening_);
    return open_ && driver_ == "net_af_packet" && std::ranges::any_of(sockets_, dpdk::has_frames);
}

PortStats Port::stats_of_device() const {
    rte_eth_stats device{};
    if (!open_ || ::rte_eth_stats_get(id_, &device) != 0) return {};
    std::uint64_t ring_full = 0;
    for (const int socket : sockets_) {
        if (driver_ == "net_af_packet") ring_drops_ += take_ring_drops(socket);
        if (driver_ == "net_af_xdp") ring_full += xdp_ring_full(socket);
    }
    return {device.ipackets,
            device.opackets,
            device.ibytes,
            device.obytes,
            device.imissed + ring_drops_ + ring_full,
            device.ierrors,
            device.rx_nombuf,
            device.oerrors};
}

PortStats Port::stats() const {
    const std::scoped_lock lock(opening_);
    PortStats sum = of_closed_;
    sum += stats_of_device();
    return sum;
}

std::vector<std::pair<std::string, std::uint64_t>> Port::further_losses() const {
    const std::scoped_lock lock(opening_);
    std::vector<std::pair<std::string, std::uint64_t>> losses;
    const int count = open_ ? ::rte_eth_xstats_get_names(id_, nullptr, 0) : 0;
    if (count <= 0) return losses;
    std::vector<rte_eth_xstat_name> names(static_cast<std::size_t>(count));
    std::vector<rte_eth_xstat> values(names.size());
    const auto size = static_cast<unsigned>(count);
    if (::rte_eth_xstats_get_names(id_, names.data(), size) != count ||
        ::rte_eth_xstats_get(id_, values.data(), size) != count)
        return losses;
    for (const rte_eth_xstat& value : values)
        if (value.value != 0 && tells_of_loss(names.at(value.id).name))
            losses.emplace_back(names[value.id].name, value.value);
    return losses;
}

bool Port::link_up() const {
    const std::scoped_lock lock(opening_);
    rte_eth_link link{};
    return open_ && ::rte_eth_link_get_nowait(id_, &link) == 0 &&
           link.link_status == RTE_ETH_LINK_UP;
}

}  // namespace noclash::dpdk
