// SPDX-License-Identifier: Apache-2.0
#pragma once

// Flows on top of DPDK's rte_hash.
//
// Which mode? Readers must not wait, so RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF. Then about writers.
// rte_hash_add_key_data() *overwrites* the value of a key that is there: two threads that set up
// the same tuple would both believe that it is theirs, the clash that a gateway must not have.
// RTE_HASH_EXTRA_FLAGS_MULTI_WRITER_ADD does not help: it takes the table's one lock several times
// within each add, but what is needed is lookup and add as one step. (An add without data, whose
// position would then be claimed by compare-and-swap, is no way out either: it resets the data of a
// key that is there.) So the lock is ours: one, held while both tuples of a flow are looked up and
// added. Under it rte_hash runs in its cheaper single-writer mode, which is why this is the fastest
// safe use with one thread, and no slower than the other with two. A bulk lookup before the lock
// brings all buckets of a burst into the cache, so it is held for short.
//
// Deletion leaves the key's slot taken; after a grace period rte_hash_free_key_with_position()
// gives it back, and the record with it. (The internal RCU defers each key by itself; one grace
// period for many flows costs less.)
//
// The table has room for a quarter more keys than come and rounds up to a power of two. The hash is
// rte_hash's own choice, CRC32 with the CPU's instruction: faster than a keyed one.

#include <rte_hash.h>
#include <rte_hash_crc.h>

#include <array>
#include <bit>
#include <memory>
#include <mutex>

#include "bench/tables/grace.hpp"
#include "bench/tables/map_table.hpp"
#include "bench/tables/record_slab.hpp"
#include "bench/tables/rte_heap.hpp"
#include "bench/tables/spin_lock.hpp"
#include "bench/tables/table.hpp"

namespace noclash::bench {

class RteHashTable {
  public:
    static constexpr const char* name = "rte_hash";
    static constexpr bool expires_flows = false;

    RteHashTable(std::uint32_t capacity, unsigned workers)
        : quiescence_(workers), records_(capacity, workers), heap_(heap_bytes(capacity)) {
        rte_hash_parameters parameters{};
        parameters.name = "flows";
        parameters.entries = keys_for(capacity);
        parameters.key_len = sizeof(Tuple<V4>);
        parameters.hash_func = rte_hash_crc;
        parameters.socket_id = heap_.socket_id();
        parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF;
        hash_.reset(rte_hash_create(&parameters));
        if (hash_ == nullptr)
            throw std::runtime_error(std::string("rte_hash_create: ") + rte_strerror(rte_errno));
    }

    [[nodiscard]] std::uint64_t live_flows() const {
        // Without deleted keys whose slots wait; nobody is at work, so there are none.
        return static_cast<std::uint64_t>(rte_hash_count(hash_.get())) / 2;
    }

    class Worker {
      public:
        Worker(RteHashTable& table, std::uint16_t number)
            : table_(table), number_(number), cache_(table.records_), grace_(table.quiescence_) {}

        void online() { table_.quiescence_.online(number_); }
        void offline() { table_.quiescence_.offline(number_); }

        void set_up(std::span<const FlowKeys> keys, std::span<FlowId> made, std::uint64_t now_ms) {
            for (std::size_t i = 0; i < keys.size(); ++i) {
                tuples_[2 * i] = &keys[i].original;
                tuples_[2 * i + 1] = &keys[i].reply;
            }
            look_up_bulk(2 * keys.size());
            for (std::size_t i = 0; i < keys.size(); ++i)
                made[i] =
                    found_[2 * i] >= 0 ? no_flow : set_up(keys[i], &signatures_[2 * i], now_ms);
        }

        void find(std::span<const Tuple<V4>> tuples, std::span<Found> found) {
            std::array<void*, burst_size> data{};
            for (std::size_t i = 0; i < tuples.size(); ++i)
                tuples_[i] = &tuples[i];
            std::uint64_t hits = 0;
            rte_hash_lookup_bulk_data(table_.hash_.get(), tuples_.data(),
                                      static_cast<std::uint32_t>(tuples.size()), &hits,
                                      data.data());
            for (std::size_t i = 0; i < tuples.size(); ++i)
                found[i] = ((hits >> i) & 1U) != 0 ? to_found(from_data(data[i])) : Found{};
        }

        void release(std::span<const FlowId> flows) {
            for (const FlowId flow : flows)
                __builtin_prefetch(&table_.records_[flow], 1, 3);
            for (std::size_t i = 0; i < flows.size(); ++i)
                for (std::size_t direction = 0; direction < 2; ++direction)
                    tuples_[2 * i + direction] = &table_.records_[flows[i]].tuples[direction];
            look_up_bulk(2 * flows.size());
            for (std::size_t i = 0; i < flows.size(); ++i) {
                table_.erase(table_.records_[flows[i]], &signatures_[2 * i]);
                retire(flows[i]);
            }
        }

        void end_burst(std::uint64_t /* now_ms */) {
            table_.quiescence_.quiescent(number_);
            grace_.collect([this](FlowId flow) {
                table_.free_positions(table_.records_[flow]);
                cache_.give(flow);
            });
        }
        void settle(std::uint64_t now_ms) {
            while (!grace_.empty())
                end_burst(now_ms);
        }

      private:
        static constexpr std::size_t tuples_of_a_burst = std::size_t{2} * burst_size;
        static_assert(tuples_of_a_burst <= RTE_HASH_LOOKUP_BULK_MAX);

        /// Hashes `tuples_` and brings all that belongs to them into the cache.
        void look_up_bulk(std::size_t count) {
            for (std::size_t i = 0; i < count; ++i)
                signatures_[i] = rte_hash_crc(tuples_[i], sizeof(Tuple<V4>), 0);
            rte_hash_lookup_with_hash_bulk(table_.hash_.get(), tuples_.data(), signatures_.data(),
                                           static_cast<std::uint32_t>(count), found_.data());
        }
        FlowId set_up(const FlowKeys& keys, const hash_sig_t* signatures, std::uint64_t now_ms) {
            const FlowId flow = cache_.take();
            if (flow == no_flow) return no_flow;
            PlainRecord& record = table_.records_[flow];
            record.fill_in(keys, now_ms);
            switch (table_.insert(flow, record, signatures)) {
                case Inserted::both:
                    record.publish();
                    return flow;
                case Inserted::none:
                    cache_.give(flow);  // nobody has seen it
                    return no_flow;
                case Inserted::rolled_back:
                    retire(flow);
                    return no_flow;
            }
            return no_flow;
        }
        void retire(FlowId flow) {
            table_.records_[flow].status.store(FlowStatus::dead, std::memory_order_relaxed);
            grace_.add(flow);
        }

        RteHashTable& table_;
        std::uint16_t number_;
        RecordSlab<PlainRecord>::Cache cache_;
        Grace grace_;
        // For one burst:
        std::array<const void*, tuples_of_a_burst> tuples_{};
        std::array<hash_sig_t, tuples_of_a_burst> signatures_{};
        std::array<std::int32_t, tuples_of_a_burst> found_{};  ///< positions, negative: not there
    };

  private:
    enum class Inserted : std::uint8_t { both, none, rolled_back };
    static constexpr std::int32_t no_position = -1;

    static std::uint32_t keys_for(std::uint32_t capacity) { return capacity * 2 + capacity / 2; }
    /// Buckets of 8 entries in 64 bytes, keys of 32 bytes, the ring of free slots, and some.
    static std::size_t heap_bytes(std::uint32_t capacity) {
        const std::size_t slots = std::bit_ceil(std::size_t{keys_for(capacity)});
        return slots * (64 / 8 + sizeof(std::uint32_t) * 2) + keys_for(capacity) * std::size_t{32} +
               (std::size_t{16} << 20);
    }
    static void* to_data(FlowId flow, Direction direction) {
        return reinterpret_cast<void*>(std::uintptr_t{to_ref(flow, direction)});
    }
    static FlowRef from_data(void* data) {
        return static_cast<FlowRef>(reinterpret_cast<std::uintptr_t>(data));
    }

    Inserted insert(FlowId flow, PlainRecord& record, const hash_sig_t* signatures) {
        const std::lock_guard guard(lock_);
        if (!insert_if_absent(record.tuples[0], signatures[0], to_data(flow, Direction::original)))
            return Inserted::none;
        if (insert_if_absent(record.tuples[1], signatures[1], to_data(flow, Direction::reply)))
            return Inserted::both;
        record.positions[0] =
            rte_hash_del_key_with_hash(hash_.get(), &record.tuples[0], signatures[0]);
        record.positions[1] = no_position;
        return Inserted::rolled_back;
    }
    /// Under the lock.
    bool insert_if_absent(const Tuple<V4>& tuple, hash_sig_t signature, void* data) {
        return rte_hash_lookup_with_hash(hash_.get(), &tuple, signature) < 0 &&
               rte_hash_add_key_with_hash_data(hash_.get(), &tuple, signature, data) == 0;
    }
    void erase(PlainRecord& record, const hash_sig_t* signatures) {
        const std::lock_guard guard(lock_);
        for (std::size_t i = 0; i < 2; ++i)
            record.positions[i] =
                rte_hash_del_key_with_hash(hash_.get(), &record.tuples[i], signatures[i]);
    }
    void free_positions(const PlainRecord& record) {
        const std::lock_guard guard(lock_);
        for (const std::int32_t position : record.positions)
            if (position >= 0) rte_hash_free_key_with_position(hash_.get(), position);
    }

    struct Free {
        void operator()(rte_hash* hash) const { rte_hash_free(hash); }
    };
    QsbrQuiescence quiescence_;
    RecordSlab<PlainRecord> records_;
    RteHeap heap_;
    std::unique_ptr<rte_hash, Free> hash_;
    SpinLock lock_;
};

static_assert(FlowTableUnderTest<RteHashTable>);

}  // namespace noclash::bench
