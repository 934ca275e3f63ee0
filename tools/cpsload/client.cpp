// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/client.hpp"

#include "tools/cpsload/dns.hpp"
#include "tools/cpsload/payload.hpp"

namespace noclash::cpsload {

using Arrival = Ledger::Arrival;

Client::Client(Ledger& ledger, const FrameWriter& writer)
    : ledger_(ledger), writer_(writer), credit_(ledger.settings.traffic.size()) {}

/// Shares connections out by weight, as evenly as whole connections can be (smooth weighted
/// round-robin).
std::uint8_t Client::next_traffic() {
    const auto& traffic = ledger_.settings.traffic;
    if (traffic.size() == 1) return 0;
    std::int64_t total = 0;
    std::size_t richest = 0;
    for (std::size_t i = 0; i < traffic.size(); ++i) {
        credit_[i] += traffic[i].weight;
        total += traffic[i].weight;
        if (credit_[i] > credit_[richest]) richest = i;
    }
    credit_[richest] -= total;
    return static_cast<std::uint8_t>(richest);
}

std::uint16_t Client::open(std::uint8_t* room, Time now) {
    if (second_of_ != nullptr) {
        Connection& connection = *second_of_;
        second_of_ = nullptr;
        return send_query(connection, query_aaaa, room, now);
    }
    if (ledger_.connections.full()) return 0;
    const std::uint8_t traffic = next_traffic();
    const auto pick = ledger_.pick(traffic);
    if (!pick) return 0;
    ++ledger_.counters.opened;
    Connection& connection = ledger_.connections.take();
    connection.opened = now;
    connection.kind = ledger_.settings.traffic[traffic].kind;
    connection.traffic = traffic;
    connection.tuple = pick->number;
    const Endpoint& service = ledger_.settings.traffic[traffic].services[pick->service];
    connection.ends = {pick->source, service.address, pick->source_port, service.port};
    return send_opening(connection, room, now);
}

std::uint16_t Client::send_opening(Connection& connection, std::uint8_t* room, Time now) {
    if (connection.kind == Kind::udp) return send_request(connection, room, now);
    if (connection.kind == Kind::dns) {
        second_of_ = &connection;
        return send_query(connection, query_a, room, now);
    }
    connection.state = ClientState::opening;
    ledger_.note_sent(connection, Step::open, now);
    return writer_.tcp(room, connection.ends, {connection.isn, 0, tcp_flag::syn}, 0);
}

std::uint16_t Client::send_request(Connection& connection, std::uint8_t* room, Time now) {
    const auto bytes = static_cast<std::uint16_t>(ledger_.settings.payload_bytes);
    const bool tcp = is_tcp(connection.kind);
    Payload(connection.isn).write({room + (tcp ? tcp_payload_at : udp_payload_at), bytes});
    connection.state = ClientState::asking;
    connection.asked = 1;
    ledger_.note_sent(connection, Step::request, now);
    if (!tcp) return writer_.udp(room, connection.ends, bytes);
    const std::uint32_t server_isn = ledger_.connections.identity().server_isn(connection.isn);
    return writer_.tcp(room, connection.ends,
                       {connection.isn + 1, server_isn + 1, tcp_flag::psh | tcp_flag::ack}, bytes);
}

std::uint16_t Client::send_fin(Connection& connection, std::uint8_t* room, Time now) {
    const std::uint32_t next = 1 + asked_bytes(connection);
    const std::uint32_t server_isn = ledger_.connections.identity().server_isn(connection.isn);
    connection.state = ClientState::closing;
    ledger_.note_sent(connection, Step::fin, now);
    return writer_.tcp(room, connection.ends,
                       {connection.isn + next, server_isn + next, tcp_flag::fin | tcp_flag::ack},
                       0);
}

/// The ACK that ends the handshake of connections that ask nothing at once, or the whole
/// connection.
std::uint16_t Client::send_last(Connection& connection, std::uint8_t* room, Time now) {
    const bool closed = Ledger::seen(connection, Step::fin_ack);
    const std::uint32_t next = closed ? 2 + asked_bytes(connection) : 1;
    const std::uint32_t server_isn = ledger_.connections.identity().server_isn(connection.isn);
    connection.state = ClientState::ending;
    ledger_.note_sent(connection, Step::last, now);
    return writer_.tcp(room, connection.ends,
                       {connection.isn + next, server_isn + next, tcp_flag::ack}, 0);
}

std::uint16_t Client::send_query(Connection& connection, Step step, std::uint8_t* room, Time now) {
    const auto type = step == query_a ? dns::Type::a : dns::Type::aaaa;
    const auto bytes = dns::write(
        {connection.isn, type, dns::Role::query},
        std::span<std::uint8_t, dns::longest_message>(room + udp_payload_at, dns::longest_message));
    connection.state = ClientState::asking;
    ledger_.note_sent(connection, step, now);
    return writer_.udp(room, connection.ends, static_cast<std::uint16_t>(bytes));
}

std::uint16_t Client::send_again(Connection& connection, std::uint8_t* room, Time now) {
    switch (connection.state) {
        case ClientState::opening:
            return send_opening(connection, room, now);
        case ClientState::asking:
            if (connection.kind != Kind::dns) return send_request(connection, room, now);
            if (Ledger::seen(connection, answer_a))
                return send_query(connection, query_aaaa, room, now);
            // The other query follows when it is missing, too.
            if (!Ledger::seen(connection, answer_aaaa)) second_of_ = &connection;
            return send_query(connection, query_a, room, now);
        case ClientState::closing:
            return send_fin(connection, room, now);
        case ClientState::ending:
            return send_last(connection, room, now);
        case ClientState::free:
        case ClientState::held:
            break;
    }
    return 0;
}

std::uint16_t Client::repeat(std::uint8_t* room, Time now) {
    if (second_of_ != nullptr) return open(room, now);
    while (const auto slot = ledger_.deadlines.due(now)) {
        Connection& connection = ledger_.connections[*slot];
        if (connection.attempt == ledger_.settings.retries) {
            ledger_.lose(connection);
            continue;
        }
        ledger_.note_repetition(connection);
        return send_again(connection, room, now);
    }
    return 0;
}

std::uint16_t Client::ask(Connection& connection, std::uint8_t* room, Time now) {
    return send_request(connection, room, now);
}

std::uint16_t Client::close(Connection& connection, std::uint8_t* room, Time now) {
    return send_fin(connection, room, now);
}

}  // namespace noclash::cpsload
