// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "dpdk/config/config.hpp"

struct rte_mempool;
struct rte_eth_dev_info;

namespace noclash::dpdk {

/// As the device counts them, since the start; of all devices that the port had.
struct PortStats {
    std::uint64_t rx_packets = 0;
    std::uint64_t tx_packets = 0;
    std::uint64_t rx_bytes = 0;
    std::uint64_t tx_bytes = 0;
    std::uint64_t rx_missed = 0;      ///< lost because a queue, or the ring of a socket, was full
    std::uint64_t rx_errors = 0;      ///< arrived damaged
    std::uint64_t rx_no_buffers = 0;  ///< lost because the packet pool was empty
    std::uint64_t tx_errors = 0;

    PortStats& operator+=(const PortStats& other);
};

/// A device with an RX and a TX queue for each worker; queue n belongs to worker n alone.
class Port {
  public:
    /// Adds the device of `config.ports[index]` and configures it; it does not receive yet.
    /// @throws std::runtime_error that names the port, the device, what failed and why
    Port(const Config& config, std::size_t index, rte_mempool* packets);
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    /// Stops and removes the device. No worker may use it any more.
    ~Port();

    /// @throws std::runtime_error
    void start();

    /// Takes the device away, whose interface has gone. Workers must know that it is closed.
    void close();
    /// Attaches, configures and starts a device as at first: by the same name, with an address and
    /// a number of its own. Only after `close`.
    /// @throws std::runtime_error
    void reopen();

    /// DPDK's number of the device.
    [[nodiscard]] std::uint16_t id() const { return id_; }
    [[nodiscard]] const PortConfig& config() const { return config_; }
    [[nodiscard]] const std::array<std::uint8_t, 6>& mac() const { return mac_; }
    [[nodiscard]] const std::string& driver() const { return driver_; }
    /// Its peer may vanish, and its memory with it: only where an InterruptGate lets workers.
    [[nodiscard]] bool is_memif() const { return driver_ == "net_memif"; }
    [[nodiscard]] std::uint16_t queues() const { return queues_; }
    /// Bytes of a frame that the device hands over, without the rest of a longer one; 0: of any.
    [[nodiscard]] std::uint32_t longest_frame() const { return longest_frame_; }
    [[nodiscard]] bool checks_rx_checksums() const { return checks_rx_checksums_; }
    [[nodiscard]] bool spreads_by_rss() const { return spreads_by_rss_; }
    /// The RSS key that the device was given; empty: the device has one of its own.
    [[nodiscard]] const std::vector<std::uint8_t>& rss_key() const { return rss_key_; }

    /// The interface of the kernel that the device stands on; empty: on none, or on one that the
    /// driver makes itself.
    [[nodiscard]] const std::string& interface() const { return interface_; }
    /// Its number, which another interface of this name would not have; 0: no device is open.
    [[nodiscard]] unsigned interface_index() const { return open_ ? interface_index_ : 0; }
    /// A descriptor that is readable while frames wait in a queue; -1: the device has none.
    [[nodiscard]] int rx_descriptor(std::uint16_t queue) const {
        return queue < sockets_.size() ? sockets_[queue] : -1;
    }
    /// Whether the device has lost its interface without anybody having said so.
    [[nodiscard]] bool is_orphan() const;

    /// Whether frames wait in queues of the driver's sockets.
    [[nodiscard]] bool has_frames() const;

    /// From any thread but a worker's: they may make system calls, and wait for `reopen`.
    [[nodiscard]] PortStats stats() const;
    [[nodiscard]] bool link_up() const;
    /// Further counters of losses that the device has by names of its own, as far as they are not
    /// 0.
    [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> further_losses() const;

  private:
    void open();
    void attach();
    void remove();
    void configure();
    void check_limits(const rte_eth_dev_info& info) const;
    void set_up_queues(const rte_eth_dev_info& info, std::uint64_t offloads);
    void find_sockets(const std::vector<int>& xdp_before);
    [[nodiscard]] PortStats stats_of_device() const;
    void set_mtu();
    [[noreturn]] void fail(const std::string& what, int error = 0) const;

    PortConfig config_;
    std::size_t index_;
    rte_mempool* packets_;
    bool own_rss_key_;
    mutable std::mutex opening_;  ///< the device stays as it is while it is held
    std::string device_name_;
    std::string interface_;
    unsigned interface_index_ = 0;
    std::vector<int> sockets_;  ///< of the driver, by queue, where it receives by sockets
    PortStats of_closed_;       ///< what earlier devices counted
    mutable std::uint64_t ring_drops_ = 0;  ///< of this device's sockets, as far as asked for
    std::string driver_;
    std::array<std::uint8_t, 6> mac_{};
    std::uint16_t id_ = 0;
    std::uint16_t queues_ = 0;
    std::uint32_t longest_frame_ = 0;
    bool open_ = false;
    bool started_ = false;
    bool checks_rx_checksums_ = false;
    bool spreads_by_rss_ = false;
    std::vector<std::uint8_t> rss_key_;  ///< drivers may read it as long as the device lives
};

}  // namespace noclash::dpdk
