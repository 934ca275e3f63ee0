// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dpdk/datapath/gateway.hpp"
#include "dpdk/device/page_kind.hpp"

namespace noclash::dpdk {

/// A large part of the gateway's memory: its purpose, its size, and its kind of pages.
struct MemoryRow {
    std::string_view what;
    std::uint64_t bytes;
    PageKind pages;
};

/// Flow records, tuple index, packet buffers, routes. Not for the datapath.
[[nodiscard]] std::vector<MemoryRow> memory_report(const Gateway& gateway);

/// In one line: "81 MiB of flow records on 2 MiB pages, ...".
[[nodiscard]] std::string memory_words(const std::vector<MemoryRow>& rows);

}  // namespace noclash::dpdk
