// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include "nat/packet/drop_reason.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::dpdk {

/// Tells the frames apart that are not plainly IP packets to `own`: those who look like that do not
/// come here. Takes priority tags off (IEEE 802.1Q: VLAN 0), after which the frame is judged as one
/// that came without.
/// @return none: the frame is an IPv4 packet to `own`, or ARP to `own` or to all
[[nodiscard]] nat::DropReason unfit_frame(rte_mbuf* frame, const nat::MacAddress& own);

}  // namespace noclash::dpdk
