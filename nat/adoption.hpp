// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Adopted flows
//
// What the layers above the engine keep in flow records, made whole again after another process had
// them (engine/flow_adoption.hpp): which records can be, which still have time, who refers to
// whom, and what limits count. Nothing of it is taken from counters that were left, since a kill
// may have come between a flow and its count.

#include <array>
#include <bit>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/flow_adoption.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/limits/limits.hpp"
#include "nat/mapping/mapping.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/packet/translation.hpp"
#include "nat/policy/policy_snapshot.hpp"
#include "nat/reuse/incarnations.hpp"

namespace noclash::nat {

/// Adopts the records of a table, and counts them in `limits`. Used once, by one thread, before any
/// worker begins.
template <class Family, class Traits>
class Adoption {
  public:
    using Table = FlowTable<Family, Traits>;
    using Record = typename Table::Record;

    /// @param left_ms  when the last process was alive last, as `now_ms`
    Adoption(Table& table, Limits<Family, Traits>& limits, Round<Family> round,
             std::uint64_t left_ms)
        : table_(table), flows_(table), round_(round), left_ms_(std::min(left_ms, round.now_ms)) {
        flows_.enter_index([this](Record& record, FlowStatus status) {
            return is_wildcard(record) ? judge_wildcard(record, status)
                                       : judge_flow(record, status);
        });
        refer();
        end_idle(wildcard::remote_port);
        refer_permissions();
        end_idle(wildcard::remote);
        look_at_incarnations();
        if (limits.active()) count(limits);
        spare_ = flows_.free_the_rest();
    }

    [[nodiscard]] const FlowAdoption<Family, Traits>& flows() const { return flows_; }
    [[nodiscard]] const AdoptionCounts& counts() const { return flows_.counts(); }
    /// Free records that some worker has to `stock`.
    [[nodiscard]] const std::vector<FlowId>& spare() const { return spare_; }

  private:
    static constexpr std::uint8_t mapped = flow_mark::source_mapped | flow_mark::destination_mapped;

    /// How long the record would have lived from now on, in ms. Moments wrap around after 49 days;
    /// so they are read as of the time when they were written.
    [[nodiscard]] std::int64_t time_left(const Record& record) const {
        const Moment expires = record.expires.load(std::memory_order_relaxed);
        return ms_between(to_moment(left_ms_), expires) -
               static_cast<std::int64_t>(round_.now_ms - left_ms_);
    }

    [[nodiscard]] Adoptable judge_flow(Record& flow, FlowStatus status) const {
        if (!is_plausible(flow)) return Adoptable::implausible;
        const bool is_tcp = flow.tuples[0].protocol == ip_protocol::tcp;
        const TcpProgress progress = tcp_progress(flow);
        if (time_left(flow) <= 0) {
            // Its time is that of a SYN: the client waits, and is told how it ends.
            const bool waits = is_tcp && progress.is_proxied_opening();
            if (!waits || status != FlowStatus::live) return Adoptable::over;
            flow.expires.store(to_moment(round_.now_ms), std::memory_order_relaxed);
        }
        // A crash has come while its handshakes were being joined.
        if (is_tcp && progress.is_proxied() && progress.state() == TcpState::syn_recv)
            return Adoptable::over;
        const bool proven_over = is_tcp && progress.state() == TcpState::time_wait;
        if (status == FlowStatus::ending && proven_over) return Adoptable::over;
        // What counted it is gone; so is whoever would take the count off.
        constexpr auto rest = static_cast<std::uint8_t>(~flow_mark::counted);
        if ((flow.marks.load(std::memory_order_relaxed) & flow_mark::counted) != 0)
            flow.marks.fetch_and(rest, std::memory_order_relaxed);
        return Adoptable::yes;
    }

    [[nodiscard]] Adoptable judge_wildcard(Record& record, FlowStatus status) const {
        if (!is_plausible_wildcard(record)) return Adoptable::implausible;
        if (is_incarnation(record)) {
            return status == FlowStatus::live && time_left(record) > 0 ? Adoptable::yes
                                                                       : Adoptable::over;
        }
        references(record).store(is_mapping(record) && has_quarantine(record) ? 1 : 0,
                                 std::memory_order_relaxed);
        // It lives as long as its flows; the wheel only asks again.
        if (time_left(record) <= 0)
            record.expires.store(to_moment(round_.now_ms), std::memory_order_relaxed);
        return Adoptable::yes;
    }

    [[nodiscard]] static bool is_plausible(const Record& flow) {
        const auto& [original, reply] = flow.tuples;
        if (!of_one_flow(original, reply)) return false;
        Tuple<Family> to;
        Tuple<Family>::invert(reply, to);
        const Translation changes = translation(original, to);
        if (flow.sum_changes != std::array{changes.addresses.word(), changes.all.word()})
            return false;
        return is_plausible_state(original.protocol, flow);
    }
    [[nodiscard]] static bool is_plausible_state(std::uint8_t protocol, const Record& flow) {
        const std::uint8_t state = flow.protocol_state.load(std::memory_order_relaxed);
        if (protocol == ip_protocol::tcp) {
            const TcpState of_tcp = TcpProgress(state).state();
            return of_tcp != TcpState::none && of_tcp < TcpState::count;
        }
        if (protocol == ip_protocol::sctp) return state < sctp_state_names.size();
        return true;
    }
    [[nodiscard]] static bool is_plausible_wildcard(const Record& record) {
        const auto& [original, reply] = record.tuples;
        if (!of_one_flow(original, reply)) return false;
        if (original.reserved == wildcard::incarnation)
            return original.protocol == ip_protocol::tcp &&
                   is_plausible_state(original.protocol, record);
        return (original.reserved == wildcard::remote ||
                original.reserved == wildcard::remote_port) &&
               filtering_of(record) <= Filtering::endpoint_independent;
    }
    [[nodiscard]] static bool of_one_flow(const Tuple<Family>& original,
                                          const Tuple<Family>& reply) {
        return original.protocol == reply.protocol && original.zone == reply.zone &&
               original.reserved == reply.reserved;
    }

    /// Counts the flows at the mappings and permissions that they hold.
    void refer() {
        std::mutex mutex;
        std::vector<FlowId> orphans;
        flows_.for_each([&](FlowId id, const Record& record) {
            if (is_wildcard(record)) {
                const std::scoped_lock lock(mutex);
                wildcards_.push_back(id);
                return;
            }
            if ((record.marks.load(std::memory_order_relaxed) & mapped) == 0) return;
            if (hold_endpoints(record)) return;
            const std::scoped_lock lock(mutex);
            orphans.push_back(id);
        });
        for (const FlowId id : orphans)
            flows_.drop(id, &AdoptionCounts::orphaned);
    }

    /// False when one is not there; then neither is held.
    [[nodiscard]] bool hold_endpoints(const Record& flow) {
        const std::uint8_t marks = flow.marks.load(std::memory_order_relaxed);
        const auto& [original, reply] = flow.tuples;
        std::array<Record*, 2> held{};
        std::size_t count = 0;
        if ((marks & flow_mark::source_mapped) != 0)
            held[count++] = holder_of(to_source(original, reply, marks), original);
        if ((marks & flow_mark::destination_mapped) != 0)
            held[count++] = holder_of(to_destination(original, reply), reply);
        for (std::size_t i = 0; i < count; ++i)
            if (held[i] == nullptr) return false;
        for (std::size_t i = 0; i < count; ++i) {
            references(*held[i]).fetch_add(1, std::memory_order_relaxed);
            idle(*held[i]).store(0, std::memory_order_relaxed);
        }
        return true;
    }

    /// As `FlowEnd` finds it: a permission holds the mapping, and the flow the permission. Null
    /// when there is none of the flow's inside endpoint: a flow that was ending may have lost its
    /// mapping, and the outside endpoint may be another's by now.
    /// @param from_remote  `remote -> outside`, as a packet from the remote has it
    /// @param from_inside  as the inside endpoint's packets are
    [[nodiscard]] Record* holder_of(const Tuple<Family>& from_remote,
                                    const Tuple<Family>& from_inside) {
        Record* const mapping = find(mapping_of_destination(from_remote));
        if (mapping == nullptr || !is_of(*mapping, from_inside)) return nullptr;
        if (filtering_of(*mapping) != Filtering::address_dependent) return mapping;
        return find(permission_of(from_remote));
    }
    [[nodiscard]] static bool is_of(const Record& mapping, const Tuple<Family>& from_inside) {
        const Tuple<Family>& inside = mapping.tuples[0];
        return inside.source == from_inside.source && inside.source_port == from_inside.source_port;
    }

    /// Ends mappings, or permissions, that nothing holds. One that refers to itself is in its
    /// quarantine.
    void end_idle(std::uint8_t kind) {
        for (const FlowId id : wildcards_) {
            const Record& record = table_.pool()[id];
            if (record.tuples[0].reserved == kind &&
                record.memory[flow_memory::references].load(std::memory_order_relaxed) == 0)
                flows_.drop(id, &AdoptionCounts::over);
        }
    }

    void refer_permissions() {
        for (const FlowId id : wildcards_) {
            const Record& record = table_.pool()[id];
            if (record.tuples[0].reserved != wildcard::remote_port || !is_live(record)) continue;
            Record* const mapping = find(mapping_of_destination(record.tuples[1]));
            if (mapping != nullptr)  // else it held no flow, either, and is gone
                references(*mapping).fetch_add(1, std::memory_order_relaxed);
        }
    }

    /// One that has proven itself takes its flow over, once more if need be: a kill may have come
    /// in the middle. One without its flow is nothing.
    void look_at_incarnations() {
        for (const FlowId id : wildcards_) {
            const Record& record = table_.pool()[id];
            if (!is_incarnation(record) || !is_live(record)) continue;
            Tuple<Family> original = record.tuples[0];
            original.reserved = 0;
            Record* const flow = find(original);
            const bool is_its =
                flow != nullptr && incarnation_of(flow->tuples[1]) == record.tuples[1];
            if (is_its && !is_proven(record)) continue;
            if (is_its) {
                take_over(
                    *flow, record,
                    expiry(round_.now_ms, timeout_s(round_.policy.timeouts, tcp_state(record))));
            }
            flows_.drop(id, &AdoptionCounts::over);
        }
    }

    /// The client's third segment was there.
    [[nodiscard]] static bool is_proven(const Record& incarnation) {
        const TcpState state = tcp_state(incarnation);
        return !is_half_open(state) && state != TcpState::close;
    }

    void count(Limits<Family, Traits>& limits) {
        parallel_for(table_.workers(), 1, [&](std::size_t begin, std::size_t end) {
            for (std::size_t worker = begin; worker != end; ++worker)
                flows_.for_each_of(static_cast<std::uint16_t>(worker), [&](FlowId, Record& record) {
                    if (!is_wildcard(record))
                        limits.adopt(round_.policy, record, static_cast<std::uint32_t>(worker));
                });
        });
    }

    /// The live record of a tuple; null: there is none.
    [[nodiscard]] Record* find(const Tuple<Family>& key) {
        const Found found = table_.index().find(key, table_.index().hash(key));
        return found ? &table_.pool()[found.flow] : nullptr;
    }
    [[nodiscard]] static bool is_live(const Record& record) {
        return record.status.load(std::memory_order_relaxed) == FlowStatus::live;
    }

    Table& table_;
    FlowAdoption<Family, Traits> flows_;
    Round<Family> round_;
    std::uint64_t left_ms_;
    std::vector<FlowId> wildcards_;  ///< mappings, permissions and incarnations
    std::vector<FlowId> spare_;
};

}  // namespace noclash::nat
