// SPDX-License-Identifier: Apache-2.0
#pragma once

// Conditions on each IPv4 packet that leaves the gateway; `require` aborts where one is not met.

#include <cstdint>

#include "nat/packet/headers.hpp"
#include "nat/packet/parse.hpp"
#include "nat/packet/rewrite.hpp"
#include "tests/fuzz/worker_hosts.hpp"
#include "tests/fuzz/worker_packets.hpp"

namespace noclash::dpdk::test {

/// Checksums of the packets that came: all right, or any.
enum class Checksums : std::uint8_t { right, any };

/// No inside address gets out, and none that is not inside gets in.
inline void judge_addresses(std::uint16_t port, V4Address source, V4Address destination) {
    constexpr V4Address home = address(10, 1, 0, 0), transit = address(198, 51, 100, 0);
    if (port == outside) {
        require(!lies_in(source, home, 8) && !lies_in(destination, home, 8));
        return;
    }
    require(lies_in(destination, home, 24) || lies_in(destination, transit, 24));
}

/// A packet that left parses, lives on, and has addresses of its side; its checksum is right if
/// those of all packets that came were.
inline void judge_packet(Sent& sent, Checksums came) {
    const nat::PacketView view{sent.bytes.data() + ethernet_bytes,
                               static_cast<std::uint32_t>(sent.bytes.size() - ethernet_bytes),
                               nat::Checked::unknown, nat::Checked::unknown};
    require(view.length >= ip_bytes);
    nat::Parsed<V4> parsed;
    const nat::DropReason reason = nat::parse<V4>(view, sent.port, parsed);
    require(reason == nat::DropReason::none || reason == nat::DropReason::fragment);
    const auto& ip = at<IpHeader<V4>>(sent.bytes, ethernet_bytes);
    require(ip.ttl > 0);
    judge_addresses(sent.port, ip.source.get(), ip.destination.get());
    if (came == Checksums::right && reason == nat::DropReason::none && is_summed(ip.protocol))
        require(nat::l4_checksum_ok<V4>(view, parsed));
}

}  // namespace noclash::dpdk::test
