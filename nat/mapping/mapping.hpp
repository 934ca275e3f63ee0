// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Endpoint-independent mappings
//
// With EIM an inside endpoint (address and port) has one outside endpoint, whatever it talks to
// [RFC 4787 REQ-1]. Who owns an outside endpoint is decided as everything is, by the tuple index: a
// mapping is a record of the flow table whose tuples have no remote.
//
//     a mapping       original  inside    -> scope       reply  *       -> outside
//     a permission    original  outside   -> remote:*    reply  remote:* -> outside
//     a flow of them  original  inside    -> remote      reply  remote   -> outside   (from inside)
//                     original  remote    -> outside     reply  inside   -> remote    (from
//                     outside)
//
// A mark in `Tuple::reserved`, which packets' tuples never have, tells them from packets' tuples.
// The *scope* stands where the remote would: it says out of which pool the outside endpoint comes,
// for an endpoint that two rules send through two pools has a mapping in each. Setting a mapping up
// is claim, reserve, publish, as of any flow: of those who propose one outside endpoint, one gets
// it, and who finds a mapping that another worker is setting up parks and uses it at its next
// visit.
//
// A permission says that the inside endpoint has sent to an address: what address-dependent
// filtering asks for [RFC 4787 REQ-8].
//
// ## How long they live
//
// A mapping counts its references: one for each flow or permission of it; a permission counts its
// flows. `join` adds one unless there is none, `leave` takes one off, and the thread that takes the
// last one off ends the record. None left is final: a packet that comes then finds the record
// ending, parks, and makes a new one. So a mapping lives exactly as long as the last of its flows,
// has no timeout of its own, and cannot end under a flow: a set-up has its reference before it
// publishes. A reference is taken off after the flow's tuples are out of the index, so the next
// owner of an outside endpoint meets no tuple of the last one's flows.
//
// ## Quarantine
//
// Unasked packets that were let in may go on coming when their mapping has ended, and would
// reach the next owner of the outside endpoint. So a mapping with endpoint-independent filtering
// refers to itself: after its last flow it keeps the endpoint, for its inside endpoint alone, and
// admits nobody, until `Timeouts::port_quarantine_s` have passed. Others need not: TCP is tracked,
// and other filtering is known to let in nothing of the last owner's [RFC 6888 REQ-8].
//
// A packet outward of any flow keeps that flow and so the mapping [RFC 4787 REQ-6]; an idle
// mapping ends with its last flow's timeout, which is no less than a mapping's has to be
// [RFC 4787 REQ-5]. With `inbound_refresh = false` strangers cannot keep a mapping alive
// [RFC 7857 section 6]: what comes from outside does not refresh UDP flows, and opens none that
// would live longer than those that something leaves by.

#include <atomic>
#include <cstdint>
#include <optional>

#include "engine/flow.hpp"
#include "engine/tuple.hpp"
#include "nat/conntrack/flow_marks.hpp"
#include "nat/conntrack/flow_words.hpp"
#include "nat/conntrack/record_kind.hpp"
#include "nat/policy/policy.hpp"

namespace noclash::nat {

/// The original tuple of the mapping of a packet's source.
/// @param outside  the address that `masquerade` gives; none with a pool
/// @param number   of the pool, from 1 on; with `masquerade`, its first port
template <class Family>
[[nodiscard]] Tuple<Family> mapping_of_source(const Tuple<Family>& packet,
                                              const typename Family::Address& outside,
                                              std::uint16_t number) {
    return {packet.source, outside,         packet.source_port, Be16::from_host(number),
            packet.zone,   packet.protocol, wildcard::remote};
}

/// The number of the pool whose mapping has such an original tuple; nothing when it is none of a
/// pool's.
template <class Family>
[[nodiscard]] std::optional<std::uint16_t> pool_of_mapping(const Tuple<Family>& original) {
    const bool is_of_pool = original.reserved == wildcard::remote &&
                            original.destination == typename Family::Address{} &&
                            original.destination_port.host() != 0;
    if (!is_of_pool) return std::nullopt;
    return static_cast<std::uint16_t>(original.destination_port.host() - 1);
}

/// The reply tuple of the mapping that has the outside endpoint `tuple` goes to.
template <class Family>
[[nodiscard]] Tuple<Family> mapping_of_destination(const Tuple<Family>& tuple) {
    return {{},
            tuple.destination,
            {},
            tuple.destination_port,
            tuple.zone,
            tuple.protocol,
            wildcard::remote};
}

/// The reply tuple of the permission of `tuple`'s source at the outside endpoint it goes to.
template <class Family>
[[nodiscard]] Tuple<Family> permission_of(const Tuple<Family>& tuple) {
    return {tuple.source,   tuple.destination,    {}, tuple.destination_port, tuple.zone,
            tuple.protocol, wildcard::remote_port};
}

/// How a remote's packets come to the outside endpoint of a flow's destination; and of its source.
/// The ends of a hairpinned flow are each other's remote, by their outside endpoints.
template <class Family>
[[nodiscard]] Tuple<Family> to_destination(const Tuple<Family>& original,
                                           const Tuple<Family>& reply) {
    return {reply.destination,
            original.destination,
            reply.destination_port,
            original.destination_port,
            original.zone,
            original.protocol,
            0};
}
template <class Family>
[[nodiscard]] Tuple<Family> to_source(const Tuple<Family>& original, const Tuple<Family>& reply,
                                      std::uint8_t marks) {
    const bool hairpin = (marks & flow_mark::destination_mapped) != 0;  // beside `source_mapped`
    return hairpin ? to_destination(original, reply).inverse() : reply;
}

/// A mapping's filtering, kept where a flow has its protocol's state.
template <class Record>
[[nodiscard]] Filtering filtering_of(const Record& mapping) {
    return static_cast<Filtering>(mapping.protocol_state.load(std::memory_order_relaxed));
}

/// References to a mapping or permission; 0: none any more, and none will be.
template <class Record>
[[nodiscard]] auto& references(Record& record) {
    return record.memory[flow_memory::references];
}

/// Until when what has left by a mapping lets it live: a Moment. Kept only when packets from
/// outside refresh nothing; then they open no flows beyond it, which would refer to the mapping.
template <class Record>
[[nodiscard]] auto& outward_until(Record& mapping) {
    return mapping.memory[flow_memory::outward_until];
}

/// Whether a mapping refers to itself: see "Quarantine". Set before it is published.
template <class Record>
[[nodiscard]] bool has_quarantine(const Record& mapping) {
    return (mapping.marks.load(std::memory_order_relaxed) & flow_mark::quarantine) != 0;
}

/// 1 while the wheel waits for a mapping's quarantine to be over.
template <class Record>
[[nodiscard]] auto& idle(Record& mapping) {
    return mapping.memory[flow_memory::idle];
}

/// One reference more. False when the last one is gone. The record must have been found, live, in
/// the caller's critical section.
template <class Record>
[[nodiscard]] bool join(Record& record) {
    std::uint32_t seen = references(record).load(std::memory_order_relaxed);
    while (seen != 0) {
        if (references(record).compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed)) {
            if (seen == 1) idle(record).store(0, std::memory_order_relaxed);
            return true;
        }
    }
    return false;
}

/// Takes a mapping's own reference off, when it is the only one.
template <class Record>
[[nodiscard]] bool leave_itself(Record& mapping) {
    std::uint32_t itself = 1;
    return references(mapping).compare_exchange_strong(itself, 0,
                                                       std::memory_order_acq_rel);  // (20)
}

/// One reference less; true for who took the last one, and has to end the record. What the others
/// did before they left, that thread sees: the tuples of their flows are out of the index.
template <class Record>
[[nodiscard]] bool leave(Record& record) {
    return references(record).fetch_sub(1, std::memory_order_acq_rel) == 1;  // (20)
}

}  // namespace noclash::nat
