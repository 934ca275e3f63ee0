// SPDX-License-Identifier: Apache-2.0
#include "tests/closing/middle.hpp"

#include "nat/packet/headers.hpp"
#include "nat/packet/parse.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::closing {
namespace {

using namespace nat;

constexpr std::size_t ip_bytes = 20, tcp_bytes = 20, option_bytes = 4, most_data = 1460;
constexpr std::uint8_t window_scale = 3;
constexpr std::uint64_t now_ms = 1'000'000;

void put(std::uint8_t* to, std::uint32_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i)
        to[i] = static_cast<std::uint8_t>(value >> 8 * (bytes - 1 - i));
}

/// The segment as a packet. Its data are whatever stands in the buffer: nobody looks at them.
struct Packet {
    std::array<std::uint8_t, ip_bytes + tcp_bytes + option_bytes + most_data> bytes{};
    std::uint32_t length = 0;

    PacketView write(const Segment& segment) {
        const bool syn = (segment.flags & tcp_flag::syn) != 0;
        const std::size_t header = tcp_bytes + (syn ? option_bytes : 0);
        length = static_cast<std::uint32_t>(ip_bytes + header + segment.data);
        std::uint8_t* const ip = bytes.data();
        ip[0] = 0x45;
        put(ip + 2, length, 2);
        ip[8] = 64;
        ip[9] = ip_protocol::tcp;
        put(ip + 12, 0x0a000001, 4);
        put(ip + 16, 0x0a000002, 4);
        std::uint8_t* const tcp = ip + ip_bytes;
        put(tcp, 0x04000050, 4);
        put(tcp + 4, segment.sequence, 4);
        put(tcp + 8, segment.acknowledgment, 4);
        tcp[12] = static_cast<std::uint8_t>(header / 4 << 4);
        tcp[13] = segment.flags;
        put(tcp + 14, syn ? segment.window : segment.window >> window_scale, 2);
        if (syn) put(tcp + tcp_bytes, 0x03030000U | window_scale << 8 | 1U, 4);
        return {ip, length, Checked::good, Checked::good};
    }
};

}  // namespace

bool Middle::pass(Direction direction, const Segment& segment) {
    thread_local Packet packet;
    const PacketView view = packet.write(segment);
    Parsed<V4> parsed;
    if (parse<V4>(view, 0, parsed) != DropReason::none) return false;
    const Timeouts timeouts{};
    if (!tracked_) {
        const bool syn = (segment.flags & tcp_flag::syn) != 0;
        if (pickup_ && syn) return true;
        if (!may_open(segment.flags, {mode_, pickup_})) return pickup_;
        tracked_ = true;
        turned_ = direction == Direction::reply;
        flow_.expires.store(track_first(flow_, view, parsed, timeouts, now_ms));
        return true;
    }
    if (turned_) direction = opposite(direction);
    return track(flow_, direction, view, parsed, timeouts, mode_, now_ms) == DropReason::none;
}

bool Middle::is_over() const {
    return tracked_ && nat::is_over(tcp_state(flow_), mode_);
}

}  // namespace noclash::closing
