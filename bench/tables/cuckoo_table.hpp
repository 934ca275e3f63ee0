// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libcuckoo/cuckoohash_map.hh>

#include "bench/tables/map_table.hpp"

namespace noclash::bench {

/// libcuckoo: cuckoo hashing, four entries a bucket, a spinlock for every few buckets; a lookup
/// takes those of both its buckets. Sized so that it never has to grow.
class CuckooMap {
  public:
    static constexpr const char* name = "libcuckoo";

    CuckooMap(std::size_t keys, const TupleHash& hash) : map_(keys * 5 / 4, Hash{&hash}) {}

    bool insert(const Tuple<V4>& key, FlowRef ref) { return map_.insert(key, ref); }
    [[nodiscard]] FlowRef find(const Tuple<V4>& key) const {
        FlowRef ref = 0;
        map_.find(key, ref);
        return ref;
    }
    bool erase(const Tuple<V4>& key) { return map_.erase(key); }
    [[nodiscard]] std::size_t size() const { return map_.size(); }

  private:
    struct Hash {
        const TupleHash* tuple_hash;

        [[nodiscard]] std::size_t operator()(const Tuple<V4>& key) const {
            return (*tuple_hash)(key);
        }
    };
    libcuckoo::cuckoohash_map<Tuple<V4>, FlowRef, Hash> map_;
};

using CuckooTable = MapTable<CuckooMap>;
static_assert(FlowTableUnderTest<CuckooTable>);

}  // namespace noclash::bench
