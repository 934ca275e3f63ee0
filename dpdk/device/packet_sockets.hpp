// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::dpdk {

// # Packet sockets of DPDK's af_packet driver
//
// The driver opens a socket for each queue of a port, binds it, and joins it to the port's fanout
// group. It offers no way to do without the two things below, so this program has a `setsockopt` of
// its own, which the driver calls in place of the C library's. It is the system call otherwise.
//
// *Fragments.* The driver asks the kernel to put fragments together first
// (PACKET_FANOUT_FLAG_DEFRAG). Such fragments wait in a store of the kernel, which has no share for
// a source: a flood from one host would stop the fragments of all, whatever [fragments] says
// [RFC 4787 REQ-14]. So `setsockopt` takes that flag away. Without it, the kernel chooses the queue
// of a fragment, a first one too, by its addresses and protocol alone, so that all fragments of a
// packet come to one worker.
//
// *Frames while the port is made.* A socket that has not joined yet gets every frame for itself: of
// all interfaces until it is bound, then of its own, which a socket that has joined before gets,
// too. Each such frame would pass the gateway twice. So `setsockopt` gives a socket a filter that
// drops all, before the socket has its ring, and `open_packet_sockets` takes the filters away.

/// How many sockets have joined a fanout group without that flag. It grows when an af_packet port
/// is made, unless the program was linked so that the driver calls the C library's `setsockopt`.
[[nodiscard]] std::uint64_t sockets_without_defragmentation();

/// Lets frames reach the packet sockets that were made since the last call, once all of a port have
/// joined. Any thread, but not while another makes a port.
void open_packet_sockets();

}  // namespace noclash::dpdk
