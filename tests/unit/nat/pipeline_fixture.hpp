// SPDX-License-Identifier: Apache-2.0
#pragma once

// A gateway without devices: inside 10.1.0.1/16 (port 0), outside 10.2.0.1/24 (port 1), everything
// else beyond 10.2.0.254. The pipeline is compiled once, in pipeline_fixture.cpp: it takes longer
// than all tests of a file.

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "nat/adoption.hpp"
#include "nat/conntrack/reset_ends.hpp"
#include "nat/pipeline.hpp"
#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::test {

inline V4Address ip(const char* text) {
    return *parse_address<V4>(text);
}
inline std::uint32_t host(const char* text) {
    return ip(text).value.host();
}

struct TestRouter {
    [[nodiscard]] std::optional<Hop<V4>> route(const V4Address& address) const {
        if (same_prefix<V4>(address, ip("10.1.0.0"), 16)) return Hop<V4>{0, 1500, address};
        if (same_prefix<V4>(address, ip("10.99.0.0"), 16)) return std::nullopt;
        const bool on_link = same_prefix<V4>(address, ip("10.2.0.0"), 24);
        return Hop<V4>{1, outside_mtu, on_link ? address : ip("10.2.0.254")};
    }
    [[nodiscard]] bool route(const V4Address& address, Hop<V4>& hop) const {
        const auto found = route(address);
        if (found) hop = *found;
        return found.has_value();
    }
    [[nodiscard]] V4Address port_address(std::uint16_t port) const {
        return ip(port == 0 ? "10.1.0.1" : "10.2.0.1");
    }
    [[nodiscard]] bool is_own(const V4Address& address) const {
        return address == port_address(0) || address == port_address(1);
    }
    [[nodiscard]] bool is_broadcast(const V4Address& address) const {
        return std::ranges::find(broadcasts, address) != broadcasts.end();
    }
    [[nodiscard]] bool is_reserved(const V4Address& address) const {
        return is_own(address) || is_broadcast(address);
    }
    [[nodiscard]] bool checks_reverse_path() const { return strict; }
    [[nodiscard]] bool has_way_back(const V4Address& source, std::uint16_t ingress) const {
        const auto way = route(source);
        return !strict || (way && way->port == ingress);
    }
    [[nodiscard]] bool is_translated(const V4Address& address) const {
        return is_reserved(address) || std::ranges::find(inside, address) != inside.end();
    }
    std::vector<V4Address> inside;  ///< dnat targets, and what static mappings bind
    std::vector<V4Address> broadcasts{ip("10.1.0.0"), ip("10.1.255.255"), ip("10.2.0.0"),
                                      ip("10.2.0.255")};
    std::uint16_t outside_mtu = 1500;
    bool strict = false;  ///< reverse path, at both ports
};

using TestPipeline = Pipeline<V4, TestRouter>;

inline Rule<V4> masquerade(PortRange ports = {}) {
    Rule<V4> rule;
    rule.name = "masquerade";
    rule.ingress_port = 0;
    rule.action = Action::masquerade;
    rule.source_nat = SourceNat::masquerade;
    rule.ports = ports;
    return rule;
}

inline Rule<V4> node_port(SourceNat source = SourceNat::masquerade) {
    Rule<V4> rule;
    rule.name = "node-port";
    rule.protocol = ip_protocol::tcp;
    rule.to = {{ip("10.1.0.1"), 32}, {ip("10.2.0.1"), 32}};
    rule.to_port = PortRange{30080, 30080};
    rule.action = Action::dnat;
    rule.source_nat = source;
    rule.targets = {{ip("10.2.0.2"), 80}};
    return rule;
}

/// Each burst goes by a policy made for it of what `policy`, `timeouts`, `limits_config` and
/// `router` say at the time; the one before it is gone then. So whatever refers to a former policy
/// shows in the sanitizers' builds.
struct TestGateway {
    explicit TestGateway(std::vector<Rule<V4>> rules, unsigned workers = 1,
                         std::uint32_t flows = 4096, TcpTimestamps mode = TcpTimestamps::preserve)
        : TestGateway(PolicyConfig<V4>{{}, std::move(rules)}, workers, flows, {}, mode) {}
    TestGateway(std::vector<Rule<V4>> rules, unsigned workers, std::uint32_t flows,
                const LimitsConfig<V4>& most)
        : TestGateway(PolicyConfig<V4>{{}, std::move(rules)}, workers, flows, most) {}
    TestGateway(PolicyConfig<V4> with, unsigned workers, std::uint32_t flows,
                LimitsConfig<V4> most = {}, TcpTimestamps mode = TcpTimestamps::preserve,
                Flow<V4, Production>* kept = nullptr);
    ~TestGateway();
    TestGateway(const TestGateway&) = delete;
    TestGateway& operator=(const TestGateway&) = delete;

    /// One packet through one worker; the packet is rewritten in place. What became of it.
    Verdict pass(Bytes& packet, std::uint16_t port = 0, unsigned worker = 0) {
        return decide(packet, port, worker).verdict;
    }
    /// The same; and where it goes.
    PacketContext<V4> decide(Bytes& packet, std::uint16_t port = 0, unsigned worker = 0);
    /// A burst through the first worker.
    void process(std::span<PacketContext<V4>> contexts);
    /// Takes over the records that it was given, which another gateway left at `left_ms`.
    AdoptionCounts adopt(std::uint64_t left_ms);
    /// Does a worker's work between bursts.
    void maintain(std::uint32_t budget, unsigned worker = 0);
    /// Passes time; timers fire and records are reclaimed.
    void pass_time(std::uint64_t ms);

    /// The round of the next burst: policy, routes and time.
    [[nodiscard]] RoutedRound<V4, TestRouter> round();
    /// All bursts go by one policy from now on: for workers that are threads.
    void keep_policy();
    /// The number of a rule of the list.
    [[nodiscard]] RuleId id_of(std::size_t rule);

    TestRouter router;
    Timeouts timeouts;
    PolicyConfig<V4> policy;
    Identities identities{64};
    std::unique_ptr<PolicySnapshot<V4, TestRouter>> snapshot;  ///< of the last burst
    bool keeps_policy = false;
    FlowTable<V4> table;
    OccupancyMaps<V4, Production> crowded;
    Timestamps<V4, Production> timestamps;
    LimitsConfig<V4> limits_config;
    Limits<V4, Production> limits;
    ResetEnds reset_ends;
    SynProxyShared<V4, Production> syn_proxy{{0x0706'0504'0302'0100, 0x0f0e'0d0c'0b0a'0908},
                                             identities.rules().most()};
    std::vector<std::unique_ptr<FlowWorker<V4>>> engines;
    std::vector<std::unique_ptr<TestPipeline>> pipelines;
    std::uint64_t now_ms = 1000;
};

/// The content of a rewritten packet; fails the test when a checksum is wrong.
inline Parsed<V4> read(Bytes& packet) {
    Parsed<V4> parsed;
    const DropReason reason = parse<V4>(view(packet), 0, parsed);
    if (reason != DropReason::none)
        throw std::runtime_error("does not parse: " + std::string(to_string(reason)));
    if (!l4_checksum_ok<V4>(view(packet), parsed)) throw std::runtime_error("bad L4 checksum");
    return parsed;
}

inline const Ends client{host("10.1.0.7"), host("192.0.2.80"), 40000, 80};

inline Ends answer_to(const Tuple<V4>& tuple) {
    return {tuple.destination.value.host(), tuple.source.value.host(),
            tuple.destination_port.host(), tuple.source_port.host()};
}

}  // namespace noclash::nat::test
