// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "tools/storm/frame.hpp"
#include "tools/storm/sockets.hpp"

namespace noclash::tools {

/// The fates of the connections with the ids 0 to expected-1.
struct LedgerSummary {
    std::uint64_t expected = 0;
    std::uint64_t delivered = 0;         ///< arrived exactly once
    std::uint64_t duplicated = 0;        ///< arrived more than once
    std::uint64_t lost = 0;              ///< never arrived
    std::uint64_t tuple_collisions = 0;  ///< arrived with the tuple of another connection
    std::uint64_t split_pairs = 0;       ///< of one socket, at two destinations; shared only
    std::uint64_t bad_checksums = 0;     ///< packets
    std::uint64_t strangers = 0;         ///< packets with an id that nobody sent
};

/// Keeps account of every arrival. One thread.
class Ledger {
  public:
    explicit Ledger(std::uint32_t expected, Sockets sockets = Sockets::one_each);

    void enter(const Arrival& arrival);

    /// True once every expected connection arrived at least once.
    [[nodiscard]] bool complete() const { return missing_ == 0; }
    [[nodiscard]] LedgerSummary summary() const;

  private:
    /// A tuple towards one service: the protocol and the service's port are the same for all.
    static std::uint64_t tuple_key(const Probe& probe);
    /// Which socket sent it: who may own its tuple.
    [[nodiscard]] std::uint32_t socket_of(std::uint32_t id) const;
    /// Notes where a packet of a shared socket came out.
    void enter_pair(std::uint32_t socket, V4Address destination);

    struct Pair {
        V4Address destination;  // of the first that arrived
        bool arrived = false;
        bool split = false;
    };

    Sockets sockets_;
    std::vector<std::uint8_t> copies_;  // of each id; stops counting at 255
    std::vector<Pair> pairs_;           // of each shared socket
    // Source address and port; the destination is mixed in by a map per destination address.
    std::unordered_map<std::uint32_t, std::unordered_map<std::uint64_t, std::uint32_t>> owners_;
    std::uint64_t missing_;
    std::uint64_t tuple_collisions_ = 0;
    std::uint64_t bad_checksums_ = 0;
    std::uint64_t strangers_ = 0;
};

}  // namespace noclash::tools
