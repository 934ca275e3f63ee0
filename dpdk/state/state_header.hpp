// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "dpdk/state/lasting.hpp"
#include "engine/flow.hpp"
#include "engine/production.hpp"

namespace noclash::dpdk {

using StateRecord = Flow<V4, Production>;

/// The beginning of a state file. The members up to `release` are the same in every release, so
/// that each can say what it cannot read.
struct StateHeader {
    std::array<char, 8> magic;  ///< `state_magic`; zeros while the file is being made
    std::uint32_t layout_version;
    std::uint32_t header_bytes;
    std::uint64_t layout_hash;
    std::array<char, 32> release;  ///< that made the file; ends with a NUL
    std::array<char, 40> boot_id;  ///< of the kernel; ends with a NUL: times are counted from boot
    std::array<std::uint64_t, 2> instance;  ///< random; the file of names has the same
    std::uint64_t records;                  ///< that follow, from `state_records_at` on
    std::atomic<std::uint64_t> alive_ms;    ///< `now_ms` when its process was alive last
};

inline constexpr std::array<char, 8> state_magic{'N', 'O', 'C', 'L', 'A', 'S', 'H', '\0'};

/// Grows with each change of what a record's bytes mean that leaves their places alone.
inline constexpr std::uint32_t state_layout_version = 1;

inline constexpr std::size_t state_lasting_at = 4096;
inline constexpr std::size_t state_records_at = std::size_t{2} << 20U;
static_assert(sizeof(StateHeader) <= state_lasting_at);
static_assert(state_lasting_at + sizeof(Lasting) <= state_records_at);

/// Bytes of a file with so many records.
[[nodiscard]] constexpr std::uint64_t state_bytes(std::uint64_t records) {
    return state_records_at + records * sizeof(StateRecord);
}

/// Tells one layout of records, header and the rest from any other.
[[nodiscard]] std::uint64_t state_layout_hash();

/// Of the running kernel; empty when it does not say.
[[nodiscard]] std::string boot_id();

/// What a state file is to this process.
enum class StateKind : std::uint8_t {
    unfinished,    ///< empty, or never finished: nothing is in it
    adoptable,     ///< of this boot and this layout, whole
    foreign,       ///< no state file
    other_layout,  ///< of another release
    other_boot,    ///< from before the machine was started
    damaged,       ///< shorter than it says
};
/// @param size  of the file
[[nodiscard]] StateKind kind_of(const StateHeader& header, std::uint64_t size);

/// A text that ends with a NUL or at the end of its field.
template <std::size_t size>
[[nodiscard]] std::string text_of(const std::array<char, size>& field) {
    std::size_t length = 0;
    while (length < size && field[length] != '\0')
        ++length;
    return {field.data(), length};
}

}  // namespace noclash::dpdk
