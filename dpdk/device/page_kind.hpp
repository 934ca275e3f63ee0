// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string_view>

namespace noclash::dpdk {

/// The kind of pages that memory lies on; a larger page spares page walks.
enum class PageKind : std::uint8_t {
    normal,
    transparent,  ///< most of it on huge pages that the kernel put together by itself
    two_megabytes,
    gigabyte,
};

/// As in "on 2 MiB pages".
[[nodiscard]] std::string_view to_string(PageKind kind);

/// The pages of the mapping of this process that `address` is in: those that the kernel has given,
/// not those that were asked for. Not for the datapath.
[[nodiscard]] PageKind page_kind_at(const void* address);

/// The same of a text like /proc/self/smaps.
[[nodiscard]] PageKind page_kind_at(std::istream& smaps, std::uintptr_t address);

}  // namespace noclash::dpdk
