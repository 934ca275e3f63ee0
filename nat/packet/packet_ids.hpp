// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/base/random.hpp"
#include "engine/base/siphash.hpp"
#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::nat {

/// Identifications for packets that were put together here, or leave in fragments: two inside hosts
/// may use the same one towards the same server, and behind one address the server could join a
/// part of one packet to a part of another [RFC 6864 section 5.3.1].
///
/// A (source, destination, protocol) gets 65,536 different ones before the first comes again. It
/// has a counter, which it may share with others, and an offset of its own; both are found by a
/// keyed hash (RFC 7739, section 5.3), so that strangers cannot tell them. Any worker, at any time;
/// workers share the counters, so no two of them give the same one.
template <class Family>
class PacketIds {
  public:
    static constexpr std::size_t counters = 4096;

    PacketIds() { random_bytes(key_.data(), sizeof key_); }

    [[nodiscard]] std::uint32_t next(const typename Family::Address& source,
                                     const typename Family::Address& destination,
                                     std::uint8_t protocol) {
        std::array<std::uint8_t, 2 * sizeof source + 1> bytes;
        std::memcpy(bytes.data(), &source, sizeof source);
        std::memcpy(bytes.data() + sizeof source, &destination, sizeof destination);
        bytes.back() = protocol;
        const std::uint64_t hash = siphash(key_, bytes);
        const auto offset = static_cast<std::uint32_t>(hash >> 32U);
        // Relaxed: what is counted orders nothing else.
        return offset + counters_[hash % counters].fetch_add(1, std::memory_order_relaxed);
    }

    /// All that makes the next ones, for another process.
    struct Kept {
        std::array<std::uint64_t, 2> key{};
        std::array<std::uint32_t, counters> counts{};
    };
    [[nodiscard]] Kept keep() const {
        Kept kept{key_, {}};
        for (std::size_t i = 0; i < counters; ++i)
            kept.counts[i] = counters_[i].load(std::memory_order_relaxed);
        return kept;
    }
    /// Goes on with these. Before any thread asks for one.
    void go_on(const Kept& kept) {
        key_ = kept.key;
        for (std::size_t i = 0; i < counters; ++i)
            counters_[i].store(kept.counts[i], std::memory_order_relaxed);
    }

  private:
    std::array<std::uint64_t, 2> key_{};
    std::array<std::atomic<std::uint32_t>, counters> counters_{};
};

/// Gives an IPv4 packet another identification.
inline void set_identification(const PacketView& packet, std::uint32_t id) {
    auto& ip = header<IpHeader<V4>>(packet, 0);
    ip.id = Be16::from_host(static_cast<std::uint16_t>(id));
    ip.checksum = Be16{};
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&ip);
    ip.checksum = checksum::finish(checksum::sum({bytes, ip.header_length()}));
}

}  // namespace noclash::nat
