// SPDX-License-Identifier: Apache-2.0
#pragma once

// Streams of flows for tests: one whose content is known, and what makes streams that no release
// has written.

#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "dpdk/state/flow_stream.hpp"
#include "nat/conntrack/flow_marks.hpp"
#include "nat/conntrack/record_kind.hpp"
#include "nat/conntrack/tcp_state.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::dpdk::test {

using StreamBytes = std::vector<std::uint8_t>;

/// What a stream holds.
struct StreamContent final : FlowStreamReader::Content {
    StreamHeader header;
    KeptPolicy kept;
    StreamLasting clocks;
    std::vector<StreamFlow> flows;

    void policy(KeptPolicy policy) override { kept = std::move(policy); }
    void lasting(const StreamLasting& lasting) override { clocks = lasting; }
    void flow(const StreamFlow& flow) override { flows.push_back(flow); }
};

[[nodiscard]] inline StreamBytes written(StreamContent& content) {
    StreamBytes bytes;
    content.header.flows = content.flows.size();
    FlowStreamWriter writer(
        [&](std::span<const std::uint8_t> part) {
            bytes.insert(bytes.end(), part.begin(), part.end());
        },
        content.header);
    writer.write(content.kept);
    writer.write(content.clocks);
    for (const StreamFlow& flow : content.flows)
        writer.write(flow);
    writer.end();
    return bytes;
}

/// A source that hands out at most so many bytes at once.
[[nodiscard]] inline FlowStreamReader::Source source_of(std::span<const std::uint8_t> bytes,
                                                        std::size_t most = 1000) {
    return [bytes, most](std::span<std::uint8_t> into) mutable {
        const std::size_t count = std::min({into.size(), bytes.size(), most});
        std::ranges::copy(bytes.first(count), into.begin());
        bytes = bytes.subspan(count);
        return count;
    };
}

[[nodiscard]] inline StreamContent read_stream(std::span<const std::uint8_t> bytes) {
    StreamContent content;
    FlowStreamReader reader(source_of(bytes));
    content.header = reader.header();
    reader.read(content);
    return content;
}

/// Corrects the checksums of a stream, as far as its parts can be told.
[[nodiscard]] inline StreamBytes sealed(StreamBytes bytes) {
    const auto number = [&](std::size_t at, std::size_t size) {
        std::uint64_t value = 0;
        std::memcpy(&value, bytes.data() + at, size);
        return value;
    };
    const auto seal = [&](std::size_t begin, std::uint64_t size) {
        if (begin > bytes.size() || size > bytes.size() - begin ||
            bytes.size() - begin - size < sizeof(std::uint64_t))
            return bytes.size();
        const std::uint64_t checksum = XXH3_64bits(bytes.data() + begin, size);
        std::memcpy(bytes.data() + begin + size, &checksum, sizeof checksum);
        return static_cast<std::size_t>(begin + size + sizeof checksum);
    };
    if (bytes.size() < 16) return bytes;
    std::size_t at = seal(0, number(12, 4));
    while (at + 16 <= bytes.size()) {
        const std::uint64_t size = number(at + 8, 8);
        if (size > bytes.size()) break;
        at = seal(at, 16 + size);
    }
    return bytes;
}

/// One flow, mapping, permission and incarnation each.
[[nodiscard]] inline StreamContent sample_content() {
    StreamContent content;
    content.header = {"0.9.0", "11111111-2222-3333-4444-555555555555", 1'700'000'000'000, 123'456,
                      0};
    content.kept.identities.rules = {"web", "", "outbound"};
    content.kept.identities.pools = {"outside"};
    content.kept.identities.pairing_keys = {{0x0123456789abcdef, 0xfedcba9876543210}};
    content.kept.configuration_file = "/etc/noclash/gateway.toml";
    content.kept.configuration = "flows = 1024\n";
    for (std::uint32_t i = 0; i < content.clocks.clocks.size(); ++i)
        content.clocks.clocks[i] = {i * 1000003U, i % 7};
    content.clocks.packet_ids.key = {1, 2};
    for (std::uint32_t i = 0; i < content.clocks.packet_ids.counts.size(); ++i)
        content.clocks.packet_ids.counts[i] = i % 11;

    const V4Address inside = V4Address::from_host(0x0a010002);
    const V4Address outside = V4Address::from_host(0x0a020001);
    const V4Address remote = V4Address::from_host(0x0a020002);
    const auto port = [](unsigned number) {
        return Be16::from_host(static_cast<std::uint16_t>(number));
    };
    constexpr std::uint8_t tcp = nat::ip_protocol::tcp;
    constexpr std::uint8_t udp = nat::ip_protocol::udp;
    StreamFlow flow;
    flow.tuples = {Tuple<V4>{inside, remote, port(40000), port(80), 3, tcp, 0},
                   Tuple<V4>{remote, outside, port(80), port(51234), 3, tcp, 0}};
    flow.protocol_state = static_cast<std::uint8_t>(nat::TcpState::established);
    flow.marks = nat::flow_mark::replied | nat::flow_mark::assured;
    flow.protocol_detail = 0x77;
    flow.rule = 2;
    flow.remaining_ms = 432'000'000;
    flow.protocol_word = 0xdeadbeef;
    flow.packets = {5, 4};
    flow.bytes = {300, 1ULL << 40U};
    flow.memory = {1, 2, 3, 4, 5, 6, 7};
    content.flows.push_back(flow);

    StreamFlow incarnation = flow;
    for (auto& tuple : incarnation.tuples)
        tuple.reserved = nat::wildcard::incarnation;
    incarnation.protocol_state = static_cast<std::uint8_t>(nat::TcpState::syn_sent);
    incarnation.remaining_ms = 120'000;
    content.flows.push_back(incarnation);

    StreamFlow mapping;
    mapping.tuples = {Tuple<V4>{inside, {}, port(5004), port(1), 0, udp, nat::wildcard::remote},
                      Tuple<V4>{{}, outside, {}, port(20001), 0, udp, nat::wildcard::remote}};
    mapping.protocol_state = 1;
    mapping.rule = 2;
    mapping.remaining_ms = 5000;
    mapping.memory[1] = static_cast<std::uint32_t>(-2500);
    content.flows.push_back(mapping);

    StreamFlow permission;
    permission.tuples = {
        Tuple<V4>{outside, remote, port(20001), {}, 0, udp, nat::wildcard::remote_port},
        Tuple<V4>{remote, outside, {}, port(20001), 0, udp, nat::wildcard::remote_port}};
    permission.ending = true;
    content.flows.push_back(permission);
    return content;
}

}  // namespace noclash::dpdk::test
