// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/base/counters.hpp"
#include "engine/flow_table.hpp"
#include "nat/conntrack/tcp_state.hpp"
#include "nat/limits/limits.hpp"
#include "nat/limits/openings.hpp"
#include "nat/mapping/mapping.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/ports/occupancy_maps.hpp"

namespace noclash::nat {

/// The counters of mappings and of permissions, for one thread.
struct MappingCounters {
    Counter mappings_opened;
    Counter mappings_ended;
    Counter permissions_opened;
    Counter permissions_ended;
};

/// Does what follows when a flow has ended: its port is free again, it is counted no more, its
/// references and what may have become of it are gone. One per thread that ends flows, which is
/// online while it does.
template <class Family, class Traits>
class FlowEnd {
  public:
    using Table = FlowTable<Family, Traits>;
    using Record = typename Table::Record;
    using Crowded = OccupancyMaps<Family, Traits>;

    FlowEnd(Table& table, Crowded& crowded, Limits<Family, Traits>& limits, EngineCounters& engine,
            MappingCounters& mappings)
        : table_(table), crowded_(crowded), limits_(limits), engine_(engine), mappings_(mappings) {}

    /// `FlowTable::release`'s `gone`, where flows end while `policy` counts: the tuples are out of
    /// the index.
    [[nodiscard]] auto under(const Policy<Family>& policy, std::uint64_t now_ms) {
        return [this, &policy, now_ms](Record& flow) { ended(flow, policy, now_ms); };
    }

    /// Takes a reference to a mapping or permission off; ends the record when it was the last one.
    void leave(FlowId id) {
        if (!nat::leave(table_.pool()[id])) return;
        table_.release(id, engine_, [this](Record& record) {
            crowded_.ended(record);
            ended_wildcard(record);
        });
    }

  private:
    void ended(Record& flow, const Policy<Family>& policy, std::uint64_t now_ms) {
        if (is_incarnation(flow)) return;  // its flow has the port
        crowded_.ended(flow);
        if (is_wildcard(flow)) return ended_wildcard(flow);
        limits_.ended(policy, flow);
        if (policy.service_rules.any()) [[unlikely]]
            openings::ended(policy, flow, now_ms);
        if (flow.tuple(Direction::original).protocol == ip_protocol::tcp &&
            tcp_progress(flow).has_incarnation())
            end_incarnation(flow);
        const std::uint8_t marks = flow.marks.load(std::memory_order_relaxed);
        if ((marks & (flow_mark::source_mapped | flow_mark::destination_mapped)) == 0) return;
        leave_endpoints(flow, marks);
    }

    void ended_wildcard(const Record& record) {
        if (is_mapping(record)) return mappings_.mappings_ended.add();
        mappings_.permissions_ended.add();
        leave_found(mapping_of_destination(record.tuple(Direction::reply)));
    }

    void end_incarnation(const Record& flow) {
        if (const Found found = find(incarnation_of(flow.tuple(Direction::original))))
            table_.release(found.flow, engine_, [](Record&) {});
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
    Limits<Family, Traits>& limits_;
    EngineCounters& engine_;
    MappingCounters& mappings_;
};

}  // namespace noclash::nat
