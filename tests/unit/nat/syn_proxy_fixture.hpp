// SPDX-License-Identifier: Apache-2.0
#pragma once

// A gateway with a service whose clients it answers itself, and what they, the backend and the
// gateway say.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "nat/syn_proxy/syn_proxy.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/whole_segment.hpp"

namespace noclash::nat::test::syn_proxy_test {

using tcp_flag::ack, tcp_flag::fin, tcp_flag::rst, tcp_flag::syn;
constexpr std::uint8_t syn_ack = syn | ack, fin_ack = fin | ack, rst_ack = rst | ack;
constexpr auto taken = Outcome::taken;
constexpr auto transmit = Outcome::transmit;

constexpr std::uint32_t client_isn = 0xffff'fff0, server_isn = 0x7fff'fffe;
constexpr std::uint32_t client_clock = 5'000, server_clock = 0xffff'ff00;
constexpr std::uint8_t client_scale = 3, server_scale = 9, offered_scale = 7;

/// A segment of the gateway's own.
struct Own {
    Ends ends;
    WholeSegment segment;
    std::uint64_t at_ms = 0;
};

inline Service<V4> web(SynProxyMode mode = SynProxyMode::on) {
    Service<V4> service;
    service.name = "web";
    service.address = ip("203.0.113.7");
    service.ports = {{80, 80}};
    service.protocol = ip_protocol::tcp;
    service.backends = {{ip("10.2.0.2"), 8080, 1}};
    service.syn_proxy = mode;
    return service;
}
const Ends client_ends{host("10.1.0.7"), host("203.0.113.7"), 40000, 80};

inline WholeSegment client_syn(bool timestamps = true) {
    WholeSegment segment{.flags = syn, .sequence = client_isn, .window = 64240};
    segment.max_segment_size = 1400;
    segment.window_scale = client_scale;
    segment.sack_permitted = true;
    if (timestamps) segment.stamp = Stamp{client_clock, 0};
    return segment;
}
inline WholeSegment server_syn_ack() {
    WholeSegment segment{.flags = syn_ack,
                         .sequence = server_isn,
                         .acknowledgment = client_isn + 1,
                         .window = 65160};
    segment.max_segment_size = 1460;
    segment.window_scale = server_scale;
    segment.sack_permitted = true;
    segment.stamp = Stamp{server_clock, client_clock + 1};
    return segment;
}

class SynProxyTest : public testing::Test {
  protected:
    void SetUp() override { start(web()); }

    void start(const Service<V4>& service, unsigned workers = 1, TcpPolicy tcp = {},
               const LimitsConfig<V4>& limits = {}) {
        PolicyConfig<V4> policy{{}, {masquerade()}};
        policy.services = {service};
        policy.tcp = tcp;
        gateway =
            std::make_unique<TestGateway>(policy, workers, 4096, limits, TcpTimestamps::preserve);
        gateway->now_ms = 1'000'000;
    }

    /// What became of it; when it went on, `passed` is what its receiver gets.
    Verdict says(const Ends& ends, const WholeSegment& segment, std::uint16_t port,
                 unsigned worker = 0) {
        packet = bytes_of(ends, segment);
        const Verdict verdict = gateway->pass(packet, port, worker);
        passed = {};
        if (verdict.transmits()) passed = segment_in(packet);
        gather();
        return verdict;
    }
    Verdict client_says(const WholeSegment& segment, unsigned worker = 0) {
        return says(client_ends, segment, 0, worker);
    }
    Verdict server_says(const WholeSegment& segment, unsigned worker = 0) {
        return says(back_to(at_server), segment, 1, worker);
    }
    /// The segments of the gateway's own since the last time that anybody asked.
    std::vector<Own> own() { return std::exchange(own_, {}); }
    /// The only one.
    Own one_own() {
        const std::vector<Own> all = own();
        EXPECT_EQ(all.size(), 1U);
        return all.empty() ? Own{} : all.front();
    }
    void gather() {
        for (const auto& pipeline : gateway->pipelines)
            for (const OwnSegment<V4>& segment : pipeline->outbox().take()) {
                const Bytes bytes(segment.bytes().begin(), segment.bytes().end());
                own_.push_back({ends_of(bytes), segment_in(bytes), gateway->now_ms});
            }
    }
    void pass_time(std::uint64_t ms) {
        for (std::uint64_t passed_ms = 0; passed_ms < ms; passed_ms += 100) {
            gateway->pass_time(100);
            gather();
        }
    }

    /// The client's SYN, and what it is answered.
    WholeSegment begin(const WholeSegment& segment = client_syn()) {
        EXPECT_EQ(client_says(segment).outcome, taken);
        const Own answer = one_own();
        offered = answer.segment;
        return offered;
    }
    /// The client's first ACK after `begin`.
    [[nodiscard]] WholeSegment client_ack() const {
        WholeSegment segment{.flags = ack,
                             .sequence = offered.acknowledgment,
                             .acknowledgment = offered.sequence + 1,
                             .window = 8030};
        if (offered.stamp) segment.stamp = Stamp{client_clock + 1, offered.stamp->value};
        return segment;
    }
    /// The SYN that the backend gets.
    WholeSegment open(const WholeSegment& segment) {
        EXPECT_EQ(client_says(segment).outcome, taken);
        const Own sent = one_own();
        at_server = sent.ends;
        return sent.segment;
    }
    void establish(const WholeSegment& with = client_syn(),
                   const WholeSegment& answer = server_syn_ack()) {
        begin(with);
        open(client_ack());
        EXPECT_EQ(server_says(answer).outcome, taken);
        const std::vector<Own> both = own();
        ASSERT_EQ(both.size(), 2U);
        to_server = both[0].segment;
        to_client = both[1].segment;
        EXPECT_EQ(to_server.flags, ack);
        EXPECT_EQ(to_client.flags, ack);
        EXPECT_EQ(state(), TcpState::established);
    }
    /// The client's segments after `establish`.
    [[nodiscard]] WholeSegment from_client(std::uint32_t sequence, std::uint32_t acknowledged,
                                           std::size_t data = 0, std::uint8_t flags = ack) const {
        WholeSegment segment{.flags = flags,
                             .sequence = client_isn + sequence,
                             .acknowledgment = offered.sequence + acknowledged,
                             .window = 1000,
                             .data = Bytes(data, 0x5a)};
        if (offered.stamp) segment.stamp = Stamp{client_clock + 100, offered.stamp->value + 50};
        return segment;
    }
    [[nodiscard]] static WholeSegment from_server(std::uint32_t sequence,
                                                  std::uint32_t acknowledged, std::size_t data = 0,
                                                  std::uint8_t flags = ack) {
        return {.flags = flags,
                .sequence = server_isn + sequence,
                .acknowledgment = client_isn + acknowledged,
                .window = 100,
                .data = Bytes(data, 0xa5),
                .stamp = Stamp{server_clock + 50, client_clock + 100}};
    }

    FlowTable<V4>::Record& flow() {
        const auto& index = gateway->table.index();
        const Tuple<V4> key = tuple(client_ends, ip_protocol::tcp);
        return gateway->table.pool()[index.find(key, index.hash(key)).flow];
    }
    TcpState state() { return tcp_state(flow()); }
    std::size_t entries() { return gateway->table.index().occupancy().entries; }
    [[nodiscard]] const SynProxyCounters& counters(unsigned worker = 0) const {
        return gateway->pipelines[worker]->slow_path().syn_proxy().counters();
    }

    std::unique_ptr<TestGateway> gateway;
    Bytes packet;
    std::optional<WholeSegment> passed;
    WholeSegment offered;  ///< the SYN-ACK that the client has got
    Ends at_server{};      ///< of the client's segments as its backend sees them
    WholeSegment to_server, to_client;

  private:
    std::vector<Own> own_;
};

}  // namespace noclash::nat::test::syn_proxy_test
