// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::nat {

/// How long a flow lives without a packet, in seconds. Defaults are netfilter's where the RFCs
/// allow them, and the RFCs' floors or recommendations where netfilter is below.
struct Timeouts {
    // Established at least 7,440, transitory at least 240 [RFC 5382 REQ-5].
    std::uint32_t tcp_syn_sent_s = 240;
    std::uint32_t tcp_syn_recv_s = 240;
    std::uint32_t tcp_established_s = 432000;
    std::uint32_t tcp_fin_wait_s = 240;
    std::uint32_t tcp_close_wait_s = 240;
    std::uint32_t tcp_last_ack_s = 240;
    std::uint32_t tcp_time_wait_s = 240;  ///< nor is the tuple used anew meanwhile, as a rule
    std::uint32_t tcp_close_s = 240;      ///< 4 min after a RST [RFC 7857 section 2.2]
    // UDP-Lite's, too.
    std::uint32_t udp_s = 300;  ///< at least 120, 300 recommended [RFC 4787 REQ-5]
    std::uint32_t udp_stream_s = 300;
    std::uint32_t icmp_s = 60;  ///< at least 60 [RFC 5508 REQ-2]
    // SCTP sends heartbeats every 30 s when it has nothing else to say (RFC 9260, section 16), but
    // need not: so its floors are TCP's.
    std::uint32_t sctp_established_s = 7440;
    std::uint32_t sctp_transitory_s = 240;  ///< opening and closing
    std::uint32_t generic_s = 600;          ///< of protocols without ports

    /// How long the port of a mapping that let anybody in goes to nobody else [RFC 6888 REQ-8].
    std::uint32_t port_quarantine_s = 120;

    /// Whether packets from outside keep a UDP flow alive, and open flows to a mapping that nothing
    /// has left by for its flows' timeout [RFC 7857 section 6].
    bool inbound_refresh = true;

    friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

}  // namespace noclash::nat
