// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::dpdk {

// # Fragments on packet sockets
//
// DPDK's af_packet driver joins the sockets of a port's queues to a fanout group, and asks the
// kernel to put fragments together first (PACKET_FANOUT_FLAG_DEFRAG). It offers no way to leave
// that out. Such fragments wait in a store of the kernel, which has no share for a source: a flood
// from one host would stop the fragments of all, whatever [fragments] says [RFC 4787 REQ-14].
//
// So this program has a `setsockopt` of its own, which the driver calls in place of the C
// library's: it takes that flag away from PACKET_FANOUT, and is the system call otherwise. Without
// the flag, the kernel chooses the queue of a fragment, a first one too, by its addresses and
// protocol alone, so that all fragments of a packet come to one worker.

/// How many sockets have joined a fanout group without that flag. It grows when an af_packet port
/// is made, unless the program was linked so that the driver calls the C library's `setsockopt`.
[[nodiscard]] std::uint64_t sockets_without_defragmentation();

}  // namespace noclash::dpdk
