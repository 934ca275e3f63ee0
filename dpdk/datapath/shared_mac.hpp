// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>

#include "nat/packet/headers.hpp"

namespace noclash::dpdk {

/// The MAC address of a port. Written by the link monitor, when an interface was made again while
/// workers look; read by any thread. One word, so nobody sees half of it.
class SharedMac {
  public:
    // NOLINTNEXTLINE(google-explicit-constructor): it stands wherever a MAC address may stand.
    SharedMac(const nat::MacAddress& mac) : word_(pack(mac)) {}
    SharedMac(const SharedMac& other) : word_(other.word_.load(std::memory_order_relaxed)) {}
    SharedMac& operator=(const SharedMac&) = delete;
    ~SharedMac() = default;

    void set(const nat::MacAddress& mac) { word_.store(pack(mac), std::memory_order_relaxed); }

    // NOLINTNEXTLINE(google-explicit-constructor)
    operator nat::MacAddress() const {
        const std::uint64_t word = word_.load(std::memory_order_relaxed);
        nat::MacAddress mac;
        std::memcpy(mac.bytes.data(), &word, mac.bytes.size());
        return mac;
    }

  private:
    static std::uint64_t pack(const nat::MacAddress& mac) {
        std::uint64_t word = 0;
        std::memcpy(&word, mac.bytes.data(), mac.bytes.size());
        return word;
    }

    /// Relaxed: workers learn of a change by `PortStates`, which orders it.
    std::atomic<std::uint64_t> word_;
};

}  // namespace noclash::dpdk
