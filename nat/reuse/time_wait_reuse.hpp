// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/base/random.hpp"
#include "engine/reservation.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/conntrack/flow_words.hpp"
#include "nat/limits/limits.hpp"
#include "nat/mapping/mapping.hpp"
#include "nat/policy/policy_snapshot.hpp"
#include "nat/policy/port_set.hpp"
#include "nat/ports/occupancy_maps.hpp"

namespace noclash::nat {

/// The numbers that the SYN of a new connection will have when it leaves.
struct OpeningSegment {
    std::uint32_t sequence = 0;
    std::optional<std::uint32_t> timestamp;  ///< TSval
};

/// How a server that holds a finished connection in TIME_WAIT takes the SYN of a new one.
enum class AtServer : std::uint8_t {
    may_refuse,
    opens,     ///< if it follows RFC 6191, as Linux does
    all_open,  ///< and if it judges by the sequence number alone (RFC 1122, section 4.2.2.13)
};

/// As [RFC 6191 section 2] has a server judge, with what the gateway remembers of the finished
/// connection.
template <class Record>
[[nodiscard]] AtServer judge(const Record& closed, const OpeningSegment& segment) {
    const auto remembered = [&](std::size_t word) {
        return closed.memory[word].load(std::memory_order_relaxed);
    };
    const std::uint32_t end = remembered(flow_memory::tcp_end(Direction::original));
    const bool sequence_ahead = end != 0 && static_cast<std::int32_t>(segment.sequence - end) > 0;
    const std::uint32_t sent = remembered(flow_memory::timestamp_sent);
    if (sent == 0 || !segment.timestamp)
        return sequence_ahead ? AtServer::all_open : AtServer::may_refuse;
    const auto ticks_ahead = static_cast<std::int32_t>(*segment.timestamp - sent);
    if (ticks_ahead >= 0 && sequence_ahead) return AtServer::all_open;
    return ticks_ahead > 0 ? AtServer::opens : AtServer::may_refuse;
}

/// Where no port is free towards a destination, but some are held by connections that have ended:
/// has a new connection succeed one of these before its time, if that is safe at the server [field
/// c]. Those that are closed wait like in a quarantine: the oldest goes first, of those that are
/// safe at every server, else of those that are safe by RFC 6191.
///
/// Looks at a sample of many ports, from all of them at random. So the choice stays hard to
/// guess, which a queue's head is not [RFC 6056], and costs no queue. Of at most `most` ports all
/// are looked at. One per worker.
template <class Family, class Traits>
class TimeWaitReuse {
  public:
    using Address = typename Family::Address;
    using Claim = Reservation<Family, Traits>;
    using Table = FlowTable<Family, Traits>;

    static constexpr std::uint32_t most = 64;  ///< ports looked at
    /// A connection that was reset has to be silent for so long: its ends may not have believed the
    /// RST. (netfilter forgets it after that time.)
    static constexpr std::uint32_t silent_after_reset_ms = 10'000;

    TimeWaitReuse(Table& table, Limits<Family, Traits>& limits) : table_(table), limits_(limits) {}

    /// True when `claim` has succeeded a finished connection: its reply tuple is `reply` with one
    /// of `addresses` as destination and a port out of `ports`. `segment_from(address)` is what the
    /// SYN will say that leaves from that address.
    template <class SegmentFrom>
    bool succeed(Claim& claim, Tuple<Family> reply, std::span<const Address> addresses,
                 const PortSet& ports, RandomBuffer& random, Round<Family> round,
                 SegmentFrom&& segment_from) {
        const Policy<Family>& policy = round.policy;
        latest_expiry_of_reset_ =
            expiry(round.now_ms, policy.timeouts.tcp_close_s) - silent_after_reset_ms;
        draw(reply, addresses, ports, random);
        look(policy, segment_from);
        while (const Candidate* best = oldest()) {
            if (take(policy, claim, *best, segment_from(best->reply.destination))) return true;
            drop(best);  // another worker was faster, or its client has come back
        }
        return false;
    }

  private:
    struct Candidate {
        Tuple<Family> reply{};
        std::uint64_t hash = 0;
        FlowId flow = no_flow;
        AtServer at_server = AtServer::may_refuse;
        Moment expires = 0;
    };

    /// All tuples when they are few, else some at random; on their way into the cache.
    void draw(Tuple<Family>& reply, std::span<const Address> addresses, const PortSet& ports,
              RandomBuffer& random) {
        const auto count = static_cast<std::uint32_t>(addresses.size());
        const std::uint64_t all = std::uint64_t{count} * ports.size();
        size_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(all, most));
        for (std::uint32_t i = 0; i < size_; ++i) {
            const bool each = all <= most;
            const std::uint32_t nth = each ? i % ports.size() : random.below(ports.size());
            reply.destination = addresses[each ? i / ports.size() : random.below(count)];
            reply.destination_port = Be16::from_host(ports[nth]);
            candidates_[i] = {reply, table_.index().hash(reply), no_flow, AtServer::may_refuse, 0};
            table_.index().prefetch(candidates_[i].hash);
        }
        for (std::uint32_t i = 0; i < size_; ++i)
            table_.index().prefetch_flow(candidates_[i].hash);
    }

    template <class SegmentFrom>
    void look(const Policy<Family>& policy, SegmentFrom&& segment_from) {
        for (Candidate& candidate : std::span(candidates_).first(size_)) {
            const Found found = table_.index().find(candidate.reply, candidate.hash);
            if (!found || found.direction != Direction::reply) continue;
            const auto& flow = table_.pool()[found.flow];
            if (flow.status.load(std::memory_order_acquire) != FlowStatus::live ||  // (5)
                !is_closed(policy, tcp_state(flow), flow))
                continue;
            candidate.at_server = judge(flow, segment_from(candidate.reply.destination));
            candidate.expires = flow.expires.load(std::memory_order_relaxed);
            if (candidate.at_server != AtServer::may_refuse) candidate.flow = found.flow;
        }
    }

    /// Null when there is none left.
    const Candidate* oldest() const {
        const Candidate* best = nullptr;
        for (const Candidate& candidate : std::span(candidates_).first(size_)) {
            if (candidate.flow == no_flow) continue;
            if (best == nullptr || candidate.at_server > best->at_server ||
                (candidate.at_server == best->at_server &&
                 ms_between(candidate.expires, best->expires) > 0))
                best = &candidate;
        }
        return best;
    }

    void drop(const Candidate* candidate) {
        candidates_[static_cast<std::size_t>(candidate - candidates_.data())].flow = no_flow;
    }

    /// One worker begins to end the flow. Its client may open the connection anew just now, on
    /// another worker: that one moves the state and looks at the status (33) then, this one has
    /// changed the status (6) and looks at the state now. At least one sees the other, and gives
    /// way.
    bool take(const Policy<Family>& policy, Claim& claim, const Candidate& candidate,
              const OpeningSegment& segment) {
        if (!table_.begin_end(candidate.flow)) return false;
        auto& flow = table_.pool()[candidate.flow];
        const TcpState state =
            TcpProgress(flow.protocol_state.load(std::memory_order_seq_cst)).state();  // (32)
        if (!is_closed(policy, state, flow) || judge(flow, segment) == AtServer::may_refuse) {
            table_.revive(candidate.flow);
            return false;
        }
        limits_.ended(policy, flow);
        claim.succeed(candidate.flow, candidate.hash);
        return true;
    }

    /// Its end is proven: the server's side, at most, remembers it. And its ports are its own: not
    /// those of a mapping, which other flows share.
    template <class Record>
    [[nodiscard]] bool is_closed(const Policy<Family>& policy, TcpState state,
                                 const Record& flow) const {
        constexpr std::uint8_t mapped = flow_mark::source_mapped | flow_mark::destination_mapped;
        if ((flow.marks.load(std::memory_order_relaxed) & mapped) != 0) return false;
        if (!is_over(state, policy.tcp.window)) return false;
        return state != TcpState::close || ms_between(flow.expires.load(std::memory_order_relaxed),
                                                      latest_expiry_of_reset_) >= 0;
    }

    Table& table_;
    Limits<Family, Traits>& limits_;
    Moment latest_expiry_of_reset_ = 0;
    std::array<Candidate, most> candidates_;
    std::uint32_t size_ = 0;
};

}  // namespace noclash::nat
