// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "dpdk/state/flow_stream.hpp"
#include "dpdk/state/state_view.hpp"

namespace noclash::dpdk {

/// Called after each `flows_between_signs` with how many of how many flows are done.
using Progress = std::function<void(std::uint64_t done, std::uint64_t all)>;
inline constexpr std::uint64_t flows_between_signs = 4096;

/// Records that were carried, and those whose time was over.
struct Transferred {
    std::uint64_t carried = 0;
    std::uint64_t over = 0;
};

/// Writes the flows of a state file to a stream; nobody may start on the file meanwhile.
/// @throws std::runtime_error when a process has the file, or it cannot be adopted
[[nodiscard]] Transferred export_state(StateView& view, const FlowStreamWriter::Sink& sink,
                                       const Progress& progress);

/// Whether a state file with flows gives way to another.
enum class Replace : std::uint8_t { no, yes };

/// Makes a state file at `path` that the next start adopts. Until the stream has been read to its
/// end, what is there stays as it is.
/// @param records  that the file gets
/// @throws StreamError; std::runtime_error when a process has the file that is there, it has flows
///         and is not to be replaced, there are too few records, or memory is short
[[nodiscard]] Transferred import_state(const std::string& path, std::size_t records,
                                       const FlowStreamReader::Source& source, Replace replace,
                                       const Progress& progress);

}  // namespace noclash::dpdk
