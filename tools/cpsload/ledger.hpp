// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "tools/cpsload/connection.hpp"
#include "tools/cpsload/counters.hpp"
#include "tools/cpsload/deadlines.hpp"
#include "tools/cpsload/plan.hpp"
#include "tools/cpsload/tuple_owners.hpp"

namespace noclash::cpsload {

/// The common book of client and server: connections in flight, and the ends of all others.
/// One thread.
struct Ledger {
    explicit Ledger(const Settings& wanted);

    /// The tuple of the next connection that `traffic` opens.
    [[nodiscard]] std::optional<Pick> pick(std::uint8_t traffic) { return plans[traffic].next(); }

    /// The client sends a packet of a connection.
    void note_sent(Connection& connection, Step step, Time now) {
        ++connection.sent_copies[static_cast<std::size_t>(step)];
        deadlines.start(connections.slot_of(connection), connection.attempt, now);
    }
    /// The server sends one: its time is the client's business.
    static void note_answered(Connection& connection, Step step) {
        ++connection.sent_copies[static_cast<std::size_t>(step)];
    }

    enum class Arrival { first, repeated, duplicate };
    /// A packet has arrived. A duplicate was not sent so often, and is to be left unanswered.
    Arrival note_arrived(Connection& connection, Step step) {
        const auto at = static_cast<std::size_t>(step);
        const std::uint8_t seen = ++connection.seen_copies[at];
        if (seen > connection.sent_copies[at]) {
            ++counters.duplicates;
            return Arrival::duplicate;
        }
        return seen == 1 ? Arrival::first : Arrival::repeated;
    }
    /// The live connection that a datagram names, or null, which is counted.
    [[nodiscard]] Connection* find_datagram(std::uint32_t isn, Kind kind) {
        Connection& connection = connections[connections.identity().slot_of_client_isn(isn)];
        if (connection.state != ClientState::free && connection.kind == kind &&
            connection.isn == isn)
            return &connection;
        ++counters.strays;
        return nullptr;
    }
    /// Whether a TCP segment is of this connection, which it may have left damaged: either its
    /// client's or its server's number lies where the connection's are. `client` and `server` are
    /// the sequence numbers of the two byte streams that the segment names.
    [[nodiscard]] bool is_of(const Connection& connection, std::uint32_t client,
                             std::uint32_t server) const {
        const std::uint32_t most = settings.payload_bytes + 2;
        return connection.state != ClientState::free && is_tcp(connection.kind) &&
               (client - connection.isn <= most ||
                server - connections.identity().server_isn(connection.isn) <= most);
    }
    [[nodiscard]] static bool seen(const Connection& connection, Step step) {
        return connection.seen_copies[static_cast<std::size_t>(step)] > 0;
    }

    /// The client is about to send a packet again.
    void note_repetition(Connection& connection);

    void complete(Connection& connection);
    void lose(Connection& connection);
    void reset(Connection& connection);
    /// Forgets all connections in flight, which are neither completed nor lost.
    /// @returns how many of them had no trouble until now
    std::uint64_t abandon();

    Settings settings;
    Connections connections;
    Deadlines deadlines;
    TupleOwners owners;
    std::vector<Plan> plans;  // one for each `Traffic`
    Counters counters;

  private:
    void trouble(Connection& connection);
    void end(Connection& connection);
};

[[nodiscard]] inline std::uint8_t protocol_of(Kind kind) {
    return is_tcp(kind) ? nat::ip_protocol::tcp : nat::ip_protocol::udp;
}

}  // namespace noclash::cpsload
