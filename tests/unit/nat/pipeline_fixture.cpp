// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/nat/pipeline_fixture.hpp"

#include <set>
#include <string>
#include <utility>

namespace noclash::nat::test {

TestGateway::TestGateway(PolicyConfig<V4> with, unsigned workers, std::uint32_t flows,
                         LimitsConfig<V4> most, TcpTimestamps mode, Flow<V4, Production>* kept)
    : policy(std::move(with)),
      table(kept == nullptr ? FlowTable<V4>(flows, workers, workers)
                            : FlowTable<V4>(flows, workers, workers, kept)),
      crowded(table),
      timestamps(mode),
      limits_config(std::move(most)),
      limits(table, limits_config, identities.rules().most()) {
    for (unsigned id = 0; id < workers; ++id) {
        engines.push_back(
            std::make_unique<FlowWorker<V4>>(table, static_cast<std::uint16_t>(id), 0));
        pipelines.push_back(std::make_unique<TestPipeline>(
            *engines.back(), TestPipeline::Shared{crowded,
                                                  limits,
                                                  identities.rules().most(),
                                                  &timestamps,
                                                  {},
                                                  &reset_ends,
                                                  &syn_proxy}));
    }
    engines[0]->online();
}

TestGateway::~TestGateway() = default;

RoutedRound<V4, TestRouter> TestGateway::round() {
    if (keeps_policy) return {*snapshot, now_ms};
    PolicyConfig<V4> named = policy;
    std::set<std::string> names{""};
    for (std::size_t i = 0; i < named.rules.size(); ++i)
        if (!names.insert(named.rules[i].name).second)
            named.rules[i].name = "rule " + std::to_string(i);
    limits.prepare(limits_config);
    snapshot = std::make_unique<PolicySnapshot<V4, TestRouter>>(
        std::move(named), timeouts, limits_config, identities, router, snapshot.get());
    return {*snapshot, now_ms};
}

void TestGateway::keep_policy() {
    static_cast<void>(round());
    keeps_policy = true;
}

RuleId TestGateway::id_of(std::size_t rule) {
    return round().policy.rules[rule].id;
}

AdoptionCounts TestGateway::adopt(std::uint64_t left_ms) {
    const RoutedRound<V4, TestRouter> first = round();
    const Adoption<V4, Production> adoption(table, limits, first, left_ms);
    engines[0]->stock(adoption.spare());
    for (const auto& pipeline : pipelines)
        pipeline->adopt(adoption.flows(), first);
    return adoption.counts();
}

PacketContext<V4> TestGateway::decide(Bytes& packet, std::uint16_t port, unsigned worker) {
    PacketContext<V4> context{};
    context.packet = view(packet);
    context.ingress_port = port;
    pipelines[worker]->process({&context, 1}, round());
    return context;
}

void TestGateway::process(std::span<PacketContext<V4>> contexts) {
    pipelines[0]->process(contexts, round());
}

void TestGateway::maintain(std::uint32_t budget, unsigned worker) {
    pipelines[worker]->maintain(round(), budget);
}

void TestGateway::pass_time(std::uint64_t ms) {
    const auto& [by, now] = round();
    for (const std::uint64_t end = now_ms + ms; now_ms < end; now_ms += 100) {
        engines[0]->quiescent();
        pipelines[0]->maintain({by, now_ms}, 1U << 20U);
    }
}

}  // namespace noclash::nat::test
