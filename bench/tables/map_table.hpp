// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "bench/tables/grace.hpp"
#include "bench/tables/record_slab.hpp"
#include "bench/tables/table.hpp"
#include "engine/tuple_hash.hpp"

namespace noclash::bench {

/// A flow and a direction in one word: what the maps hold.
using FlowRef = std::uint32_t;
[[nodiscard]] constexpr FlowRef to_ref(FlowId flow, Direction direction) {
    return (flow << 1U) | static_cast<FlowRef>(direction);
}
[[nodiscard]] constexpr Found to_found(FlowRef ref) {
    return {ref >> 1U, static_cast<Direction>(ref & 1U)};
}

/// A concurrent map whose insert leaves an entry that is there alone, and says so.
template <class Map>
concept ConcurrentMap = std::constructible_from<Map, std::size_t /* keys */, const TupleHash&> &&
    requires(Map map, const Map constant, const Tuple<V4>& key, FlowRef ref) {
    { Map::name } -> std::convertible_to<const char*>;
    { map.insert(key, ref) } -> std::same_as<bool>;
    { constant.find(key) } -> std::same_as<FlowRef>;  // 0 when it is not there
    { map.erase(key) } -> std::same_as<bool>;
    { constant.size() } -> std::same_as<std::size_t>;
};

/// Flows on top of such a map. The maps copy 20 bytes for each tuple and have no bulk operations,
/// so all goes one by one.
template <ConcurrentMap Map>
class MapTable {
  public:
    static constexpr const char* name = Map::name;
    static constexpr bool expires_flows = false;

    MapTable(std::uint32_t capacity, unsigned workers)
        : quiescence_(workers),
          records_(capacity, workers),
          map_(std::size_t{capacity} * 2, hash_) {}

    [[nodiscard]] std::uint64_t live_flows() const { return map_.size() / 2; }

    class Worker {
      public:
        Worker(MapTable& table, std::uint16_t number)
            : table_(table), number_(number), cache_(table.records_), grace_(table.quiescence_) {}

        void online() { table_.quiescence_.online(number_); }
        void offline() { table_.quiescence_.offline(number_); }

        void set_up(std::span<const FlowKeys> keys, std::span<FlowId> made, std::uint64_t now_ms) {
            for (std::size_t i = 0; i < keys.size(); ++i)
                made[i] = set_up(keys[i], now_ms);
        }

        void find(std::span<const Tuple<V4>> tuples, std::span<Found> found) {
            for (std::size_t i = 0; i < tuples.size(); ++i)
                found[i] = to_found(table_.map_.find(tuples[i]));
        }

        void release(std::span<const FlowId> flows) {
            for (const FlowId flow : flows)
                __builtin_prefetch(&table_.records_[flow], 1, 3);
            for (const FlowId flow : flows) {
                for (const Tuple<V4>& tuple : table_.records_[flow].tuples)
                    table_.map_.erase(tuple);
                retire(flow);
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
        FlowId set_up(const FlowKeys& keys, std::uint64_t now_ms) {
            const FlowId flow = cache_.take();
            if (flow == no_flow) return no_flow;
            PlainRecord& record = table_.records_[flow];
            record.fill_in(keys, now_ms);
            if (!table_.map_.insert(keys.original, to_ref(flow, Direction::original))) {
                cache_.give(flow);  // nobody has seen it
                return no_flow;
            }
            if (!table_.map_.insert(keys.reply, to_ref(flow, Direction::reply))) {
                table_.map_.erase(keys.original);
                retire(flow);
                return no_flow;
            }
            record.publish();
            return flow;
        }
        void retire(FlowId flow) {
            table_.records_[flow].status.store(FlowStatus::dead, std::memory_order_relaxed);
            grace_.add(flow);
        }

        MapTable& table_;
        std::uint16_t number_;
        typename RecordSlab<PlainRecord>::Cache cache_;
        Grace grace_;
    };

  private:
    TupleHash hash_;
    QsbrQuiescence quiescence_;
    RecordSlab<PlainRecord> records_;
    Map map_;
};

}  // namespace noclash::bench
