// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/counters.hpp"
#include "engine/flow_table.hpp"
#include "nat/crowded_destinations.hpp"
#include "nat/mapping.hpp"

namespace noclash::nat {

/// What one thread counts of mappings; permissions are not among them.
struct MappingCounters {
    Counter mappings_opened;
    Counter mappings_ended;
    Counter permissions_opened;
    Counter permissions_ended;
};

/// What follows when a flow has ended: its port is free again, and its references are gone. One per
/// thread that ends flows, which is online while it does.
template <class Family, class Traits>
class FlowEnd {
  public:
    using Table = FlowTable<Family, Traits>;
    using Record = typename Table::Record;
    using Crowded = CrowdedDestinations<Family, Traits>;

    FlowEnd(Table& table, Crowded& crowded, EngineCounters& engine, MappingCounters& mappings)
        : table_(table), crowded_(crowded), engine_(engine), mappings_(mappings) {}

    /// `FlowTable::release`'s `gone`: the tuples are out of the index.
    void operator()(const Record& flow) {
        crowded_.ended(flow);
        if (is_wildcard(flow)) return ended_wildcard(flow);
        const std::uint8_t marks = flow.marks.load(std::memory_order_relaxed);
        if ((marks & (flow_mark::source_mapped | flow_mark::destination_mapped)) == 0) return;
        leave_endpoints(flow, marks);
    }

    /// Takes a reference off; ends the record when it was the last one.
    void leave(FlowId id) {
        if (nat::leave(table_.pool()[id]))
            table_.release(id, engine_, [this](const Record& record) { (*this)(record); });
    }

  private:
    void ended_wildcard(const Record& record) {
        if (is_mapping(record)) return mappings_.mappings_ended.add();
        mappings_.permissions_ended.add();
        leave_found(mapping_of_destination(record.tuple(Direction::reply)));
    }

    void leave_endpoints(const Record& flow, std::uint8_t marks) {
        const Tuple<Family>& original = flow.tuple(Direction::original);
        const Tuple<Family>& reply = flow.tuple(Direction::reply);
        if ((marks & flow_mark::source_mapped) != 0)
            leave_endpoint(to_source(original, reply, marks));
        if ((marks & flow_mark::destination_mapped) != 0)
            leave_endpoint(to_destination(original, reply));
    }

    /// `remote -> outside`, as a packet from the remote has it.
    void leave_endpoint(const Tuple<Family>& from_remote) {
        const Tuple<Family> mapping = mapping_of_destination(from_remote);
        const Found found = find(mapping);
        if (!found) return;  // never: the flow's reference held it
        // A permission holds the mapping, and the flow the permission.
        if (filtering_of(table_.pool()[found.flow]) == Filtering::address_dependent)
            return leave_found(permission_of(from_remote));
        leave(found.flow);
    }
    void leave_found(const Tuple<Family>& key) {
        if (const Found found = find(key)) leave(found.flow);
    }
    [[nodiscard]] Found find(const Tuple<Family>& key) const {
        return table_.index().find(key, table_.index().hash(key));
    }

    Table& table_;
    Crowded& crowded_;
    EngineCounters& engine_;
    MappingCounters& mappings_;
};

}  // namespace noclash::nat
