// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dpdk/state/flow_stream.hpp"
#include "dpdk/state/state_header.hpp"
#include "dpdk/state/stream_bytes.hpp"

namespace noclash::dpdk {

/// A flow as bytes: its length, then its fields.
void write_flow(const StreamFlow& flow, ByteWriter& to);
/// @throws StreamError
[[nodiscard]] StreamFlow read_flow(ByteReader& from);

/// The moment of an export.
struct Leaving {
    std::uint64_t left_ms = 0;  ///< when the last process was alive
    std::uint64_t now_ms = 0;
};
/// A record's flow.
/// @return false when its time is over
[[nodiscard]] bool leave(const StateRecord& record, const Leaving& moment, StreamFlow& flow);

/// The moment of an import.
struct Arriving {
    std::uint64_t now_ms = 0;
    std::uint64_t elapsed_ms = 0;  ///< since the export
};
/// Makes a free record a flow's.
/// @return false when its time is over; then the record is left alone
[[nodiscard]] bool arrive(const StreamFlow& flow, const Arriving& moment, StateRecord& record);

}  // namespace noclash::dpdk
