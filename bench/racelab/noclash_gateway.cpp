// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/noclash_gateway.hpp"

#include <stdexcept>

namespace noclash::racelab {
namespace {

constexpr nat::PortRange ports{};  // of `masquerade`
constexpr std::uint32_t maintenance_budget = 64;

std::uint64_t to_ms(Instant now) {
    return now / 1'000'000;
}

}  // namespace

NoclashGateway::NoclashGateway(V4Address gateway, unsigned workers, std::uint32_t flows)
    : gateway_(gateway), table_(flows, workers, workers), crowded_(table_) {
    for (unsigned id = 0; id < workers; ++id) {
        workers_.push_back(
            std::make_unique<Worker>(table_, static_cast<std::uint16_t>(id), crowded_));
        workers_.back()->engine.online();
    }
}

NoclashGateway::~NoclashGateway() {
    in_flight_.clear();  // claims roll back while their workers are there
    for (auto& worker : workers_)
        worker->engine.offline();
}

Contestant::Choice NoclashGateway::choose(const Passage& passage, Instant now) {
    Worker& worker = *workers_[passage.thread];
    const Packet& packet = passage.packet;
    const auto [entry, fresh] = in_flight_.try_emplace(passage.id);
    InFlight& mine = entry->second;
    auto& index = table_.index();
    if (const Found flow = index.find(packet.original, index.hash(packet.original)))
        return follow(worker, mine, flow);

    Claim& claim = mine.claim.emplace(worker.engine, packet.original);
    const SetupError error =
        claim.error() == SetupError::none ? reserve(worker, claim, packet, now) : SetupError::busy;
    if (error == SetupError::none) {
        ++worker.claims;
        return Choice::made;
    }
    const bool full = claim.error() == SetupError::table_full;
    mine.claim.reset();
    between_bursts(now);
    // As the pipeline: what is exhausted is dropped, what only has no room yet is parked.
    return full || error == SetupError::exhausted ? Choice::made : Choice::parked;
}

/// As Pipeline::hit.
Contestant::Choice NoclashGateway::follow(Worker& worker, InFlight& packet, Found flow) {
    const auto& record = worker.engine.record(flow.flow);
    if (record.status.load(std::memory_order_acquire) != FlowStatus::live) return Choice::parked;
    packet.sent = record.tuple(opposite(flow.direction)).inverse();
    ++adopted_;
    return Choice::made;
}

/// As SourceTranslation.
SetupError NoclashGateway::reserve(Worker& worker, Claim& claim, const Packet& packet,
                                   Instant now) {
    Tuple<V4> reply = packet.original.inverse();
    reply.source = packet.backend;
    reply.source_port = Be16::from_host(packet.backend_port);
    if (packet.source_nat == SourceNat::masquerade)
        reply.destination = gateway_;
    else if (claim.reserve(reply) == SetupError::none)
        return SetupError::none;
    return worker.proposals.reserve(
        claim, reply,
        {.addresses = {&reply.destination, 1}, .ports = ports, .reserved = &reserved_},
        to_moment(to_ms(now)));
}

std::optional<Tuple<V4>> NoclashGateway::confirm(const Passage& passage, Instant now) {
    const auto entry = in_flight_.find(passage.id);
    if (entry == in_flight_.end()) throw std::logic_error("a packet leaves that never chose");
    InFlight& mine = entry->second;
    std::optional<Tuple<V4>> sent = mine.sent;
    if (mine.claim) {
        sent = mine.claim->record().tuple(Direction::reply).inverse();
        constexpr Moment long_after = 1U << 30U;
        mine.claim->publish(to_moment(to_ms(now)) + long_after, to_ms(now));
        --workers_[passage.thread]->claims;
    }
    in_flight_.erase(entry);
    between_bursts(now);
    return sent;
}

/// Workers that hold no claim go round and round meanwhile.
void NoclashGateway::between_bursts(Instant now) {
    for (auto& worker : workers_) {
        if (worker->claims > 0) continue;
        worker->engine.quiescent();
        worker->engine.maintain(to_ms(now), maintenance_budget,
                                [this](const auto& flow) { crowded_.ended(flow); });
        worker->proposals.top_up();
    }
}

Counts NoclashGateway::counts() const {
    Counts sum;
    for (const auto& worker : workers_) {
        sum.insert += worker->engine.counters().insert.value();
        sum.found += worker->engine.counters().found.value();
    }
    sum.clash_resolved = adopted_;
    return sum;
}

}  // namespace noclash::racelab
