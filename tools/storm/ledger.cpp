// SPDX-License-Identifier: Apache-2.0
#include "tools/storm/ledger.hpp"

namespace noclash::tools {

Ledger::Ledger(std::uint32_t expected) : copies_(expected), missing_(expected) {}

std::uint64_t Ledger::tuple_key(const Probe& probe) {
    return static_cast<std::uint64_t>(probe.source.value.wire()) << 32U |
           static_cast<std::uint64_t>(probe.source_port) << 16U | probe.destination_port;
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
    auto& owners = owners_[probe.destination.value.wire()];
    const auto [entry, fresh] = owners.try_emplace(tuple_key(probe), probe.id);
    if (!fresh && entry->second != probe.id) ++tuple_collisions_;
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
    result.bad_checksums = bad_checksums_;
    result.strangers = strangers_;
    return result;
}

}  // namespace noclash::tools
