// SPDX-License-Identifier: Apache-2.0

// Any segments, in any order and from either side, on one connection. Each is 16 bytes of input: a
// byte for its direction, and what a TCP header has of interest, options too. None may make the
// tracking forget what it stands for: what does not fit changes nothing, numbers only move forward
// while a connection lives, and a RST closes it only with one of two sequence numbers.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "engine/production.hpp"
#include "nat/conntrack/tcp_tracking.hpp"
#include "nat/packet/parse.hpp"

namespace {

using namespace noclash;
using namespace noclash::nat;

using Words = std::array<std::uint32_t, 6>;

constexpr std::size_t input_bytes = 16, ip_bytes = 20, tcp_bytes = 20, option_bytes = 8;

void require(bool condition) {
    if (!condition) std::abort();
}

struct Packet {
    std::array<std::uint8_t, ip_bytes + tcp_bytes + option_bytes> bytes{};
    PacketView view() {
        return {bytes.data(), static_cast<std::uint32_t>(bytes.size()), Checked::good,
                Checked::good};
    }
};

/// Sequence and acknowledgment come from two bytes each, which stand for the top and the bottom of
/// the number: so that the fuzzer can hit windows and the wrap without luck.
Packet packet_of(const std::uint8_t* input) {
    Packet packet;
    std::uint8_t* const ip = packet.bytes.data();
    ip[0] = 0x45;
    ip[3] = static_cast<std::uint8_t>(packet.bytes.size());
    ip[8] = 64;
    ip[9] = ip_protocol::tcp;
    ip[12] = ip[16] = 10;
    ip[19] = 1;
    std::uint8_t* const tcp = ip + ip_bytes;
    tcp[4] = input[1];
    tcp[7] = input[2];
    tcp[8] = input[3];
    tcp[11] = input[4];
    const bool options = (input[0] & 2) != 0;
    tcp[12] = options ? 0x70 : 0x50;
    tcp[13] = input[5];
    tcp[14] = input[6];
    tcp[15] = input[7];
    std::memcpy(tcp + tcp_bytes, input + 8, option_bytes);
    return packet;
}

Words words_of(const Flow<V4, Production>& flow) {
    Words words{};
    for (std::size_t i = 0; i < 5; ++i)
        words[i] = flow.memory[i].load(std::memory_order_relaxed);
    words[5] = flow.protocol_detail.load(std::memory_order_relaxed);
    return words;
}

void judge(Flow<V4, Production>& flow, Direction direction, Packet packet, const Parsed<V4>& parsed,
           TcpWindow mode) {
    const TcpState state = tcp_state(flow);
    const Words before_it = words_of(flow);
    const TcpSegment segment = segment_of(packet.view(), parsed);
    const TcpPath path = TcpWords(flow, direction, mode).path();
    const TcpOutcome outcome = track_tcp(flow, direction, packet.view(), parsed, mode);
    const TcpState now = tcp_state(flow);
    require(now == outcome.state && now < TcpState::count && now != TcpState::none);
    const Words after = words_of(flow);
    if (outcome.reason != DropReason::none) {
        require(now == state && after == before_it);
        return;
    }
    if (mode == TcpWindow::off) return;
    if (segment.has(tcp_flag::rst)) {
        require(after == before_it);
        if (state == TcpState::established && now == TcpState::close)
            require(path.is_exact(segment));
        return;
    }
    const bool fits = path.fits_sequence(segment) && path.fits_acknowledgment(segment);
    if (state == TcpState::established && now != state) require(fits);
    if (state != TcpState::established || segment.has(tcp_flag::syn)) return;
    for (std::size_t i = 0; i < 4; ++i)
        require(!before(after[i], before_it[i]));
    require(!before(path.receiver_end, after[flow_memory::tcp_acknowledged(direction)]) ||
            after == before_it ||
            after[flow_memory::tcp_acknowledged(direction)] ==
                before_it[flow_memory::tcp_acknowledged(direction)]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Flow<V4, Production> flow{};
    bool open = false;
    const auto mode = static_cast<TcpWindow>(size == 0 ? 0 : data[0] % 3);
    for (std::size_t at = 1; at + input_bytes <= size; at += input_bytes) {
        Packet packet = packet_of(data + at);
        Parsed<V4> parsed;
        if (parse<V4>(packet.view(), 0, parsed) != DropReason::none) continue;
        if (!open) {
            open = may_open(parsed.tcp_flags, {mode, true});
            if (open)
                flow.protocol_state.store(
                    static_cast<std::uint8_t>(open_tcp(flow, packet.view(), parsed)));
            continue;
        }
        judge(flow, static_cast<Direction>(data[at] & 1), packet, parsed, mode);
    }
    return 0;
}
