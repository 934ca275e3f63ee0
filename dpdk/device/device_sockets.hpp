// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace noclash::dpdk {

/// The sockets that DPDK's drivers open and do not tell of. All functions make system calls: not
/// for workers.

/// Descriptors of this process' packet sockets that are bound to an interface, in ascending order:
/// the af_packet driver opens one for each queue, in the order of the queues.
[[nodiscard]] std::vector<int> packet_sockets_on(unsigned interface_index);

/// Descriptors of this process' AF_XDP sockets, in ascending order. They do not tell their
/// interface.
[[nodiscard]] std::vector<int> xdp_sockets();

/// Whether a packet socket has lost its interface: it was deleted, or went to another namespace.
[[nodiscard]] bool is_orphan(int packet_socket);

/// Whether frames wait in the ring of a packet socket.
[[nodiscard]] bool has_frames(int packet_socket);

/// Frames that came and found the receive ring of an AF_XDP socket full, since it was opened. The
/// driver reports other losses of the socket, and not these.
[[nodiscard]] std::uint64_t xdp_ring_full(int xdp_socket);

/// Frames that came and found the ring of a packet socket full, since the last call for this socket
/// (PACKET_STATISTICS). The kernel counts in 32 bits: ask once a second.
[[nodiscard]] std::uint64_t take_ring_drops(int packet_socket);

}  // namespace noclash::dpdk
