// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tbb/concurrent_hash_map.h>

#include <memory>

#include "bench/tables/map_table.hpp"

namespace noclash::bench {

/// `tbb::concurrent_hash_map`: chains of nodes, a reader-writer lock in each node and bucket. A
/// lookup holds the node's lock as a reader while it copies the value. Its nodes come from malloc,
/// which main() puts on huge pages.
class TbbMap {
  public:
    static constexpr const char* name = "tbb";

    TbbMap(std::size_t keys, const TupleHash& hash) : map_(keys, Compare{&hash}) {}

    bool insert(const Tuple<V4>& key, FlowRef ref) { return map_.insert({key, ref}); }
    [[nodiscard]] FlowRef find(const Tuple<V4>& key) const {
        Map::const_accessor entry;
        return map_.find(entry, key) ? entry->second : 0;
    }
    bool erase(const Tuple<V4>& key) { return map_.erase(key); }
    [[nodiscard]] std::size_t size() const { return map_.size(); }

  private:
    struct Compare {
        const TupleHash* tuple_hash;

        [[nodiscard]] std::size_t hash(const Tuple<V4>& key) const { return (*tuple_hash)(key); }
        [[nodiscard]] static bool equal(const Tuple<V4>& a, const Tuple<V4>& b) { return a == b; }
    };
    using Map = tbb::concurrent_hash_map<Tuple<V4>, FlowRef, Compare,
                                         std::allocator<std::pair<const Tuple<V4>, FlowRef>>>;
    Map map_;
};

using TbbTable = MapTable<TbbMap>;
static_assert(FlowTableUnderTest<TbbTable>);

}  // namespace noclash::bench
