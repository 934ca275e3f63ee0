// SPDX-License-Identifier: Apache-2.0

// The client's treatment of packets that arrive.

#include "tools/cpsload/client.hpp"
#include "tools/cpsload/dns.hpp"
#include "tools/cpsload/payload.hpp"

namespace noclash::cpsload {

using Arrival = Ledger::Arrival;

std::uint32_t Client::slot_of(const Segment& segment) const {
    const Identity& identity = ledger_.connections.identity();
    if (segment.protocol == nat::ip_protocol::tcp)
        return identity.slot_of_server_sequence(segment.sequence);
    const auto isn = Payload::isn_in(segment.payload);
    return identity.slot_of_client_isn(isn.value_or(0));
}

bool Client::came_home(const Connection& connection, const Segment& segment) {
    if (segment.ends.inverse() == connection.ends) return true;
    ++ledger_.counters.wrong_answers;
    return false;
}

bool Client::in_place(const Connection& connection, const Segment& segment, std::uint32_t sent,
                      std::uint32_t received) {
    const std::uint32_t server_isn = ledger_.connections.identity().server_isn(connection.isn);
    if (segment.acknowledgment == connection.isn + sent &&
        segment.sequence == server_isn + received)
        return true;
    ++ledger_.counters.corrupted;
    return false;
}

std::uint16_t Client::receive(const Segment& segment, std::uint8_t* room, Time now) {
    if (segment.protocol == nat::ip_protocol::tcp) return take_tcp(segment, room, now);
    take_datagram(segment, now);
    return 0;
}

std::uint16_t Client::take_tcp(const Segment& segment, std::uint8_t* room, Time now) {
    if (segment.has(tcp_flag::rst)) {
        take_reset(segment);
        return 0;
    }
    Connection& connection = ledger_.connections[slot_of(segment)];
    if (!ledger_.is_of(connection, segment.acknowledgment, segment.sequence)) {
        ++ledger_.counters.strays;
        return 0;
    }
    if (!came_home(connection, segment)) return 0;
    if (segment.has(tcp_flag::syn)) return take_accept(connection, segment, room, now);
    if (segment.has(tcp_flag::fin)) return take_fin(connection, segment, room, now);
    return take_response(connection, segment, room, now);
}

std::uint16_t Client::take_accept(Connection& connection, const Segment& segment,
                                  std::uint8_t* room, Time now) {
    if (!in_place(connection, segment, 1, 0) ||
        ledger_.note_arrived(connection, Step::accept) != Arrival::first)
        return 0;
    ++ledger_.counters.established;
    ledger_.counters.setup_ns.record(now - connection.opened);
    connection.attempt = 0;
    if (connection.kind == Kind::crr) return send_request(connection, room, now);
    return send_last(connection, room, now);
}

std::uint16_t Client::take_response(Connection& connection, const Segment& segment,
                                    std::uint8_t* room, Time now) {
    const std::uint32_t bytes = ledger_.settings.payload_bytes;
    if (!in_place(connection, segment, 1 + bytes, 1)) return 0;
    if (segment.payload.size() != bytes || !Payload(connection.isn).is(segment.payload)) {
        ++ledger_.counters.corrupted;
        return 0;
    }
    if (ledger_.note_arrived(connection, Step::response) != Arrival::first) return 0;
    ++ledger_.counters.answered;
    connection.attempt = 0;
    if (connection.kind == Kind::crr) return send_fin(connection, room, now);
    connection.state = ClientState::held;
    ledger_.deadlines.stop(ledger_.connections.slot_of(connection));
    return 0;
}

std::uint16_t Client::take_fin(Connection& connection, const Segment& segment, std::uint8_t* room,
                               Time now) {
    const std::uint32_t bytes = asked_bytes(connection);
    if (!in_place(connection, segment, 2 + bytes, 1 + bytes)) return 0;
    switch (ledger_.note_arrived(connection, Step::fin_ack)) {
        case Arrival::first:
            // How long it was held is nobody's doing but ours.
            if (connection.kind != Kind::hold)
                ledger_.counters.whole_ns.record(now - connection.opened);
            connection.attempt = 0;
            return send_last(connection, room, now);
        case Arrival::repeated:  // our ACK is under way or repeats itself
        case Arrival::duplicate:
            break;
    }
    return 0;
}

void Client::take_reset(const Segment& segment) {
    const Identity& identity = ledger_.connections.identity();
    // Who refuses a SYN has no sequence number of its own (RFC 9293, section 3.10.7.1).
    const bool refused = segment.has(tcp_flag::ack) && segment.sequence == 0;
    const std::uint32_t slot = refused ? identity.slot_of_client_isn(segment.acknowledgment - 1)
                                       : identity.slot_of_server_sequence(segment.sequence);
    Connection& connection = ledger_.connections[slot];
    if (connection.state == ClientState::free || !is_tcp(connection.kind) ||
        segment.ends.inverse() != connection.ends) {
        ++ledger_.counters.strays;
        return;
    }
    ledger_.reset(connection);
}

void Client::take_datagram(const Segment& segment, Time now) {
    const auto isn = Payload::isn_in(segment.payload);
    if (!isn) return take_dns_answer(segment, now);
    Connection* connection = ledger_.find_datagram(*isn, Kind::udp);
    if (connection == nullptr || !came_home(*connection, segment)) return;
    if (segment.payload.size() != ledger_.settings.payload_bytes ||
        !Payload(connection->isn).is(segment.payload)) {
        ++ledger_.counters.corrupted;
        return;
    }
    if (ledger_.note_arrived(*connection, Step::response) != Arrival::first) return;
    ++ledger_.counters.established;
    ++ledger_.counters.answered;
    ledger_.counters.setup_ns.record(now - connection->opened);
    ledger_.counters.whole_ns.record(now - connection->opened);
    ledger_.complete(*connection);
}

void Client::take_dns_answer(const Segment& segment, Time now) {
    const auto message = dns::read(segment.payload);
    if (!message || message->role != dns::Role::answer) {
        ++ledger_.counters.corrupted;
        return;
    }
    Connection* found = ledger_.find_datagram(message->isn, Kind::dns);
    if (found == nullptr || !came_home(*found, segment)) return;
    Connection& connection = *found;
    const Step step = message->type == dns::Type::a ? answer_a : answer_aaaa;
    if (ledger_.note_arrived(connection, step) != Arrival::first) return;
    const bool both = Ledger::seen(connection, answer_a) && Ledger::seen(connection, answer_aaaa);
    if (!both) {
        ++ledger_.counters.established;
        ledger_.counters.setup_ns.record(now - connection.opened);
        return;
    }
    ++ledger_.counters.answered;
    ledger_.counters.whole_ns.record(now - connection.opened);
    if (second_of_ == &connection) second_of_ = nullptr;
    ledger_.complete(connection);
}

}  // namespace noclash::cpsload
