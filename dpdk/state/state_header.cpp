// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/state_header.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <fstream>

namespace noclash::dpdk {

std::uint64_t state_layout_hash() {
    using Record = StateRecord;
    const std::string layout = fmt::format(
        "record {}: tuples {} expires {} status {} state {} marks {} detail {} rule {} owner {} "
        "link {} places {} sums {} word {} counters {} pool {} memory {}; header {}; lasting {} "
        "at {}; records at {}",
        sizeof(Record), offsetof(Record, tuples), offsetof(Record, expires),
        offsetof(Record, status), offsetof(Record, protocol_state), offsetof(Record, marks),
        offsetof(Record, protocol_detail), offsetof(Record, rule), offsetof(Record, owner),
        offsetof(Record, link), offsetof(Record, places), offsetof(Record, sum_changes),
        offsetof(Record, protocol_word), offsetof(Record, counters), offsetof(Record, pool_link),
        offsetof(Record, memory), sizeof(StateHeader), sizeof(Lasting), state_lasting_at,
        state_records_at);
    return XXH3_64bits(layout.data(), layout.size());
}

std::string boot_id() {
    std::string id;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
    return id;
}

StateKind kind_of(const StateHeader& header, std::uint64_t size) {
    if (size == 0) return StateKind::unfinished;
    if (size < state_records_at) return StateKind::foreign;
    if (std::ranges::all_of(header.magic, [](char c) { return c == '\0'; }))
        return StateKind::unfinished;
    if (header.magic != state_magic) return StateKind::foreign;
    if (header.layout_version != state_layout_version ||
        header.header_bytes != sizeof(StateHeader) || header.layout_hash != state_layout_hash())
        return StateKind::other_layout;
    const std::string boot = boot_id();
    if (boot.empty() || text_of(header.boot_id) != boot) return StateKind::other_boot;
    constexpr std::uint64_t most_records = std::uint64_t{1} << 28U;
    if (header.records == 0 || header.records > most_records || state_bytes(header.records) > size)
        return StateKind::damaged;
    return StateKind::adoptable;
}

}  // namespace noclash::dpdk
