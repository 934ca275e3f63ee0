// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "engine/base/address.hpp"
#include "engine/base/endian.hpp"

namespace noclash {

/// Identifies one direction of a flow (netfilter's tuple). ICMP queries carry their identifier
/// as source port in requests and as destination port in replies, the other port being 0, so that
/// `inverse()` holds for them too.
///
/// Tuples are hashed and compared as bytes: the type has no padding. `reserved` is 0 in tuples of
/// packets; the layer above may set it in tuples that no packet is to match.
template <class Family>
struct Tuple {
    typename Family::Address source;
    typename Family::Address destination;
    Be16 source_port;
    Be16 destination_port;
    std::uint16_t zone = 0;  ///< a separate tuple space (a VRF)
    std::uint8_t protocol = 0;
    std::uint8_t reserved = 0;

    /// The tuple of a packet that answers this one, when nothing is translated.
    [[nodiscard]] Tuple inverse() const {
        return {destination, source, destination_port, source_port, zone, protocol, reserved};
    }
    /// As `to = of.inverse()`, in whole words: two rotations of what is loaded, and stored as it
    /// will be loaded again. What is stored in parts and loaded as a whole makes a processor wait.
    static void invert(const Tuple& of, Tuple& to) {
        if constexpr (sizeof(Tuple) == 2 * sizeof(std::uint64_t)) {
            static_assert(std::endian::native == std::endian::little);
            std::array<std::uint64_t, 2> words;
            std::memcpy(words.data(), &of, sizeof of);
            constexpr std::uint64_t ports = 0xffff'ffff;
            words[0] = std::rotl(words[0], 32);
            words[1] = (words[1] & ~ports) | std::rotl(static_cast<std::uint32_t>(words[1]), 16);
            std::memcpy(static_cast<void*>(&to), words.data(), sizeof to);
        } else {
            to = of.inverse();
        }
    }
    /// As `to = of`, but to another destination; in whole words, too. Both may be the same.
    static void redirect(const Tuple& of, const typename Family::Address& destination, Be16 port,
                         Tuple& to) {
        if constexpr (sizeof(Tuple) == 2 * sizeof(std::uint64_t)) {
            static_assert(std::endian::native == std::endian::little);
            std::array<std::uint64_t, 2> words;
            std::memcpy(words.data(), &of, sizeof of);
            words[0] = static_cast<std::uint32_t>(words[0]) |
                       std::uint64_t{std::bit_cast<std::uint32_t>(destination)} << 32U;
            words[1] = (words[1] & ~0xffff'0000ULL) | std::uint64_t{port.wire()} << 16U;
            std::memcpy(static_cast<void*>(&to), words.data(), sizeof to);
        } else {
            to = of;
            to.destination = destination;
            to.destination_port = port;
        }
    }
    /// All at once: field by field would be a branch each.
    friend bool operator==(const Tuple& a, const Tuple& b) {
        using Words = std::array<std::uint64_t, sizeof(Tuple) / sizeof(std::uint64_t)>;
        const auto x = std::bit_cast<Words>(a);
        const auto y = std::bit_cast<Words>(b);
        std::uint64_t different = 0;
        for (std::size_t i = 0; i < x.size(); ++i)
            different |= x[i] ^ y[i];
        return different == 0;
    }
};

static_assert(sizeof(Tuple<V4>) == 16);
static_assert(sizeof(Tuple<V6>) == 40);
static_assert(std::has_unique_object_representations_v<Tuple<V4>>);
static_assert(std::has_unique_object_representations_v<Tuple<V6>>);

/// The two directions of a flow.
enum class Direction : std::uint8_t { original = 0, reply = 1 };

[[nodiscard]] constexpr Direction opposite(Direction direction) {
    return static_cast<Direction>(static_cast<unsigned>(direction) ^ 1U);
}

}  // namespace noclash
