// SPDX-License-Identifier: Apache-2.0
#pragma once

// # netfilter, as far as the race goes
//
// Our own model of what Linux 6.18 does with the first packet of a connection
// (net/netfilter/nf_nat_core.c, nf_conntrack_core.c):
//
//     look up      no confirmed entry for the packet's tuple -> a new one, that nobody else sees
//     destination  the rule's backend; its port is given, so nothing has to be searched
//     source       a tuple that is free *among confirmed entries* (nf_nat_used_tuple)
//     confirm      both tuples checked again; insert, resolve the clash, or drop
//
// Not modelled, since no entry here expires, closes or is one's own side of a simultaneous open:
// timeouts, eviction of TCP connections in TIME_WAIT (nf_nat_used_tuple_harder), zones,
// expectations, early drop, chains that are too long, and clients that have the gateway's own
// address. Locks need no model: a step in virtual time is atomic.

#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string_view>
#include <unordered_map>

#include "bench/racelab/contestant.hpp"
#include "bench/racelab/port_probes.hpp"

namespace noclash::racelab {

/// The flags of nftables' `masquerade` statement. Since Linux 5.0 `random` and `fully-random` are
/// treated alike: both skip keeping the port, and start the search at a random one.
enum class PortChoice : std::uint8_t { keep_if_free, random, fully_random };

/// The kernel's treatment of a UDP clash, by release. (A TCP clash is a drop in all.)
/// Before 5.6, `insert_failed` counts a clash that was resolved as well.
enum class ClashResolution : std::uint8_t {
    without_nat,  ///< 4.7 (71d8c47fc653): adopts an identical entry, but not one with NAT
    same_nat,     ///< 4.19 (ed07d9a021df), 5.0: adopts an identical entry, NAT or not
    any_reply,    ///< 5.6 (6a757c07e51f): else, if the reply is free, inserts it alone, for 1 s
};

/// Bytes of a tuple, hashed without a secret: a run must be reproducible.
struct PlainTupleHash {
    std::size_t operator()(const Tuple<V4>& tuple) const {
        return std::hash<std::string_view>()({reinterpret_cast<const char*>(&tuple), sizeof tuple});
    }
};

class Netfilter : public Contestant {
  public:
    /// @param gateway  the address that masqueraded sources become
    Netfilter(V4Address gateway, PortChoice choice, std::uint64_t seed,
              ClashResolution resolution = ClashResolution::any_reply)
        : gateway_(gateway), choice_(choice), resolution_(resolution), random_(seed) {}

    Choice choose(const Passage& passage, Instant now) override;
    std::optional<Tuple<V4>> confirm(const Passage& passage, Instant now) override;
    [[nodiscard]] Counts counts() const override { return counts_; }

    /// `masquerade to :first-last`, instead of the port's own class.
    void limit_ports(PortSpace ports) { ports_ = ports; }
    /// Ends a confirmed connection: its tuples are free again.
    void end(const Tuple<V4>& original);
    /// Ports asked for, taken or not.
    [[nodiscard]] std::uint64_t tries() const { return tries_; }

  private:
    /// struct nf_conn.
    struct Entry {
        Tuple<V4> original;
        Tuple<V4> reply;
        bool translated = false;  ///< IPS_NAT_MASK: source or destination changed
    };
    /// A packet between its choice and its confirmation.
    struct InFlight {
        Entry* entry = nullptr;
        bool established = false;  ///< found at the look-up: nothing to confirm
    };
    using Verdict = std::optional<Tuple<V4>>;

    [[nodiscard]] Entry* find(const Tuple<V4>& tuple) const;
    bool used(const Tuple<V4>& wanted, const Entry& own);
    bool used_unchanged(const Tuple<V4>& wanted, const Entry& own);
    [[nodiscard]] Tuple<V4> unique_source(const Entry& own, SourceNat nat);
    [[nodiscard]] Tuple<V4> search_port(Tuple<V4> wanted, const Entry& own);
    [[nodiscard]] const Entry* appropriate_source(const Tuple<V4>& original) const;

    Verdict resolve_clash(Entry& loser, Entry& winner);
    Verdict adopt(const Entry& loser);
    void forget(const Entry& entry);

    V4Address gateway_;
    PortChoice choice_;
    ClashResolution resolution_;
    std::mt19937_64 random_;
    std::optional<PortSpace> ports_;

    std::deque<Entry> entries_;
    std::unordered_map<Tuple<V4>, Entry*, PlainTupleHash> confirmed_;  ///< both tuples of each
    /// By original source: an entry is found here before it is confirmed. The key has no
    /// destination.
    std::unordered_multimap<Tuple<V4>, Entry*, PlainTupleHash> by_source_;
    std::unordered_map<std::uint32_t, InFlight> in_flight_;
    Counts counts_;
    std::uint64_t tries_ = 0;
};

}  // namespace noclash::racelab
