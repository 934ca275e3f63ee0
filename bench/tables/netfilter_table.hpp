// SPDX-License-Identifier: Apache-2.0
#pragma once

// A connection table as Linux's nf_conntrack_core.c builds it, in userspace: what a kernel's
// gateway pays for the same two insertions. Our own code.
//
// * Buckets are singly headed lists of tuple nodes that end in a *nulls* value, the bucket's
// number:
//   a lookup that was led into another bucket notices, and starts again.
// * 1,024 spinlocks for all buckets. An insert takes those of both its tuples in ascending order
//   and, under them, checks both chains and then links both nodes: nf_conntrack_double_lock() and
//   nf_conntrack_hash_check_insert(). A sequence count, the generation, would tell of a resize.
// * A lookup takes no lock. Entries come from a slab; RCU (here: QSBR) says when one may be used
//   again.
//
// The parts left out make this table faster than the kernel's: the reference count that each lookup
// takes and gives back, SipHash (here: XXH3), zones, events, timers, and the second search for a
// free port before the insert. It gets two buckets for each flow, so that a chain has one entry on
// average; the kernel's default is half of that.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "bench/tables/grace.hpp"
#include "bench/tables/record_slab.hpp"
#include "bench/tables/spin_lock.hpp"
#include "bench/tables/table.hpp"
#include "engine/tuple_hash.hpp"

namespace noclash::bench {

/// A node of a bucket's list (struct nf_conntrack_tuple_hash). Links are addresses of nodes or,
/// with the lowest bit set, nulls values.
struct TupleNode {
    using Link = std::uintptr_t;

    std::atomic<Link> next{0};
    std::atomic<Link>* pprev = nullptr;  ///< what points to this node; under the bucket's lock
    Tuple<V4> tuple{};
};

/// One connection (struct nf_conn), two cache lines.
struct alignas(64) Conn {
    std::array<TupleNode, 2> nodes;
    std::array<FlowCounters<Production>, 2> counters;
    std::atomic<Moment> timeout{0};
    std::atomic<FlowStatus> status{FlowStatus::free};
};

class NetfilterTable {
  public:
    static constexpr const char* name = "netfilter";
    static constexpr bool expires_flows = false;

    NetfilterTable(std::uint32_t capacity, unsigned workers)
        : quiescence_(workers), records_(capacity, workers), buckets_(std::size_t{capacity} * 2) {
        for (std::size_t i = 0; i < buckets_.size(); ++i)
            buckets_[i].store(nulls(i), std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t live_flows() const {
        std::uint64_t nodes = 0;
        for (std::size_t i = 0; i < buckets_.size(); ++i)
            for (Link at = buckets_[i]; !is_nulls(at); at = node(at).next)
                ++nodes;
        return nodes / 2;
    }

    class Worker {
      public:
        Worker(NetfilterTable& table, std::uint16_t number)
            : table_(table), number_(number), cache_(table.records_), grace_(table.quiescence_) {}

        void online() { table_.quiescence_.online(number_); }
        void offline() { table_.quiescence_.offline(number_); }

        void set_up(std::span<const FlowKeys> keys, std::span<FlowId> made, std::uint64_t now_ms) {
            for (std::size_t i = 0; i < keys.size(); ++i) {
                made[i] = cache_.take();
                if (made[i] == no_flow) continue;
                Conn& conn = table_.records_[made[i]];
                fill_in(conn, keys[i], now_ms);
                if (table_.check_insert(conn)) {
                    conn.status.store(FlowStatus::live, std::memory_order_release);
                } else {
                    cache_.give(std::exchange(made[i], no_flow));  // nobody has seen it
                }
            }
        }
        void find(std::span<const Tuple<V4>> tuples, std::span<Found> found) {
            for (std::size_t i = 0; i < tuples.size(); ++i)
                found[i] = table_.find(tuples[i]);
        }
        void release(std::span<const FlowId> flows) {
            for (const FlowId flow : flows)
                __builtin_prefetch(&table_.records_[flow], 1, 3);
            for (const FlowId flow : flows) {
                Conn& conn = table_.records_[flow];
                table_.unlink(conn);
                conn.status.store(FlowStatus::dead, std::memory_order_relaxed);
                grace_.add(flow);
            }
        }
        void end_burst(std::uint64_t /* now_ms */) {
            table_.quiescence_.quiescent(number_);
            grace_.collect([this](FlowId flow) { cache_.give(flow); });
        }
        void settle(std::uint64_t now_ms) {
            while (!grace_.empty())
                end_burst(now_ms);
        }

      private:
        static void fill_in(Conn& conn, const FlowKeys& keys, std::uint64_t now_ms) {
            conn.nodes[0].tuple = keys.original;
            conn.nodes[1].tuple = keys.reply;
            conn.timeout.store(to_moment(now_ms + lifetime_ms), std::memory_order_relaxed);
            conn.status.store(FlowStatus::setup, std::memory_order_relaxed);
            for (auto& counter : conn.counters) {
                counter.packets.store(0, std::memory_order_relaxed);
                counter.bytes.store(0, std::memory_order_relaxed);
            }
        }

        NetfilterTable& table_;
        std::uint16_t number_;
        RecordSlab<Conn>::Cache cache_;
        Grace grace_;
    };

  private:
    using Link = TupleNode::Link;
    static constexpr std::size_t conntrack_locks = 1024;
    static constexpr unsigned max_chain_length = 50;

    static Link nulls(std::size_t bucket) { return (bucket << 1U) | 1U; }
    static bool is_nulls(Link link) { return (link & 1U) != 0; }
    static TupleNode& node(Link link) { return *reinterpret_cast<TupleNode*>(link); }
    static Link to(TupleNode& node) { return reinterpret_cast<Link>(&node); }

    [[nodiscard]] std::size_t bucket_of(const Tuple<V4>& tuple) const {
        __extension__ using Wide = unsigned __int128;
        return static_cast<std::size_t>((static_cast<Wide>(hash_(tuple)) * buckets_.size()) >> 64U);
    }

    /// ____nf_conntrack_find()
    [[nodiscard]] Found find(const Tuple<V4>& tuple) const {
        const std::size_t bucket = bucket_of(tuple);
        for (;;) {
            Link at = buckets_[bucket].load(std::memory_order_acquire);
            for (; !is_nulls(at); at = node(at).next.load(std::memory_order_acquire))
                if (node(at).tuple == tuple) return found(node(at));
            if (at == nulls(bucket)) return {};
        }
    }
    /// Which connection a node is part of, and which of its two.
    [[nodiscard]] Found found(const TupleNode& node) const {
        const auto offset =
            static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&node) -
                                     reinterpret_cast<const std::byte*>(&records_[0]));
        return {static_cast<FlowId>(offset / sizeof(Conn)),
                static_cast<Direction>(offset % sizeof(Conn) / sizeof(TupleNode))};
    }

    /// nf_conntrack_double_lock(): the buckets of both tuples, whose locks are taken in order.
    class DoubleLock {
      public:
        DoubleLock(NetfilterTable& table, const Conn& conn) {
            for (;;) {
                const unsigned generation = table.generation_.load(std::memory_order_acquire);
                original = table.bucket_of(conn.nodes[0].tuple);
                reply = table.bucket_of(conn.nodes[1].tuple);
                const std::size_t a = original % conntrack_locks;
                const std::size_t b = reply % conntrack_locks;
                first_ = &table.locks_[std::min(a, b)];
                second_ = a == b ? nullptr : &table.locks_[std::max(a, b)];
                first_->lock();
                if (second_ != nullptr) second_->lock();
                if (table.generation_.load(std::memory_order_acquire) == generation) return;
                unlock();
            }
        }
        ~DoubleLock() { unlock(); }
        DoubleLock(const DoubleLock&) = delete;
        DoubleLock& operator=(const DoubleLock&) = delete;

        std::size_t original = 0;
        std::size_t reply = 0;

      private:
        void unlock() {
            first_->unlock();
            if (second_ != nullptr) second_->unlock();
        }
        SpinLock* first_ = nullptr;
        SpinLock* second_ = nullptr;
    };

    /// nf_conntrack_hash_check_insert()
    bool check_insert(Conn& conn) {
        const DoubleLock buckets(*this, conn);
        if (!absent(buckets.original, conn.nodes[0].tuple) ||
            !absent(buckets.reply, conn.nodes[1].tuple))
            return false;
        add_head(buckets.original, conn.nodes[0]);
        add_head(buckets.reply, conn.nodes[1]);
        return true;
    }
    [[nodiscard]] bool absent(std::size_t bucket, const Tuple<V4>& tuple) const {
        unsigned length = 0;
        for (Link at = buckets_[bucket].load(std::memory_order_relaxed); !is_nulls(at);
             at = node(at).next.load(std::memory_order_relaxed))
            if (node(at).tuple == tuple || ++length > max_chain_length) return false;
        return true;
    }
    /// hlist_nulls_add_head_rcu()
    void add_head(std::size_t bucket, TupleNode& added) {
        std::atomic<Link>& head = buckets_[bucket];
        const Link first = head.load(std::memory_order_relaxed);
        added.next.store(first, std::memory_order_relaxed);
        added.pprev = &head;
        // Release: pairs with the acquire in `find`; who finds the node sees its tuple.
        head.store(to(added), std::memory_order_release);
        if (!is_nulls(first)) node(first).pprev = &added.next;
    }
    /// clean_from_lists(): under both locks; the nodes keep their links, readers may stand on them.
    void unlink(Conn& conn) {
        const DoubleLock buckets(*this, conn);
        for (TupleNode& gone : conn.nodes) {
            const Link next = gone.next.load(std::memory_order_relaxed);
            gone.pprev->store(next, std::memory_order_relaxed);
            if (!is_nulls(next)) node(next).pprev = gone.pprev;
        }
    }

    TupleHash hash_;
    QsbrQuiescence quiescence_;
    RecordSlab<Conn> records_;
    HugeArray<std::atomic<Link>> buckets_;
    std::atomic<unsigned> generation_{0};
    std::array<SpinLock, conntrack_locks> locks_;
};

static_assert(FlowTableUnderTest<NetfilterTable>);

}  // namespace noclash::bench
