// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/flow_view.hpp"

#include "dpdk/control/flow_states.hpp"
#include "nat/conntrack/sctp_state.hpp"
#include "nat/conntrack/tcp_state.hpp"
#include "nat/mapping/mapping.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/sctp_chunks.hpp"

namespace noclash::dpdk {

std::string_view FlowView::state() const {
    if (original.reserved == nat::wildcard::remote) return mapping_state;
    if (original.reserved == nat::wildcard::remote_port) return permission_state;
    if (original.reserved == nat::wildcard::incarnation) return incarnation_state;
    switch (original.protocol) {
        case nat::ip_protocol::tcp:
            return nat::to_string(nat::TcpProgress(protocol_state).state());
        case nat::ip_protocol::sctp:
            return nat::to_string(static_cast<nat::SctpState>(protocol_state));
        default:
            return {};
    }
}

}  // namespace noclash::dpdk
