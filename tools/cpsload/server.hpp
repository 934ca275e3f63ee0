// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "tools/cpsload/frame.hpp"
#include "tools/cpsload/ledger.hpp"

namespace noclash::cpsload {

/// The side that answers, at any of its addresses and ports. It keeps no time: see `Client`. It
/// compares every packet with what the client sent, and the tuple of every packet with that of the
/// connection's first. One thread.
class Server {
  public:
    Server(Ledger& ledger, const FrameWriter& writer) : ledger_(ledger), writer_(writer) {}

    /// Where the connection of a segment lies, to prefetch it.
    [[nodiscard]] std::uint32_t slot_of(const Segment& segment) const;
    /// Takes what arrived. The answer is written to `room`, which may be the frame of `segment`.
    /// @returns its length; 0: there is none
    [[nodiscard]] std::uint16_t receive(const Segment& segment, std::uint8_t* room, Time now);

  private:
    std::uint16_t take_opening(const Segment& segment, std::uint8_t* room);
    std::uint16_t take_tcp(const Segment& segment, std::uint8_t* room);
    std::uint16_t take_request(Connection& connection, const Segment& segment, std::uint8_t* room);
    std::uint16_t take_fin(Connection& connection, const Segment& segment, std::uint8_t* room);
    std::uint16_t take_last(Connection& connection);
    std::uint16_t take_datagram(const Segment& segment, std::uint8_t* room);
    std::uint16_t take_query(const Segment& segment, std::uint8_t* room);

    /// Notes the tuple of a new connection, and what is wrong with it.
    void welcome(Connection& connection, const Segment& segment);
    /// Notes that what the connection opens with arrived, for the first time or again; false when
    /// it is to go unanswered, which is counted.
    bool arrived(Connection& connection, const Segment& segment, Step step);
    /// False, and counted, when the packet came with another tuple than the connection's first.
    bool same_tuple(const Connection& connection, const Segment& segment);

    Ledger& ledger_;
    FrameWriter writer_;
};

}  // namespace noclash::cpsload
