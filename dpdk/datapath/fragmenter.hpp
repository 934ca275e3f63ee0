// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

struct rte_mbuf;
struct rte_mempool;

namespace noclash::dpdk {

/// The longest packet that there is, in fragments of the least MTU that a port may have, 576.
inline constexpr std::size_t most_fragments = 128;

/// Copies the IPv4 packet in `frame`, which lies in one buffer behind room for an Ethernet header,
/// into fragments of at most `mtu` bytes, each in a buffer of its own from `buffers`, again with
/// room for an Ethernet header. "Don't fragment" stands in all of them or in none, as in the packet
/// (whether it is to be obeyed, the pipeline has decided). Identification, and which options go
/// into each fragment, are as RFC 791, section 3.2, says.
/// @return how many there are; 0 when buffers or `fragments` do not suffice. The frame stays the
///         caller's; its contents are then undefined.
[[nodiscard]] std::size_t fragment_packet(rte_mbuf* frame, std::uint16_t mtu, rte_mempool* buffers,
                                          std::span<rte_mbuf*> fragments);

}  // namespace noclash::dpdk
