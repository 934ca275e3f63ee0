// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/server.hpp"

#include <algorithm>
#include <cstring>

#include "tools/cpsload/dns.hpp"
#include "tools/cpsload/payload.hpp"

namespace noclash::cpsload {

using Arrival = Ledger::Arrival;

namespace {

[[nodiscard]] bool is_backend(const std::vector<Endpoint>& backends, const Ends& ends) {
    return backends.empty() || std::ranges::any_of(backends, [&](const Endpoint& backend) {
               return backend.address == ends.destination &&
                      (backend.port == 0 || backend.port == ends.destination_port);
           });
}

}  // namespace

std::uint32_t Server::slot_of(const Segment& segment) const {
    const Identity& identity = ledger_.connections.identity();
    if (segment.protocol == nat::ip_protocol::udp)
        return identity.slot_of_client_isn(Payload::isn_in(segment.payload).value_or(0));
    return segment.has(tcp_flag::ack) ? identity.slot_of_server_sequence(segment.acknowledgment)
                                      : identity.slot_of_client_isn(segment.sequence);
}

std::uint16_t Server::receive(const Segment& segment, std::uint8_t* room, Time /*now*/) {
    if (segment.protocol == nat::ip_protocol::udp) return take_datagram(segment, room);
    if (segment.has(tcp_flag::rst)) {
        ++ledger_.counters.strays;  // the client sends none
        return 0;
    }
    return segment.has(tcp_flag::syn) ? take_opening(segment, room) : take_tcp(segment, room);
}

void Server::welcome(Connection& connection, const Segment& segment) {
    Counters& counters = ledger_.counters;
    ++counters.delivered;
    connection.seen = segment.ends;
    if (!is_backend(ledger_.settings.backends, segment.ends)) ++counters.mistranslated;
    if (!ledger_.owners.claim(segment.ends, segment.protocol,
                              ledger_.connections.slot_of(connection)))
        ++counters.reused_tuples;
}

bool Server::same_tuple(const Connection& connection, const Segment& segment) {
    if (segment.ends == connection.seen) return true;
    ++ledger_.counters.mistranslated;
    return false;
}

bool Server::arrived(Connection& connection, const Segment& segment, Step step) {
    switch (ledger_.note_arrived(connection, step)) {
        case Arrival::first:
            welcome(connection, segment);
            return true;
        case Arrival::repeated:
            return same_tuple(connection, segment);
        case Arrival::duplicate:
            break;
    }
    return false;
}

std::uint16_t Server::take_opening(const Segment& segment, std::uint8_t* room) {
    const Identity& identity = ledger_.connections.identity();
    Connection* connection = &ledger_.connections[identity.slot_of_client_isn(segment.sequence)];
    if (connection->state == ClientState::free || connection->isn != segment.sequence ||
        !is_tcp(connection->kind)) {
        ++ledger_.counters.strays;
        return 0;
    }
    if (!arrived(*connection, segment, Step::open)) return 0;
    Ledger::note_answered(*connection, Step::accept);
    return writer_.tcp(room, segment.ends.inverse(),
                       {identity.server_isn(segment.sequence), segment.sequence + 1,
                        tcp_flag::syn | tcp_flag::ack},
                       0);
}

std::uint16_t Server::take_tcp(const Segment& segment, std::uint8_t* room) {
    const Identity& identity = ledger_.connections.identity();
    Connection& connection =
        ledger_.connections[identity.slot_of_server_sequence(segment.acknowledgment)];
    const std::uint32_t bytes = ledger_.settings.payload_bytes;
    if (!ledger_.is_of(connection, segment.sequence, segment.acknowledgment)) {
        ++ledger_.counters.strays;
        return 0;
    }
    if (!same_tuple(connection, segment)) return 0;
    // The client has sent as many bytes as it has received: responses are as long as requests.
    const bool fin = segment.has(tcp_flag::fin);
    const bool closed = !fin && Ledger::seen(connection, Step::fin);
    const std::uint32_t expected =
        !segment.payload.empty() ? 1 : 1 + connection.asked * bytes + (closed ? 1U : 0U);
    if (segment.sequence != connection.isn + expected ||
        segment.acknowledgment != identity.server_isn(connection.isn) + expected) {
        ++ledger_.counters.corrupted;
        return 0;
    }
    if (!segment.payload.empty()) return take_request(connection, segment, room);
    return fin ? take_fin(connection, segment, room) : take_last(connection);
}

std::uint16_t Server::take_request(Connection& connection, const Segment& segment,
                                   std::uint8_t* room) {
    const auto bytes = static_cast<std::uint16_t>(ledger_.settings.payload_bytes);
    if (segment.payload.size() != bytes || !Payload(connection.isn).is(segment.payload)) {
        ++ledger_.counters.corrupted;
        return 0;
    }
    if (ledger_.note_arrived(connection, Step::request) == Arrival::duplicate) return 0;
    Ledger::note_answered(connection, Step::response);
    std::memmove(room + tcp_payload_at, segment.payload.data(), bytes);
    return writer_.tcp(
        room, segment.ends.inverse(),
        {segment.acknowledgment, segment.sequence + bytes, tcp_flag::psh | tcp_flag::ack}, bytes);
}

std::uint16_t Server::take_fin(Connection& connection, const Segment& segment, std::uint8_t* room) {
    if (ledger_.note_arrived(connection, Step::fin) == Arrival::duplicate) return 0;
    Ledger::note_answered(connection, Step::fin_ack);
    return writer_.tcp(
        room, segment.ends.inverse(),
        {segment.acknowledgment, segment.sequence + 1, tcp_flag::fin | tcp_flag::ack}, 0);
}

std::uint16_t Server::take_last(Connection& connection) {
    if (ledger_.note_arrived(connection, Step::last) == Arrival::duplicate) return 0;
    if (connection.kind != Kind::hold || Ledger::seen(connection, Step::fin)) {
        ledger_.complete(connection);
    } else if (connection.state == ClientState::ending) {
        ++ledger_.counters.held;
        connection.state = ClientState::held;
        connection.attempt = 0;
        ledger_.deadlines.stop(ledger_.connections.slot_of(connection));
    }
    return 0;
}

std::uint16_t Server::take_datagram(const Segment& segment, std::uint8_t* room) {
    const auto isn = Payload::isn_in(segment.payload);
    if (!isn) return take_query(segment, room);
    const auto bytes = static_cast<std::uint16_t>(ledger_.settings.payload_bytes);
    Connection* connection = ledger_.find_datagram(*isn, Kind::udp);
    if (connection == nullptr) return 0;
    if (segment.payload.size() != bytes || !Payload(*isn).is(segment.payload)) {
        ++ledger_.counters.corrupted;
        return 0;
    }
    if (!arrived(*connection, segment, Step::request)) return 0;
    Ledger::note_answered(*connection, Step::response);
    std::memmove(room + udp_payload_at, segment.payload.data(), bytes);
    return writer_.udp(room, segment.ends.inverse(), bytes);
}

std::uint16_t Server::take_query(const Segment& segment, std::uint8_t* room) {
    auto message = dns::read(segment.payload);
    if (!message || message->role != dns::Role::query) {
        ++ledger_.counters.corrupted;
        return 0;
    }
    Connection* connection = ledger_.find_datagram(message->isn, Kind::dns);
    if (connection == nullptr) return 0;
    const bool a = message->type == dns::Type::a;
    const bool other_seen = Ledger::seen(*connection, a ? query_aaaa : query_a);
    const Arrival arrival = ledger_.note_arrived(*connection, a ? query_a : query_aaaa);
    if (arrival == Arrival::duplicate) return 0;
    if (arrival == Arrival::first && !other_seen) {
        welcome(*connection, segment);
    } else if (segment.ends != connection->seen) {
        ++ledger_.counters.split_pairs;
        if (ledger_.owners.owner(segment.ends, segment.protocol)) ++ledger_.counters.reused_tuples;
    }
    Ledger::note_answered(*connection, a ? answer_a : answer_aaaa);
    message->role = dns::Role::answer;
    const std::span<std::uint8_t, dns::longest_message> out(room + udp_payload_at,
                                                            dns::longest_message);
    return writer_.udp(room, segment.ends.inverse(),
                       static_cast<std::uint16_t>(dns::write(*message, out)));
}

}  // namespace noclash::cpsload
