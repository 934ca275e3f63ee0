// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dpdk/config.hpp"

struct rte_mempool;
struct rte_eth_dev_info;

namespace noclash::dpdk {

/// As the device counts them, since the start.
struct PortStats {
    std::uint64_t rx_packets = 0;
    std::uint64_t tx_packets = 0;
    std::uint64_t rx_bytes = 0;
    std::uint64_t tx_bytes = 0;
    std::uint64_t rx_missed = 0;      ///< lost because a queue was full
    std::uint64_t rx_errors = 0;      ///< arrived damaged
    std::uint64_t rx_no_buffers = 0;  ///< lost because the packet pool was empty
    std::uint64_t tx_errors = 0;
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
    /// That the device was given; empty: it has one of its own.
    [[nodiscard]] const std::vector<std::uint8_t>& rss_key() const { return rss_key_; }

    /// From any thread but a worker's: both may make system calls.
    [[nodiscard]] PortStats stats() const;
    [[nodiscard]] bool link_up() const;

  private:
    void attach(std::size_t index);
    void configure(const Config& config, rte_mempool* packets);
    void check_limits(const rte_eth_dev_info& info) const;
    void set_up_queues(const rte_eth_dev_info& info, rte_mempool* packets, std::uint64_t offloads);
    void set_mtu();
    [[noreturn]] void fail(const std::string& what, int error = 0) const;

    PortConfig config_;
    std::string device_name_;
    std::string driver_;
    std::array<std::uint8_t, 6> mac_{};
    std::uint16_t id_ = 0;
    std::uint16_t queues_ = 0;
    std::uint32_t longest_frame_ = 0;
    bool started_ = false;
    bool checks_rx_checksums_ = false;
    bool spreads_by_rss_ = false;
    std::vector<std::uint8_t> rss_key_;  ///< drivers may read it as long as the device lives
};

}  // namespace noclash::dpdk
