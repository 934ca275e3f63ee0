// SPDX-License-Identifier: Apache-2.0
#pragma once

// # The bytes of a flow record
//
// An IPv4 record is two cache lines. A lookup and an established packet need the first; counters
// and what is remembered of the connection stand in the second. Each byte has one owner.
//
// clang-format off
//     at   bytes  field            owner       what it holds; room for more
//     0    32     tuples           engine      original and reply; `Tuple::reserved`: record_kind.hpp
//     32   4      expires          conntrack   when the flow dies
//     36   1      status           engine      3 of 8 bits
//     37   1      protocol_state   conntrack   TCP: state 0-3, FINs seen 4-5, incarnation 6, proxied 7.
//                                              SCTP: the state. Mappings: the filtering
//     38   1      marks            flow_marks.hpp   all 8 bits are taken, one of them twice
//     39   1      protocol_detail  conntrack   TCP: both window scales
//     40   2      rule             slow path   the number of the rule's name (policy/identities.hpp);
//                                              later a service's, too. A flow's backend needs no
//                                              byte: it is the reply tuple's source
//     42   1      owner            engine      the worker; at most 64 are there, so two bits are free
//     43   1      opening_detail   syn_proxy/  proxied flows: window scales of the client's handshake
//     44   4      link             engine      of the wheel, or of what is retired
//     48   8      places           engine      of both tuples in the index
//     56   4      sum_changes      slow path   differences of checksums: packet/translation.hpp
//     60   4      protocol_word    conntrack   TCP: where both FINs end, 16 bits each; before, and
//                                              of other protocols: opening_word.hpp
//
//     64   32     counters         conntrack   packets and bytes, by direction
//     96   4      pool_link        engine      while the record is free; while it lives, syn_proxy/:
//                                              the difference of sequence numbers
//     100  28     memory           flow_words.hpp   seven words
// clang-format on
//
// A popper of the pool's stack may read `pool_link` of a record that lives by now; its swap fails
// then, whatever it has read (engine/base/free_stack.hpp).

#include <cstddef>

#include "engine/flow.hpp"
#include "engine/production.hpp"
#include "nat/conntrack/flow_marks.hpp"
#include "nat/conntrack/flow_words.hpp"

namespace noclash::nat::record_plan {

using Record = Flow<V4, Production>;

static_assert(sizeof(Record) == 128 && alignof(Record) == 64);
static_assert(offsetof(Record, tuples) == 0 && sizeof(Tuple<V4>) == 16);
static_assert(offsetof(Record, expires) == 32 && sizeof(Record::expires) == 4);
static_assert(offsetof(Record, status) == 36);
static_assert(offsetof(Record, protocol_state) == 37);
static_assert(offsetof(Record, marks) == 38);
static_assert(offsetof(Record, protocol_detail) == 39);
static_assert(offsetof(Record, rule) == 40 && sizeof(Record::rule) == 2);
static_assert(offsetof(Record, owner) == 42 && sizeof(Record::owner) == 1);
static_assert(offsetof(Record, opening_detail) == 43);
static_assert(offsetof(Record, link) == 44);
static_assert(offsetof(Record, places) == 48 && sizeof(Record::places) == 8);
static_assert(offsetof(Record, sum_changes) == 56);
static_assert(offsetof(Record, protocol_word) == 60);
static_assert(offsetof(Record, counters) == 64 && sizeof(Record::counters) == 32);
static_assert(offsetof(Record, pool_link) == 96);
static_assert(offsetof(Record, memory) == 100 && sizeof(Record::memory) == 28);

}  // namespace noclash::nat::record_plan
