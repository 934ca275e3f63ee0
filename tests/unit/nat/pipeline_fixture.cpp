// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/nat/pipeline_fixture.hpp"

#include <utility>

namespace noclash::nat::test {

TestGateway::TestGateway(PolicyConfig<V4> with, unsigned workers, std::uint32_t flows,
                         LimitsConfig<V4> most, TcpTimestamps mode)
    : policy(std::move(with)),
      served(policy.rules),
      table(flows, workers, workers),
      crowded(table),
      timestamps(mode),
      limits_config(std::move(most)),
      limits(limits_config, policy.rules, table) {
    for (unsigned id = 0; id < workers; ++id) {
        engines.push_back(
            std::make_unique<FlowWorker<V4>>(table, static_cast<std::uint16_t>(id), 0));
        pipelines.push_back(std::make_unique<TestPipeline>(
            *engines.back(),
            TestPipeline::Shared{policy, timeouts, router, served, crowded, &timestamps,
                                 limits.active() ? &limits : nullptr}));
    }
    engines[0]->online();
}

TestGateway::~TestGateway() = default;

PacketContext<V4> TestGateway::decide(Bytes& packet, std::uint16_t port, unsigned worker) {
    PacketContext<V4> context{};
    context.packet = view(packet);
    context.ingress_port = port;
    pipelines[worker]->process({&context, 1}, now_ms);
    return context;
}

void TestGateway::process(std::span<PacketContext<V4>> contexts) {
    pipelines[0]->process(contexts, now_ms);
}

void TestGateway::maintain(std::uint32_t budget, unsigned worker) {
    pipelines[worker]->maintain(now_ms, budget);
}

void TestGateway::pass_time(std::uint64_t ms) {
    for (const std::uint64_t end = now_ms + ms; now_ms < end; now_ms += 100) {
        engines[0]->quiescent();
        maintain(1U << 20U);
    }
}

}  // namespace noclash::nat::test
