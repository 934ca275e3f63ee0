// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/sctp_chunks.hpp"

#include "nat/packet/crc32c.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::nat {
namespace {

namespace chunk {
constexpr std::uint8_t data = 0, init = 1, abort = 6, shutdown = 7, shutdown_ack = 8,
                       cookie_ack = 11, shutdown_complete = 14, interleaved_data = 64;
}

/// Looked at in a packet. Those that open or end an association come alone or first.
constexpr int most_chunks = 16;

std::uint8_t flags_of(std::uint8_t type) {
    switch (type) {
        case chunk::init:
            return tcp_flag::syn;
        case chunk::cookie_ack:
            return tcp_flag::ack;
        case chunk::shutdown:
        case chunk::shutdown_ack:
            return tcp_flag::fin;
        case chunk::abort:
        case chunk::shutdown_complete:
            return tcp_flag::rst;
        default:
            return 0;
    }
}

}  // namespace

DropReason read_sctp(const PacketView& packet, std::uint32_t offset, std::uint32_t end,
                     Be16& source_port, Be16& destination_port, std::uint8_t& flags) {
    const auto* common = header_at<SctpHeader>(packet, offset, end);
    if (common == nullptr) return DropReason::bad_l4_header;
    std::uint32_t at = offset + std::uint32_t{sizeof *common};
    flags = 0;
    // Control chunks come before data.
    for (int count = 0; count == 0 || (at < end && count < most_chunks); ++count) {
        const auto* chunk = header_at<SctpChunk>(packet, at, end);
        if (chunk == nullptr) return DropReason::bad_l4_header;
        const std::uint32_t length = chunk->length.get().host();
        if (length < sizeof *chunk || length > end - at) return DropReason::bad_l4_header;
        const std::uint32_t padded = (length + 3U) & ~3U;  // of the last, padding may be missing
        // An INIT travels alone, without a tag: it comes from nobody that is known yet (RFC 9260,
        // sections 3.3.2 and 8.5.1).
        if (chunk->type == chunk::init &&
            (count != 0 || padded < end - at || common->verification_tag.get() != Be32{}))
            return DropReason::bad_l4_header;
        flags = static_cast<std::uint8_t>(flags | flags_of(chunk->type));
        if (chunk->type == chunk::data || chunk->type == chunk::interleaved_data) break;
        at += padded;
    }
    source_port = common->source_port.get();
    destination_port = common->destination_port.get();
    return DropReason::none;
}

bool sctp_checksum_ok(const PacketView& packet, std::uint32_t offset, std::uint32_t length) {
    constexpr std::array<std::uint8_t, 4> blank{};
    constexpr std::size_t field = offsetof(SctpHeader, checksum);
    const std::span<const std::uint8_t> segment{packet.data + offset, length};
    std::uint32_t crc = crc32c::add(crc32c::start, segment.first(field));
    crc = crc32c::add(crc, blank);
    crc = crc32c::add(crc, segment.subspan(sizeof(SctpHeader)));
    const auto& common = header<SctpHeader>(packet, offset);
    return crc32c::from_wire(common.checksum.get()) == crc32c::finish(crc);
}

}  // namespace noclash::nat
