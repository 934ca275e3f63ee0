// SPDX-License-Identifier: Apache-2.0
#include "tools/storm/ledger.hpp"

#include <algorithm>

namespace noclash::tools {

Ledger::Ledger(std::uint32_t expected, Sockets sockets)
    : sockets_(sockets),
      copies_(expected),
      pairs_(sockets == Sockets::shared ? (expected + 1) / 2 : 0),
      missing_(expected) {}

std::uint64_t Ledger::tuple_key(const Probe& probe) {
    return static_cast<std::uint64_t>(probe.source.value.wire()) << 32U |
           static_cast<std::uint64_t>(probe.source_port) << 16U | probe.destination_port;
}

std::uint32_t Ledger::socket_of(std::uint32_t id) const {
    return sockets_ == Sockets::shared ? id / 2 : id;
}

void Ledger::enter_pair(std::uint32_t socket, V4Address destination) {
    Pair& pair = pairs_[socket];
    if (pair.arrived && pair.destination != destination) pair.split = true;
    if (!pair.arrived) pair.destination = destination;
    pair.arrived = true;
}

void Ledger::enter(const Arrival& arrival) {
    if (!arrival.checksums_good) {
        // Its id and tuple cannot be trusted either: the connection counts as lost.
        ++bad_checksums_;
        return;
    }
    const Probe& probe = arrival.probe;
    if (probe.id >= copies_.size()) {
        ++strangers_;
        return;
    }
    auto& copies = copies_[probe.id];
    if (copies == 0) --missing_;
    if (copies < UINT8_MAX) ++copies;
    const std::uint32_t socket = socket_of(probe.id);
    auto& owners = owners_[probe.destination.value.wire()];
    const auto [entry, fresh] = owners.try_emplace(tuple_key(probe), socket);
    if (!fresh && entry->second != socket) ++tuple_collisions_;
    if (sockets_ == Sockets::shared) enter_pair(socket, probe.destination);
}

LedgerSummary Ledger::summary() const {
    LedgerSummary result;
    result.expected = copies_.size();
    for (const auto copies : copies_) {
        if (copies == 0) ++result.lost;
        if (copies == 1) ++result.delivered;
        if (copies > 1) ++result.duplicated;
    }
    result.tuple_collisions = tuple_collisions_;
    result.split_pairs = static_cast<std::uint64_t>(
        std::count_if(pairs_.begin(), pairs_.end(), [](const Pair& pair) { return pair.split; }));
    result.bad_checksums = bad_checksums_;
    result.strangers = strangers_;
    return result;
}

}  // namespace noclash::tools
