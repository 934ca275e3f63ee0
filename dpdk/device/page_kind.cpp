// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/page_kind.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>

namespace noclash::dpdk {

namespace {

/// The value of a line like `AnonHugePages:     2048 kB`, when it is this field's.
std::optional<std::uint64_t> kibibytes(std::string_view line, std::string_view field) {
    if (!line.starts_with(field)) return std::nullopt;
    line.remove_prefix(field.size());
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    std::uint64_t value = 0;
    std::from_chars(line.data(), line.data() + line.size(), value);
    return value;
}

/// Whether a line opens a mapping, as `7f0000000000-7f0000200000 rw-p ...` does; and whether
/// `address` is in it.
struct Opening {
    bool opens = false;
    bool holds = false;
};
Opening opening(std::string_view line, std::uintptr_t address) {
    std::uintptr_t first = 0, last = 0;
    const char* end = line.data() + line.size();
    const auto from = std::from_chars(line.data(), end, first, 16);
    if (from.ec != std::errc{} || from.ptr == end || *from.ptr != '-') return {};
    const auto to = std::from_chars(from.ptr + 1, end, last, 16);
    if (to.ec != std::errc{} || to.ptr == end || *to.ptr != ' ') return {};
    return {true, first <= address && address < last};
}

}  // namespace

std::string_view to_string(PageKind kind) {
    switch (kind) {
        case PageKind::normal:
            return "normal";
        case PageKind::transparent:
            return "transparent huge";
        case PageKind::two_megabytes:
            return "2 MiB";
        case PageKind::gigabyte:
            return "1 GiB";
    }
    return "";
}

PageKind page_kind_at(std::istream& smaps, std::uintptr_t address) {
    bool here = false;
    std::uint64_t page = 0, resident = 0, huge = 0;
    for (std::string line; std::getline(smaps, line);) {
        if (const Opening found = opening(line, address); found.opens) {
            if (here) break;
            here = found.holds;
        }
        if (!here) continue;
        if (const auto value = kibibytes(line, "KernelPageSize:")) page = *value;
        if (const auto value = kibibytes(line, "Rss:")) resident = *value;
        for (const std::string_view field : {"AnonHugePages:", "ShmemPmdMapped:"})
            if (const auto value = kibibytes(line, field)) huge += *value;
    }
    if (page >= 1U << 20U) return PageKind::gigabyte;
    if (page >= 2U << 10U) return PageKind::two_megabytes;
    return huge > 0 && huge >= resident / 2 ? PageKind::transparent : PageKind::normal;
}

PageKind page_kind_at(const void* address) {
    std::ifstream smaps("/proc/self/smaps");
    return page_kind_at(smaps, reinterpret_cast<std::uintptr_t>(address));
}

}  // namespace noclash::dpdk
