// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/ledger.hpp"

namespace noclash::cpsload {

namespace {

/// Whether its first packet has not been answered yet.
bool is_opening(const Connection& connection) {
    return is_tcp(connection.kind) ? connection.state == ClientState::opening
                                   : !Ledger::seen(connection, Step::accept);
}

}  // namespace

Ledger::Ledger(const Settings& wanted)
    : settings(wanted),
      connections(wanted),
      deadlines(connections.slots(), wanted.rto, wanted.retries),
      owners(connections.slots()) {
    for (const Traffic& traffic : wanted.traffic)
        plans.emplace_back(wanted, traffic);
}

void Ledger::end(Connection& connection) {
    const std::uint32_t slot = connections.slot_of(connection);
    deadlines.stop(slot);
    owners.release(connection.seen, protocol_of(connection.kind), slot);
    plans[connection.traffic].give_back(connection.tuple);
    connections.release(connection);
}

void Ledger::trouble(Connection& connection) {
    if (!connection.troubled) ++counters.troubled;
    connection.troubled = true;
}

void Ledger::note_repetition(Connection& connection) {
    ++connection.attempt;
    ++counters.retransmissions;
    if (connection.attempt == 1 && is_opening(connection)) ++counters.delayed_openings;
    trouble(connection);
}

void Ledger::complete(Connection& connection) {
    ++counters.completed;
    end(connection);
}

void Ledger::lose(Connection& connection) {
    ++counters.lost;
    if (connection.seen.source_port == 0) ++counters.lost_openings;
    trouble(connection);
    end(connection);
}

void Ledger::reset(Connection& connection) {
    ++counters.reset;
    trouble(connection);
    end(connection);
}

std::uint64_t Ledger::abandon() {
    std::uint64_t untroubled = 0;
    for (std::uint32_t slot = 0; slot < connections.slots(); ++slot) {
        Connection& connection = connections[slot];
        if (connection.state == ClientState::free) continue;
        if (!connection.troubled) ++untroubled;
        end(connection);
    }
    return untroubled;
}

}  // namespace noclash::cpsload
