// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstdint>
#include <utility>

#include "engine/flow_worker.hpp"

namespace noclash {

/// The set-up of one flow: claim, reserve, fill in, publish. Destroyed before `publish()`, it rolls
/// back whatever was done (invariant 3); after it, the flow stands.
///
///     Reservation reservation(worker, original);          // claim
///     if (reservation.error() != SetupError::none) ...
///     while (reservation.reserve(proposal) == taken) ...  // reserve
///     reservation.record().rule = ...;                    // fill in
///     reservation.publish(expires, now_ms);
///
/// The claimed flow can be found by other workers at once, with status `setup`: they see that the
/// tuple is taken and that the flow is not usable yet. `publish` is a release store of the status,
/// which synchronizes-with their acquire load: a worker that sees `live` sees a complete flow.
template <class Family, class Traits = Production>
class Reservation {
  public:
    using Worker = FlowWorker<Family, Traits>;
    using Record = typename Worker::Record;

    Reservation(Worker& worker, const Tuple<Family>& original)
        : Reservation(worker, original, worker.table().index().hash(original)) {}

    /// @param hash  the index's hash of `original`, when the caller has it already
    [[gnu::always_inline]] Reservation(Worker& worker, const Tuple<Family>& original,
                                       std::uint64_t hash)
        : worker_(worker), id_(worker.take_record()), record_(&worker.record(id_)) {
        if (id_ == no_flow) [[unlikely]]
            return;
        Record& flow = *record_;
        flow.tuple(Direction::original) = original;
        flow.owner = static_cast<std::uint8_t>(worker.id());
        flow.marks.store(0, std::memory_order_relaxed);
        flow.status.store(FlowStatus::setup, std::memory_order_relaxed);
        const InsertResult result = worker.table().index().insert(
            id_, Direction::original, original, hash, worker.counters());
        if (result.error == SetupError::none) [[likely]] {
            place(Direction::original) = result.place;
            error_ = SetupError::none;
        } else {
            refuse(result);
        }
    }

    ~Reservation() {
        if (id_ != no_flow) [[unlikely]]
            roll_back();
    }
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;

    /// The claim's result: `none`, `taken`, `busy`, `table_full` or `chain_too_long`.
    [[nodiscard]] SetupError error() const { return error_; }
    /// The owner of the tuple of the latest claim or proposal, when it is `taken`.
    [[nodiscard]] Found owner() const { return owner_; }
    [[nodiscard]] FlowId id() const { return id_; }
    [[nodiscard]] Record& record() { return *record_; }

    /// Proposes the reply tuple. Succeeds once at most; after `taken`, `busy` or `chain_too_long`
    /// propose another one, or give up.
    SetupError reserve(const Tuple<Family>& reply) { return reserve(reply, hash(reply)); }
    /// The index's hash.
    [[nodiscard]] std::uint64_t hash(const Tuple<Family>& tuple) const {
        return worker_.table().index().hash(tuple);
    }
    /// @param hash  the index's hash of `reply`: a caller that has it could prefetch the bucket
    [[gnu::always_inline]] SetupError reserve(const Tuple<Family>& reply, std::uint64_t hash) {
        assert(id_ != no_flow && !reserved_);
        record_->tuple(Direction::reply) = reply;
        const InsertResult result =
            worker_.table().index().insert(id_, Direction::reply, reply, hash, worker_.counters());
        reserved_ = result.error == SetupError::none;
        if (reserved_) [[likely]] {
            place(Direction::reply) = result.place;
            begin_counting();
        } else {
            owner_ = result.owner;
            if (result.error == SetupError::taken) worker_.counters().found.add();
        }
        return result.error;
    }

    /// Takes over the reply tuple of a live flow that the caller has begun to end: at no moment has
    /// the tuple no owner, so nobody comes between. As a successful `reserve`, but not given up any
    /// more: publish.
    /// @param hash  the index's hash of the tuple
    void succeed(FlowId before, std::uint64_t hash) {
        assert(id_ != no_flow && !reserved_);
        Record& old = worker_.record(before);
        record().tuple(Direction::reply) = old.tuple(Direction::reply);
        place(Direction::reply) = old.place(Direction::reply);
        worker_.table().index().hand_over(place(Direction::reply), id_, Direction::reply, hash);
        reserved_ = true;
        begin_counting();
        worker_.table().index().remove(old.place(Direction::original));
        worker_.counters().removed.add();
        worker_.succeed(before);
    }

    /// Makes the flow usable by everyone. After a successful `reserve`, or `succeed`.
    FlowId publish(Moment expires, std::uint64_t now_ms) {
        const FlowId id = publish_held(expires);
        worker_.arm(id, now_ms);
        return id;
    }
    /// The same, but the caller holds the flow, not the wheel: until it arms it, or ends it when
    /// its time has come.
    FlowId publish_held(Moment expires) {
        assert(id_ != no_flow && reserved_);
        Record& flow = *record_;
        flow.expires.store(expires, std::memory_order_relaxed);
        flow.status.store(FlowStatus::live, std::memory_order_release);  // (4)
        worker_.counters().insert.add();
        return std::exchange(id_, no_flow);
    }

  private:
    IndexPlace& place(Direction direction) { return record_->place(direction); }

    /// Behind the last locked swap, each of which waits for all that was stored before it.
    void begin_counting() {
        for (auto& counter : record_->counters) {
            counter.packets.store(0, std::memory_order_relaxed);
            counter.bytes.store(0, std::memory_order_relaxed);
        }
    }

    /// The claim has failed.
    [[gnu::noinline]] void refuse(InsertResult result) {
        owner_ = result.owner;
        error_ = result.error;
        record_->status.store(FlowStatus::free, std::memory_order_relaxed);
        worker_.give_back_record(std::exchange(id_, no_flow));  // nobody has seen it
    }

    [[gnu::noinline]] void roll_back() {
        auto& index = worker_.table().index();
        index.remove(place(Direction::original));
        if (reserved_) {
            index.remove(place(Direction::reply));
            record_->status.store(FlowStatus::dead, std::memory_order_relaxed);
        }  // else `setup` remains: FlowWorker::reclaim knows by it that there is no reply tuple
        worker_.counters().rolled_back.add();
        worker_.retire(id_);
    }

    Worker& worker_;
    FlowId id_;
    Record* record_;  ///< `id_`'s; after `publish`, too
    SetupError error_ = SetupError::table_full;
    Found owner_{};
    bool reserved_ = false;
};

}  // namespace noclash
