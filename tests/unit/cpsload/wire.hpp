// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <vector>

#include "tools/cpsload/client.hpp"
#include "tools/cpsload/server.hpp"

namespace noclash::cpsload {

using Frame = std::vector<std::uint8_t>;
enum class Way { to_server, to_client };

/// A gateway in memory between client and server: says what becomes of each frame.
using Gateway = std::function<std::vector<Frame>(Frame frame, Way way)>;

inline std::vector<Frame> pass(Frame frame, Way /*way*/) {
    return {std::move(frame)};
}

/// Changes a TCP or UDP frame so that its checksums are right again.
struct Editable {
    Ends ends;
    FrameWriter::Tcp tcp;
    std::vector<std::uint8_t> payload;
};
inline Frame edited(const Frame& frame, const std::function<void(Editable&)>& edit) {
    Frame copy = frame;
    Segment segment;
    if (read_frame(copy, segment) != FrameKind::segment) return frame;
    Editable parts{segment.ends,
                   {segment.sequence, segment.acknowledgment, segment.flags},
                   {segment.payload.begin(), segment.payload.end()}};
    edit(parts);
    const FrameWriter writer({}, {});
    Frame out(room_bytes);
    const bool tcp = segment.protocol == nat::ip_protocol::tcp;
    std::ranges::copy(parts.payload, out.begin() + (tcp ? tcp_payload_at : udp_payload_at));
    const auto bytes = static_cast<std::uint16_t>(parts.payload.size());
    out.resize(tcp ? writer.tcp(out.data(), parts.ends, parts.tcp, bytes)
                   : writer.udp(out.data(), parts.ends, bytes));
    return out;
}

inline Segment segment_of(Frame& frame) {
    Segment segment;
    static_cast<void>(read_frame(frame, segment));
    return segment;
}

/// Translates the sources of connections to one address and ports of their own, as a NAT does.
class Translator {
  public:
    explicit Translator(V4Address address) : address_(address) {}

    std::vector<Frame> operator()(const Frame& frame, Way way) {
        return {edited(frame, [&](Editable& parts) {
            if (way == Way::to_server) {
                const auto found = std::ranges::find(flows_, parts.ends);
                const auto index = static_cast<std::size_t>(found - flows_.begin());
                if (found == flows_.end()) flows_.push_back(parts.ends);
                parts.ends.source = address_;
                parts.ends.source_port = static_cast<std::uint16_t>(5000 + index);
            } else {
                parts.ends = flows_.at(parts.ends.destination_port - 5000U).inverse();
            }
        })};
    }

  private:
    V4Address address_;
    std::vector<Ends> flows_;
};

inline Settings settings_for(Kind kind) {
    Settings settings;
    settings.traffic = {{kind, 1, {{V4Address::from_host(0x0a010001), 30080}}}};
    settings.first_source = V4Address::from_host(0x0a010101);
    settings.sources = 4;
    settings.in_flight = 16;
    settings.rto = 100 * millisecond;
    settings.retries = 2;
    return settings;
}

/// Client and server with a gateway between them, and a clock that a test turns.
class Wire {
  public:
    explicit Wire(const Settings& settings, Gateway gateway = pass)
        : ledger(settings),
          client(ledger, FrameWriter({}, {})),
          server(ledger, FrameWriter({}, {})),
          gateway_(std::move(gateway)) {}

    /// Opens connections, and carries packets until none is under way.
    void open(int count) {
        for (int i = 0; i < count; ++i) {
            do {
                Frame room(room_bytes);
                room.resize(client.open(room.data(), now));
                if (!room.empty()) carry(room, Way::to_server);
            } while (client.second_due());
        }
        settle();
    }

    /// Lets time pass, a millisecond at a time, with the retransmissions that fall due.
    void wait(Time duration) {
        for (const Time end = now + duration; now < end; now += millisecond) {
            for (;;) {
                Frame room(room_bytes);
                room.resize(client.repeat(room.data(), now));
                if (room.empty()) break;
                carry(room, Way::to_server);
            }
            settle();
        }
    }

    void settle() {
        while (!under_way_.empty()) {
            auto [frame, way] = std::move(under_way_.front());
            under_way_.pop_front();
            deliver(frame, way);
        }
    }

    /// A held connection sends its request or its FIN.
    void ask(Connection& connection) {
        Frame room(room_bytes);
        room.resize(client.ask(connection, room.data(), now));
        carry(room, Way::to_server);
        settle();
    }
    void close(Connection& connection) {
        Frame room(room_bytes);
        room.resize(client.close(connection, room.data(), now));
        carry(room, Way::to_server);
        settle();
    }

    Ledger ledger;
    Client client;
    Server server;
    Time now = 0;

  private:
    void carry(const Frame& frame, Way way) {
        for (Frame& one : gateway_(frame, way))
            under_way_.emplace_back(std::move(one), way);
    }

    void deliver(Frame& frame, Way way) {
        Segment segment;
        const std::size_t length = frame.size();
        frame.resize(room_bytes);  // the answer is written over it
        switch (read_frame({frame.data(), length}, segment)) {
            case FrameKind::segment:
                break;
            case FrameKind::bad_checksum:
                ++ledger.counters.bad_checksums;
                return;
            case FrameKind::arp:
            case FrameKind::icmp:
            case FrameKind::other:
                return;
        }
        const bool at_server = way == Way::to_server;
        frame.resize(at_server ? server.receive(segment, frame.data(), now)
                               : client.receive(segment, frame.data(), now));
        if (!frame.empty()) carry(frame, at_server ? Way::to_client : Way::to_server);
    }

    Gateway gateway_;
    std::deque<std::pair<Frame, Way>> under_way_;
};

}  // namespace noclash::cpsload
