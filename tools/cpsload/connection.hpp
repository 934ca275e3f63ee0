// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "tools/cpsload/ends.hpp"
#include "tools/cpsload/settings.hpp"

namespace noclash::cpsload {

/// The packets of a connection, in order. Of each it is counted how many were sent and how many
/// arrived, so that one that arrives more often than it was sent is known for a copy of the
/// gateway's making.
enum class Step : std::uint8_t { open, accept, request, response, fin, fin_ack, last };
inline constexpr std::size_t steps = 7;
// The steps of a pair of DNS queries.
inline constexpr Step query_a = Step::open, answer_a = Step::accept, query_aaaa = Step::request,
                      answer_aaaa = Step::response;

enum class ClientState : std::uint8_t {
    free,     ///< the slot is not in use
    opening,  ///< SYN sent
    held,     ///< open, and waits to be asked or closed
    asking,   ///< request or datagram sent
    closing,  ///< FIN sent
    ending,   ///< last ACK sent; over when it has arrived
};

/// One connection, seen from both sides; the tester is both. One cache line.
///
/// The client's fields are what was opened, the server's what arrived; the server uses the client's
/// only to tell a connection that exists from one that does not, and copies from repetitions.
struct alignas(64) Connection {
    // Written by the client.
    Time opened = 0;          ///< when the first packet was sent
    std::uint32_t isn = 0;    ///< the client's initial sequence number: generation and slot
    std::uint32_t tuple = 0;  ///< its number in the plan
    Ends ends;                ///< as the client sees it
    // Written by the server.
    Ends seen;  ///< as the connection was delivered; source port 0: it was not

    // Written by the client, but for `state`, which the server moves on with the last packet.
    std::uint8_t traffic = 0;  ///< index of its `Traffic`
    ClientState state = ClientState::free;
    Kind kind = Kind::crr;
    std::uint8_t attempt = 0;  ///< retransmissions of the last packet
    std::uint8_t asked = 0;    ///< requests sent so far, without repetitions: 0 or 1
    bool troubled = false;     ///< needed a retransmission, or failed

    // Packets sent and arrived; both sides.
    std::array<std::uint8_t, steps> sent_copies{};
    std::array<std::uint8_t, steps> seen_copies{};
};
static_assert(sizeof(Connection) == 64);

/// Where a connection's packets say which one they belong to.
///
/// The client's initial sequence number is (generation, slot). The server's is (generation, slot,
/// 0) with as many zero bits as the payload can add to it: the sequence number of whatever the
/// server sends, and the acknowledgment of whatever the client sends after its SYN, name the slot.
/// So both sides find a connection by index, whatever was translated; what they find is then
/// compared with the packet: a full initial sequence number and the tuple.
class Identity {
  public:
    Identity(std::uint32_t slots, std::uint32_t payload_bytes)
        : slot_bits_(static_cast<unsigned>(std::bit_width(slots - 1))),
          // A SYN and a FIN count as one byte each (RFC 9293, section 3.4).
          offset_bits_(static_cast<unsigned>(std::bit_width(payload_bytes + 2))) {}

    [[nodiscard]] std::uint32_t client_isn(std::uint32_t slot, std::uint32_t generation) const {
        return generation << slot_bits_ | slot;
    }
    [[nodiscard]] std::uint32_t server_isn(std::uint32_t client_isn) const {
        return client_isn << offset_bits_;
    }
    [[nodiscard]] std::uint32_t slot_of_client_isn(std::uint32_t isn) const {
        return isn & ((1U << slot_bits_) - 1);
    }
    /// From any sequence number of the server's, or acknowledgment of the client's.
    [[nodiscard]] std::uint32_t slot_of_server_sequence(std::uint32_t sequence) const {
        return slot_of_client_isn(sequence >> offset_bits_);
    }
    /// Leaves bits for the generation in the server's sequence numbers, too.
    [[nodiscard]] bool fits() const { return slot_bits_ + offset_bits_ + generation_bits <= 32; }

  private:
    static constexpr unsigned generation_bits = 4;

    unsigned slot_bits_;
    unsigned offset_bits_;
};

/// The slots of all connections in flight. One thread.
class Connections {
  public:
    explicit Connections(const Settings& settings)
        : in_flight_(settings.in_flight),
          // A slot that only a damaged packet names exists, too.
          slots_(std::bit_ceil(std::max(settings.in_flight, 2U))),
          identity_(static_cast<std::uint32_t>(slots_.size()), settings.payload_bytes) {
        for (std::uint32_t slot = 0; slot < slots_.size(); ++slot)
            slots_[slot].isn = identity_.client_isn(slot, 0);
        // The lowest first; those used last first again, while they are in the cache.
        for (std::uint32_t slot = in_flight_; slot > 0; --slot)
            free_.push_back(slot - 1);
    }

    [[nodiscard]] const Identity& identity() const { return identity_; }
    [[nodiscard]] Connection& operator[](std::uint32_t slot) { return slots_[slot]; }
    [[nodiscard]] std::uint32_t slot_of(const Connection& connection) const {
        return static_cast<std::uint32_t>(&connection - slots_.data());
    }
    void prefetch(std::uint32_t slot) const { __builtin_prefetch(&slots_[slot], 1); }

    [[nodiscard]] std::uint32_t slots() const { return static_cast<std::uint32_t>(slots_.size()); }
    [[nodiscard]] bool full() const { return free_.empty(); }
    [[nodiscard]] std::uint32_t live() const {
        return in_flight_ - static_cast<std::uint32_t>(free_.size());
    }

    /// An empty connection with an initial sequence number that its slot did not have lately.
    /// There must be one (`full`).
    [[nodiscard]] Connection& take() {
        Connection& connection = slots_[free_.back()];
        free_.pop_back();
        const std::uint32_t isn = connection.isn + slots();  // the next generation
        connection = Connection{};
        connection.isn = isn;
        return connection;
    }
    void release(Connection& connection) {
        connection.state = ClientState::free;
        free_.push_back(slot_of(connection));
    }

  private:
    std::uint32_t in_flight_;
    std::vector<Connection> slots_;
    std::vector<std::uint32_t> free_;
    Identity identity_;
};

}  // namespace noclash::cpsload
