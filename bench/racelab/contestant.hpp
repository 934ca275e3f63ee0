// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Races in virtual time
//
// A race is a matter of order: who looked before whose entry was there. So it is run without
// threads: a *passage* is one packet on its way through a gateway, with the moment at which it
// chooses its tuple and the one at which it confirms it. The steps of all passages, whichever
// thread they belong to, are carried out in order of their moments against one shared table. Two
// packets race when the moments of one enclose a moment of the other.
//
// So sixteen threads are as exact as two on any machine, every contestant gets the very same
// schedule, and a seed reproduces it.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/tuple.hpp"

namespace noclash::racelab {

/// Virtual time, in ns.
using Instant = std::uint64_t;
inline constexpr Instant second_ns = 1'000'000'000;

namespace protocol {
inline constexpr std::uint8_t tcp = 6, udp = 17;
}

/// How the source of a connection is translated.
enum class SourceNat : std::uint8_t {
    keep,        ///< stays as it is
    masquerade,  ///< becomes the gateway's address, with a port that the contestant chooses
};

/// The first packet of a connection, or another that comes before the first is confirmed.
struct Packet {
    Tuple<V4> original;
    V4Address backend;               ///< destination NAT: to whom the packet goes
    std::uint16_t backend_port = 0;  ///< likewise
    SourceNat source_nat = SourceNat::keep;
};

/// One packet's way through the gateway. `id`s count from 0.
struct Passage {
    std::uint32_t id = 0;
    unsigned thread = 0;
    Packet packet;
    Instant choose = 0;   ///< looks up, and chooses a tuple
    Instant confirm = 0;  ///< confirms (or publishes) it, and leaves; not before `choose`
};

/// A packet that left the gateway, as whom.
struct Departure {
    std::uint32_t id = 0;
    Tuple<V4> sent;
};

/// The counters of a contestant; names as `conntrack -S` prints them where there is one.
struct Counts {
    std::uint64_t insert = 0;          ///< connections confirmed
    std::uint64_t insert_failed = 0;   ///< packets dropped for a clash
    std::uint64_t clash_resolved = 0;  ///< packets that clashed and were not dropped
    std::uint64_t found = 0;           ///< proposals that were taken
    std::uint64_t gave_up = 0;         ///< searches that ended with a taken port
};

/// A gateway, as far as the race goes. Each id passes `choose` until it has chosen, then `confirm`.
class Contestant {
  public:
    enum class Choice : std::uint8_t {
        made,
        parked,  ///< another worker is at it: choose again, one round of the worker later
    };

    Contestant() = default;
    virtual ~Contestant() = default;
    Contestant(const Contestant&) = delete;
    Contestant& operator=(const Contestant&) = delete;

    virtual Choice choose(const Passage& passage, Instant now) = 0;
    /// The tuple that the packet leaves with; nothing when it is dropped.
    virtual std::optional<Tuple<V4>> confirm(const Passage& passage, Instant now) = 0;
    [[nodiscard]] virtual Counts counts() const = 0;
};

/// Takes all passages through the gateway. At the same moment, confirmations come before choices:
/// a distance of zero leaves nothing to race with.
/// @throws std::runtime_error when a packet is still parked after 100 ms.
[[nodiscard]] std::vector<Departure> cross(Contestant& gateway, std::span<const Passage> passages);

}  // namespace noclash::racelab
