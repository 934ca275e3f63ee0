// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/stream_flow.hpp"

#include <algorithm>
#include <limits>

#include "nat/conntrack/flow_words.hpp"
#include "nat/conntrack/record_kind.hpp"
#include "nat/conntrack/tcp_state.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/packet/translation.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::uint16_t flow_bytes = 104;
constexpr std::uint16_t shift_bytes = 4;  // behind them, where it is not 0
constexpr std::uint8_t ipv4 = 4;
constexpr std::uint8_t live_status = 1;
constexpr std::uint8_t ending_status = 2;
constexpr auto most_remaining_ms =
    static_cast<std::uint32_t>(std::numeric_limits<std::int32_t>::max());

void write_ends(const Tuple<V4>& tuple, ByteWriter& to) {
    to.raw(&tuple.source, sizeof tuple.source);
    to.raw(&tuple.destination, sizeof tuple.destination);
    to.number(tuple.source_port.host());
    to.number(tuple.destination_port.host());
}

void read_ends(ByteReader& from, Tuple<V4>& tuple) {
    std::memcpy(&tuple.source, from.take(sizeof tuple.source).data(), sizeof tuple.source);
    std::memcpy(&tuple.destination, from.take(sizeof tuple.destination).data(),
                sizeof tuple.destination);
    tuple.source_port = Be16::from_host(from.number<std::uint16_t>());
    tuple.destination_port = Be16::from_host(from.number<std::uint16_t>());
}

/// A mapping or permission: it lives as long as its flows.
bool lives_by_others(const Tuple<V4>& tuple) {
    return tuple.reserved == nat::wildcard::remote || tuple.reserved == nat::wildcard::remote_port;
}

/// A proxied flow whose backend has still to answer: its time is that of its next SYN, and its
/// client is told how it ends.
bool waits_for_backend(const Tuple<V4>& tuple, std::uint8_t protocol_state) {
    return tuple.protocol == nat::ip_protocol::tcp && tuple.reserved == 0 &&
           nat::TcpProgress(protocol_state).is_proxied_opening();
}

}  // namespace

void write_flow(const StreamFlow& flow, ByteWriter& to) {
    const Tuple<V4>& original = flow.tuples[0];
    const bool is_shifted = flow.sequence_shift != 0;
    to.number(static_cast<std::uint16_t>(flow_bytes + (is_shifted ? shift_bytes : 0)));
    to.number(ipv4);
    to.number(original.reserved);
    to.number(original.protocol);
    to.number(flow.ending ? ending_status : live_status);
    to.number(original.zone);
    to.number(flow.rule);
    write_ends(original, to);
    write_ends(flow.tuples[1], to);
    to.number(flow.remaining_ms);
    to.number(flow.protocol_state);
    to.number(flow.marks);
    to.number(flow.protocol_detail);
    to.number(flow.opening_detail);
    to.number(flow.protocol_word);
    for (std::size_t i = 0; i < 2; ++i) {
        to.number(flow.packets[i]);
        to.number(flow.bytes[i]);
    }
    for (const std::uint32_t word : flow.memory)
        to.number(word);
    if (is_shifted) to.number(flow.sequence_shift);
}

StreamFlow read_flow(ByteReader& from_all) {
    const auto length = from_all.number<std::uint16_t>();
    ByteReader from(from_all.take(length), "a flow");
    StreamFlow flow;
    auto& [original, reply] = flow.tuples;
    if (from.number<std::uint8_t>() != ipv4)
        throw StreamError("a flow is of an address family that this release does not know");
    original.reserved = from.number<std::uint8_t>();
    original.protocol = from.number<std::uint8_t>();
    const auto status = from.number<std::uint8_t>();
    if (original.reserved > nat::wildcard::incarnation || status < live_status ||
        status > ending_status)
        throw StreamError("a flow is implausible");
    flow.ending = status == ending_status;
    original.zone = from.number<std::uint16_t>();
    flow.rule = from.number<std::uint16_t>();
    reply = original;
    read_ends(from, original);
    read_ends(from, reply);
    flow.remaining_ms = from.number<std::uint32_t>();
    if (flow.remaining_ms > most_remaining_ms)
        throw StreamError("the lifetime of a flow is implausible");
    flow.protocol_state = from.number<std::uint8_t>();
    flow.marks = from.number<std::uint8_t>();
    flow.protocol_detail = from.number<std::uint8_t>();
    flow.opening_detail = from.number<std::uint8_t>();
    flow.protocol_word = from.number<std::uint32_t>();
    for (std::size_t i = 0; i < 2; ++i) {
        flow.packets[i] = from.number<std::uint64_t>();
        flow.bytes[i] = from.number<std::uint64_t>();
    }
    for (std::uint32_t& word : flow.memory)
        word = from.number<std::uint32_t>();
    if (from.left() > 0) flow.sequence_shift = from.number<std::uint32_t>();
    return flow;  // what a later version has appended is skipped
}

bool leave(const StateRecord& record, const Leaving& moment, StreamFlow& flow) {
    const auto load = [](const auto& field) { return field.load(std::memory_order_relaxed); };
    // Moments wrap around: they are read as of the time when they were written.
    const std::int64_t remaining = ms_between(to_moment(moment.left_ms), load(record.expires)) -
                                   static_cast<std::int64_t>(moment.now_ms - moment.left_ms);
    const bool by_others = lives_by_others(record.tuples[0]);
    const bool waits = waits_for_backend(record.tuples[0], load(record.protocol_state));
    if (remaining <= 0 && !by_others && !waits) return false;
    flow.tuples = record.tuples;
    flow.ending = load(record.status) == FlowStatus::ending;
    flow.protocol_state = load(record.protocol_state);
    flow.marks = load(record.marks);
    flow.protocol_detail = load(record.protocol_detail);
    flow.rule = record.rule;
    flow.remaining_ms = static_cast<std::uint32_t>(std::max<std::int64_t>(remaining, 0));
    const bool proxied =
        flow.tuples[0].protocol == nat::ip_protocol::tcp && nat::tcp_progress(record).is_proxied();
    flow.opening_detail = proxied ? record.opening_detail : std::uint8_t{0};
    flow.sequence_shift = proxied ? load(record.pool_link) : 0;
    flow.protocol_word = load(record.protocol_word);
    for (std::size_t i = 0; i < 2; ++i) {
        flow.packets[i] = load(record.counters[i].packets);
        flow.bytes[i] = load(record.counters[i].bytes);
    }
    for (std::size_t i = 0; i < flow.memory.size(); ++i)
        flow.memory[i] = load(record.memory[i]);
    if (by_others) flow.memory[nat::flow_memory::references] = 0;
    if (record.tuples[0].reserved == nat::wildcard::remote)
        flow.memory[nat::flow_memory::outward_until] -= to_moment(moment.now_ms);
    return true;
}

bool arrive(const StreamFlow& flow, const Arriving& moment, StateRecord& record) {
    const bool by_others = lives_by_others(flow.tuples[0]);
    const bool waits = waits_for_backend(flow.tuples[0], flow.protocol_state);
    if (flow.remaining_ms <= moment.elapsed_ms && !by_others && !waits) return false;
    const auto store = [](auto& field, auto value) {
        field.store(value, std::memory_order_relaxed);
    };
    const std::uint64_t remaining =
        flow.remaining_ms - std::min<std::uint64_t>(flow.remaining_ms, moment.elapsed_ms);
    const auto& [original, reply] = flow.tuples;
    record.tuples = flow.tuples;
    store(record.expires, to_moment(moment.now_ms + remaining));
    store(record.protocol_state, flow.protocol_state);
    store(record.marks, flow.marks);
    store(record.protocol_detail, flow.protocol_detail);
    record.rule = flow.rule;
    nat::keep(record, nat::translation(original, reply.inverse()));
    record.opening_detail = flow.opening_detail;
    store(record.pool_link, flow.sequence_shift);
    store(record.protocol_word, flow.protocol_word);
    for (std::size_t i = 0; i < 2; ++i) {
        store(record.counters[i].packets, flow.packets[i]);
        store(record.counters[i].bytes, flow.bytes[i]);
    }
    for (std::size_t i = 0; i < flow.memory.size(); ++i)
        store(record.memory[i], flow.memory[i]);
    if (original.reserved == nat::wildcard::remote) {
        constexpr std::int64_t long_ago = -(std::int64_t{1} << 30);
        const auto left = static_cast<std::int32_t>(flow.memory[nat::flow_memory::outward_until]);
        const auto elapsed = static_cast<std::int64_t>(
            std::min<std::uint64_t>(moment.elapsed_ms, std::uint64_t{1} << 32U));
        const std::int64_t now_left = std::max(left - elapsed, long_ago);
        store(record.memory[nat::flow_memory::outward_until],
              to_moment(moment.now_ms) + static_cast<std::uint32_t>(now_left));
    }
    store(record.status, flow.ending ? FlowStatus::ending : FlowStatus::live);
    return true;
}

}  // namespace noclash::dpdk
