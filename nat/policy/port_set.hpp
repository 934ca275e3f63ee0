// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::nat {

/// Inclusive range of transport ports (or ICMP identifiers), in host order.
struct PortRange {
    std::uint16_t first = 1024;
    std::uint16_t last = 65535;

    [[nodiscard]] std::uint32_t size() const { return last - first + 1U; }
    [[nodiscard]] constexpr bool contains(std::uint16_t port) const {
        return first <= port && port <= last;
    }
    [[nodiscard]] constexpr bool overlaps(PortRange other) const {
        return first <= other.last && other.first <= last;
    }
    friend bool operator==(PortRange, PortRange) = default;
};

/// The ports that a translated source may get: a range of them, or those of one parity in it.
class PortSet {
  public:
    PortSet() = default;
    // NOLINTNEXTLINE(google-explicit-constructor): a range of ports is a set of ports
    PortSet(PortRange range) : PortSet(range.first, range.last) {}
    PortSet(std::uint16_t first, std::uint16_t last) : first_(first), last_(last) {}

    /// The ports of `range` with the parity of `port`. The range holds two ports at least.
    [[nodiscard]] static PortSet like(std::uint16_t port, PortRange range) {
        PortSet set(range);
        set.shift_ = 1;
        set.first_ = static_cast<std::uint16_t>(range.first + ((range.first ^ port) & 1U));
        set.last_ = static_cast<std::uint16_t>(range.last - ((range.last ^ port) & 1U));
        return set;
    }

    [[nodiscard]] std::uint16_t first() const { return first_; }
    [[nodiscard]] std::uint16_t last() const { return last_; }
    [[nodiscard]] std::uint32_t size() const {
        return (static_cast<std::uint32_t>(last_ - first_) >> shift_) + 1U;
    }
    /// The n-th of them, from 0.
    [[nodiscard]] std::uint16_t operator[](std::uint32_t n) const {
        return static_cast<std::uint16_t>(first_ + (n << shift_));
    }
    [[nodiscard]] bool contains(std::uint16_t port) const {
        return first_ <= port && port <= last_ && ((port ^ first_) & shift_) == 0;
    }
    /// A bit for each of the 64 ports from `64 * word` on: set when the port is in the set.
    [[nodiscard]] std::uint64_t bits(std::uint32_t word) const {
        if (word < first_ / 64U || word > last_ / 64U) return 0;
        std::uint64_t bits = ~0ULL;
        if (shift_ == 1)
            bits = (first_ & 1U) == 0 ? 0x5555'5555'5555'5555ULL : 0xaaaa'aaaa'aaaa'aaaaULL;
        if (word == first_ / 64U) bits &= ~0ULL << (first_ % 64U);
        if (word == last_ / 64U) bits &= ~0ULL >> (63U - last_ % 64U);
        return bits;
    }
    friend bool operator==(PortSet, PortSet) = default;

  private:
    std::uint16_t first_ = PortRange{}.first;
    std::uint16_t last_ = PortRange{}.last;
    std::uint16_t shift_ = 0;  ///< 1 when every other port is left out
};

/// Ports that servers trust as those of privileged programs (RFC 6335, section 6): NFS, rsh.
inline constexpr PortRange privileged_ports{0, 1023};

/// The ports of `range` that are of the class of the client's port: a privileged port stays
/// privileged, and an ordinary one ordinary [RFC 4787 REQ-3 a]. A range that holds only one class
/// serves both.
[[nodiscard]] constexpr PortRange of_same_class(PortRange range, std::uint16_t own) {
    if (range.first > privileged_ports.last || range.last <= privileged_ports.last) [[likely]]
        return range;
    if (privileged_ports.contains(own)) return {range.first, privileged_ports.last};
    return {privileged_ports.last + 1, range.last};
}

/// How the port of a translated source takes after the client's own (RFC 4787, section 4.2). By
/// default only in its class (see `of_same_class`): the rest is what cannot be guessed.
struct PortLikeness {
    /// The client's own port is tried first: an attacker who guesses it has guessed the translated
    /// one.
    bool preservation = false;
    /// Even stays even, and odd odd: [RFC 4787 REQ-4], for all protocols. The range, and each class
    /// that it holds, has two ports at least. One bit less to be guessed.
    bool parity = false;

    /// The ports that a client may get of `range`.
    /// @param has_ports  false for ICMP: an identifier is in no class
    [[nodiscard]] PortSet choose_from(PortRange range, std::uint16_t own, bool has_ports) const {
        if (has_ports) range = of_same_class(range, own);
        return parity ? PortSet::like(own, range) : PortSet(range);
    }
    friend bool operator==(PortLikeness, PortLikeness) = default;
};

}  // namespace noclash::nat
