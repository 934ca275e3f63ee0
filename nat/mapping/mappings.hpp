// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

#include "engine/reservation.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/mapping/flow_end.hpp"
#include "nat/mapping/mapping.hpp"
#include "nat/policy/policy_snapshot.hpp"
#include "nat/ports/port_allocator.hpp"

namespace noclash::nat {

/// The mapping that an inside endpoint gets when it has none.
template <class Family>
struct MappingRequest {
    Tuple<Family> original;  ///< of the mapping: `mapping_of_source`
    std::uint64_t hash = 0;  ///< of it
    const PortOffer<Family>& offer;
    RuleId rule = 0;
    Filtering filtering = Filtering::address_and_port_dependent;
};

/// Finds and sets up mappings and permissions for the flows that a worker sets up. The theory is in
/// nat/mapping/mapping.hpp. One per worker.
template <class Family, class Traits>
class Mappings {
  public:
    using Worker = FlowWorker<Family, Traits>;
    using Record = typename Worker::Record;
    using Claim = Reservation<Family, Traits>;
    using Proposals = PortAllocator<Family, Traits>;
    using Crowded = OccupancyMaps<Family, Traits>;

    /// The references of one flow that is being set up. Destroyed before `keep`, it gives them
    /// back.
    class References {
      public:
        explicit References(Mappings& mappings) : mappings_(mappings) {}
        ~References() {
            if (count_ > 0) [[unlikely]]
                give_back();
        }
        References(const References&) = delete;
        References& operator=(const References&) = delete;

        /// The flow has them from now on: just before it is published, and its marks with it.
        void keep(Record& flow) {
            if (marks_ == 0) [[likely]]
                return;
            mark(flow, marks_);
            count_ = 0;
        }

      private:
        friend Mappings;
        [[gnu::noinline]] void give_back() {
            for (std::size_t i = 0; i < count_; ++i)
                mappings_.end_.leave(ids_[i]);
        }
        void add(FlowId id, std::uint8_t mark) {
            ids_[count_++] = id;
            marks_ |= mark;
        }
        void replace_last(FlowId id) { ids_[count_ - 1] = id; }

        Mappings& mappings_;
        std::array<FlowId, 2> ids_{};
        std::size_t count_ = 0;
        std::uint8_t marks_ = 0;
    };

    Mappings(Worker& worker, Crowded& crowded, Proposals& proposals, Limits<Family, Traits>& limits)
        : worker_(worker),
          proposals_(proposals),
          end_(worker.table(), crowded, limits, worker.counters(), counters_) {}

    /// The mapping of a flow's source: the one there is, or a new one. Once for a flow, and first.
    /// Without an error, `reply` goes to its outside endpoint.
    SetupError hold_source(References& flow, const MappingRequest<Family>& request,
                           Tuple<Family>& reply, Round<Family> round) {
        assert(flow.count_ == 0);
        const auto [id, error] = source_mapping(request, round);
        if (error != SetupError::none) return error;
        flow.add(id, flow_mark::source_mapped);
        const Tuple<Family>& outside = worker_.record(id).tuple(Direction::reply);
        reply.destination = outside.destination;
        reply.destination_port = outside.destination_port;
        return SetupError::none;
    }

    /// Admits the remote that a flow goes to, when its source has a mapping. After `hold_source`.
    /// @param from_remote  how the remote's packets come to the outside endpoint
    SetupError permit(References& flow, const Tuple<Family>& from_remote, std::uint64_t now_ms) {
        assert(flow.count_ > 0);
        const FlowId mapping = flow.ids_[flow.count_ - 1];
        const Record& record = worker_.record(mapping);
        if (filtering_of(record) != Filtering::address_dependent) return SetupError::none;
        const auto [id, error] = permission(mapping, permission_of(from_remote), now_ms);
        if (error == SetupError::none) flow.replace_last(id);
        return error;
    }

    /// The mapping that a packet goes to, perhaps not live; nothing when there is none.
    [[nodiscard]] Found find_destination(const Tuple<Family>& packet) const {
        return find(mapping_of_destination(packet));
    }

    /// Whether a remote that nothing was sent to may send to a mapping.
    /// @param from_remote  its packet, as it comes to the outside endpoint
    [[nodiscard]] bool admits(FlowId mapping, const Tuple<Family>& from_remote) const {
        switch (filtering_of(worker_.record(mapping))) {
            case Filtering::endpoint_independent:
                return !in_quarantine(worker_.record(mapping));
            case Filtering::address_dependent:
                return static_cast<bool>(find(permission_of(from_remote)));
            case Filtering::address_and_port_dependent:
                break;
        }
        return false;
    }

    /// The mapping that a flow goes to, when its filtering admits the remote.
    SetupError hold_destination(References& flow, FlowId mapping,
                                const Tuple<Family>& from_remote) {
        Found found{mapping, Direction::reply};
        if (filtering_of(worker_.record(mapping)) == Filtering::address_dependent)
            found = find(permission_of(from_remote));
        if (!found || !admits(mapping, from_remote)) return SetupError::filtered;
        if (!join_live(found.flow)) return SetupError::pending;
        flow.add(found.flow, flow_mark::destination_mapped);
        // The mapping may have ended since the caller found it, and the permission be one of the
        // mapping that has its outside endpoint now. As long as it is live, it has that itself.
        return is_live(mapping) ? SetupError::none : SetupError::pending;
    }

    /// Holds a flow's references once more, for as long as another is set up in its place: else
    /// a mapping whose last flow it is would end in between.
    void hold_again(References& kept, const Record& flow) {
        const std::uint8_t marks = flow.marks.load(std::memory_order_relaxed);
        const Tuple<Family>& original = flow.tuple(Direction::original);
        const Tuple<Family>& reply = flow.tuple(Direction::reply);
        if ((marks & flow_mark::source_mapped) != 0)
            hold_endpoint(kept, to_source(original, reply, marks));
        if ((marks & flow_mark::destination_mapped) != 0)
            hold_endpoint(kept, to_destination(original, reply));
    }

    // With `inbound_refresh = false` (nat/policy/timeouts.hpp):

    /// A packet of a flow goes that way, and has the flow live so long.
    void note_outward(const Record& flow, Direction direction, Moment expires) {
        const std::uint8_t marks = flow.marks.load(std::memory_order_relaxed);
        if ((marks & (flow_mark::source_mapped | flow_mark::destination_mapped)) == 0) return;
        if (comes_from_outside(marks, direction)) return;
        const Tuple<Family>& original = flow.tuple(Direction::original);
        const Tuple<Family>& reply = flow.tuple(Direction::reply);
        // It leaves by its sender's mapping.
        const Tuple<Family> back = direction == Direction::original
                                       ? to_source(original, reply, marks)
                                       : to_destination(original, reply);
        const Found found = find(mapping_of_destination(back));
        if (!found) return;  // never: the flow holds it
        auto& until = outward_until(worker_.record(found.flow));
        if (ms_between(until.load(std::memory_order_relaxed), expires) > 0)
            until.store(expires, std::memory_order_relaxed);
    }
    /// Whether something that left by the mapping still counts.
    [[nodiscard]] bool in_use(FlowId mapping, std::uint64_t now_ms) const {
        return ms_between(to_moment(now_ms), until(mapping)) > 0;
    }
    /// When a flow to a mapping, opened from outside, is to die.
    [[nodiscard]] Moment bounded(FlowId mapping, Moment expires) const {
        return ms_between(until(mapping), expires) > 0 ? until(mapping) : expires;
    }

    /// A mapping or permission lives on while it has references; asked when its wheel comes to it.
    [[nodiscard]] bool lives_on(Record& record, Round<Family> round) const {
        if (!is_wildcard(record) || is_incarnation(record)) [[likely]]
            return false;
        const std::uint32_t count = references(record).load(std::memory_order_relaxed);
        if (count == 0) return false;
        std::uint32_t asked_again_s = recheck_s;
        if (has_quarantine(record)) {
            const bool idles = count == 1;
            if (idles && idle(record).load(std::memory_order_relaxed) != 0 && leave_itself(record))
                return false;
            idle(record).store(idles ? 1 : 0, std::memory_order_relaxed);
            asked_again_s =
                idles ? round.policy.timeouts.port_quarantine_s : recheck_of_quarantine_s;
        }
        record.expires.store(expiry(round.now_ms, asked_again_s), std::memory_order_relaxed);
        return true;
    }

    [[nodiscard]] FlowEnd<Family, Traits>& end() { return end_; }
    [[nodiscard]] const MappingCounters& counters() const { return counters_; }

  private:
    struct Held {
        FlowId id;
        SetupError error;
    };
    static constexpr std::uint32_t recheck_s = 3600;
    static constexpr std::uint32_t recheck_of_quarantine_s = 10;

    /// @param from_remote  how the remote's packets come to the endpoint, as for `FlowEnd`
    void hold_endpoint(References& kept, const Tuple<Family>& from_remote) {
        Found found = find(mapping_of_destination(from_remote));
        if (found && filtering_of(worker_.record(found.flow)) == Filtering::address_dependent)
            found = find(permission_of(from_remote));
        if (found && join_live(found.flow)) kept.add(found.flow, 0);
    }

    /// Nothing but the mapping itself refers to it.
    [[nodiscard]] static bool in_quarantine(const Record& mapping) {
        return has_quarantine(mapping) && references(mapping).load(std::memory_order_relaxed) == 1;
    }

    [[nodiscard]] Moment until(FlowId mapping) const {
        return outward_until(worker_.record(mapping)).load(std::memory_order_relaxed);
    }

    Held source_mapping(const MappingRequest<Family>& request, Round<Family> round) {
        if (const Found found = index().find(request.original, request.hash))
            return join_found(found.flow);
        Claim claim(worker_, request.original, request.hash);
        if (claim.error() != SetupError::none) return not_claimed(claim);
        const Tuple<Family> anybody = mapping_of_destination(request.original.inverse());
        Tuple<Family> first;
        proposals_.propose(anybody, request.offer, first);
        if (const SetupError error = proposals_.reserve_from(
                claim, first, claim.hash(first), request.offer, to_moment(round.now_ms));
            error != SetupError::none)
            return {no_flow, error};
        Record& record = claim.record();
        record.rule = request.rule;
        record.protocol_state.store(static_cast<std::uint8_t>(request.filtering),
                                    std::memory_order_relaxed);
        const bool quarantine = round.policy.timeouts.port_quarantine_s != 0 &&
                                request.filtering == Filtering::endpoint_independent &&
                                request.original.protocol != ip_protocol::tcp;
        if (quarantine) mark(record, flow_mark::quarantine);
        return publish(claim, counters_.mappings_opened, round.now_ms);
    }

    /// @param mapping  that the caller has a reference to, which the permission takes over when it
    ///                 is new, and which goes when it is not
    Held permission(FlowId mapping, const Tuple<Family>& reply, std::uint64_t now_ms) {
        if (const Found found = find(reply)) {
            const Held held = join_found(found.flow);
            if (held.error == SetupError::none) end_.leave(mapping);
            return held;
        }
        Claim claim(worker_, reply.inverse());
        if (claim.error() != SetupError::none) {
            const Held held = not_claimed(claim);
            if (held.error == SetupError::none) end_.leave(mapping);
            return held;
        }
        // Never `taken`: it has the same owner as its inverse.
        if (const SetupError error = claim.reserve(reply); error != SetupError::none)
            return {no_flow, error};
        Record& record = claim.record();
        record.rule = worker_.record(mapping).rule;
        record.protocol_state.store(0, std::memory_order_relaxed);
        return publish(claim, counters_.permissions_opened, now_ms);
    }

    /// With one reference, the caller's; and one of its own, when it has a quarantine.
    Held publish(Claim& claim, Counter& opened, std::uint64_t now_ms) {
        const bool quarantine = has_quarantine(claim.record());
        references(claim.record()).store(quarantine ? 2 : 1, std::memory_order_relaxed);
        idle(claim.record()).store(0, std::memory_order_relaxed);
        // It ends with its flows, and for no other reason: nothing that looks for flows to do
        // without may take it for one.
        mark(claim.record(), flow_mark::assured);
        outward_until(claim.record()).store(to_moment(now_ms), std::memory_order_relaxed);
        const FlowId id =
            claim.publish(expiry(now_ms, quarantine ? recheck_of_quarantine_s : recheck_s), now_ms);
        opened.add();
        return {id, SetupError::none};
    }

    Held not_claimed(const Claim& claim) {
        return claim.error() == SetupError::taken ? join_found(claim.owner().flow)
                                                  : Held{no_flow, claim.error()};
    }

    Held join_found(FlowId id) {
        return join_live(id) ? Held{id, SetupError::none} : Held{no_flow, SetupError::pending};
    }
    bool join_live(FlowId id) { return is_live(id) && join(worker_.record(id)); }
    [[nodiscard]] bool is_live(FlowId id) const {
        return worker_.record(id).status.load(std::memory_order_acquire) ==
               FlowStatus::live;  // (5)
    }

    [[nodiscard]] auto& index() const { return worker_.table().index(); }
    [[nodiscard]] Found find(const Tuple<Family>& key) const {
        return index().find(key, index().hash(key));
    }

    Worker& worker_;
    Proposals& proposals_;
    MappingCounters counters_;
    FlowEnd<Family, Traits> end_;
};

}  // namespace noclash::nat
