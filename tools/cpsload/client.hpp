// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "tools/cpsload/frame.hpp"
#include "tools/cpsload/ledger.hpp"

namespace noclash::cpsload {

/// The side that opens connections. It is told what arrives and what time it is, and writes frames
/// into buffers that it is given; every function that takes `room` returns the length of the frame
/// that it wrote there, or 0. `room` holds at least `room_bytes`.
///
/// One connection of kind `crr` over TCP, each line answering the one before:
///
///     client  SYN                                    opening
///     server  SYN, ACK
///     client  ACK with the request                   asking
///     server  ACK with the response, an echo
///     client  FIN, ACK                               closing
///     server  FIN, ACK
///     client  ACK                                    ending; over when the server has it
///
/// A connection of kind `syn` ends with the handshake's ACK; `hold` waits there (held). A
/// connection over UDP is `asking` until its datagram, or both its DNS queries, are answered.
///
/// Only the client has timers: it repeats its packet until it is answered, the last ACK until the
/// server has it. The server is passive, and answers repetitions as it did the first.
///
/// One thread.
class Client {
  public:
    Client(Ledger& ledger, const FrameWriter& writer);

    /// Opens a connection. After the first of a pair of DNS queries `second_due` is true, and the
    /// next call sends the second.
    [[nodiscard]] std::uint16_t open(std::uint8_t* room, Time now);
    [[nodiscard]] bool second_due() const { return second_of_ != nullptr; }

    /// Where the connection of a segment lies, to prefetch it.
    [[nodiscard]] std::uint32_t slot_of(const Segment& segment) const;
    /// Takes what arrived; the answer may be written over it.
    [[nodiscard]] std::uint16_t receive(const Segment& segment, std::uint8_t* room, Time now);

    /// Sends again what is overdue, one packet a call, and gives up what was repeated enough.
    [[nodiscard]] std::uint16_t repeat(std::uint8_t* room, Time now);

    /// For a connection that is held: sends its request, which may happen once; sends its FIN.
    [[nodiscard]] std::uint16_t ask(Connection& connection, std::uint8_t* room, Time now);
    [[nodiscard]] std::uint16_t close(Connection& connection, std::uint8_t* room, Time now);

  private:
    std::uint16_t take_tcp(const Segment& segment, std::uint8_t* room, Time now);
    std::uint16_t take_accept(Connection& connection, const Segment& segment, std::uint8_t* room,
                              Time now);
    std::uint16_t take_response(Connection& connection, const Segment& segment, std::uint8_t* room,
                                Time now);
    std::uint16_t take_fin(Connection& connection, const Segment& segment, std::uint8_t* room,
                           Time now);
    void take_datagram(const Segment& segment, Time now);
    void take_dns_answer(const Segment& segment, Time now);
    void take_reset(const Segment& segment);

    std::uint16_t send_opening(Connection& connection, std::uint8_t* room, Time now);
    std::uint16_t send_request(Connection& connection, std::uint8_t* room, Time now);
    std::uint16_t send_fin(Connection& connection, std::uint8_t* room, Time now);
    std::uint16_t send_last(Connection& connection, std::uint8_t* room, Time now);
    std::uint16_t send_query(Connection& connection, Step step, std::uint8_t* room, Time now);
    std::uint16_t send_again(Connection& connection, std::uint8_t* room, Time now);

    /// False, and counted, when a packet came to another tuple than the one its connection opened.
    bool came_home(const Connection& connection, const Segment& segment);
    /// False, and counted, unless the segment stands where it should in both byte streams.
    bool in_place(const Connection& connection, const Segment& segment, std::uint32_t sent,
                  std::uint32_t received);
    [[nodiscard]] std::uint8_t next_traffic();
    /// Bytes of requests sent so far.
    [[nodiscard]] std::uint32_t asked_bytes(const Connection& connection) const {
        return connection.asked * ledger_.settings.payload_bytes;
    }

    Ledger& ledger_;
    FrameWriter writer_;
    Connection* second_of_ = nullptr;   // whose second DNS query is to be sent next
    std::vector<std::int64_t> credit_;  // of each `Traffic`, towards its share
};

/// Bytes of the longest frame.
inline constexpr std::size_t room_bytes = tcp_payload_at + most_payload;

}  // namespace noclash::cpsload
