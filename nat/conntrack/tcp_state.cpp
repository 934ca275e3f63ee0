// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/tcp_state.hpp"

namespace noclash::nat {

std::uint32_t timeout_s(const Timeouts& timeouts, TcpState state) {
    switch (state) {
        case TcpState::syn_sent:
        case TcpState::syn_sent2:
            return timeouts.tcp_syn_sent_s;
        case TcpState::syn_recv:
            return timeouts.tcp_syn_recv_s;
        case TcpState::established:
            return timeouts.tcp_established_s;
        case TcpState::fin_wait:
            return timeouts.tcp_fin_wait_s;
        case TcpState::close_wait:
            return timeouts.tcp_close_wait_s;
        case TcpState::last_ack:
            return timeouts.tcp_last_ack_s;
        case TcpState::time_wait:
            return timeouts.tcp_time_wait_s;
        case TcpState::none:
        case TcpState::close:
        case TcpState::invalid:
        case TcpState::by_fins:
            break;
    }
    return timeouts.tcp_close_s;
}

}  // namespace noclash::nat
