// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace noclash::nat {

/// Why a packet went no further. Every drop names one, and each is a counter (invariant 6); the
/// names are what `noclashctl stats` prints.
// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): one list gives the enum, the names and the help.
#define NOCLASH_DROP_REASONS(X)                                                                  \
    X(other_station, "Ethernet frame that is not addressed to this port alone")                  \
    X(vlan, "frame with the tag of a VLAN (ids 1 to 4095): a port serves untagged frames")       \
    X(ipv6, "IPv6 packet: IPv6 is not in service")                                               \
    X(link_control, "LLDP, STP, LACP, pause or another protocol between two ends of a link")     \
    X(not_ip, "Ethernet frame of a type that is neither ARP nor IP, nor one named above")        \
    X(bad_arp, "ARP that is no request or reply for IPv4, or from a MAC that no station has")    \
    X(truncated, "shorter than its own headers say")                                             \
    X(frame_too_long, "longer than what the port's packet socket can hand over")                 \
    X(bad_ip_header, "IP version, header length or total length impossible")                     \
    X(bad_ip_checksum, "IP header checksum wrong")                                               \
    X(bad_l4_header, "transport header impossible (offset, length, flags)")                      \
    X(bad_l4_checksum, "transport checksum wrong")                                               \
    X(bad_address, "source or destination that no router may forward")                           \
    X(directed_broadcast, "to or from the broadcast or network address of a port's subnet")      \
    X(own_source, "its source is an address of the gateway: forged")                             \
    X(reverse_path, "no route back to its source, or not by the port it came by")                \
    X(source_route, "IP source routing options are not honoured (RFC 7126)")                     \
    X(fragment, "a fragment: reassembly is not in service")                                      \
    X(fragment_invalid, "a fragment that no sender makes: empty, or cut at no multiple of 8")    \
    X(fragment_overlap, "fragments of a packet overlap, or contradict each other")               \
    X(fragment_count, "a packet has more than 128 fragments")                                    \
    X(fragment_too_big, "a fragment of a packet longer than 65,535 bytes")                       \
    X(fragment_source, "too many fragments of one source wait for the rest of their packets")    \
    X(fragment_full, "too many fragments wait for the rest of their packets")                    \
    X(fragment_timeout, "the rest of a fragment's packet did not come in time")                  \
    X(protocol, "an IP protocol that no router forwards")                                        \
    X(rule, "a rule says drop")                                                                  \
    X(rejected, "a rule says reject")                                                            \
    X(no_rule, "no rule matches")                                                                \
    X(no_backend, "to a service that has no backend")                                            \
    X(unsolicited, "to an address of our own, belonging to no flow and no service")              \
    X(filtered, "to a mapping, whose filtering does not admit the sender")                       \
    X(untracked_answers,                                                                         \
      "answers would match a rule with `track = false`, and leave untranslated")                 \
    X(no_route, "no route to the destination")                                                   \
    X(ttl, "time to live exceeded")                                                              \
    X(too_big, "larger than the egress MTU, and not to be fragmented")                           \
    X(tcp_not_syn, "TCP segment that belongs to no flow and opens none")                         \
    X(tcp_ended, "TCP segment of a connection that the gateway has reset, answered by a RST")    \
    X(syn_cookie, "TCP segment to a service with a SYN proxy, whose cookie is wrong or too old") \
    X(sctp_not_init, "SCTP packet that belongs to no association and opens none")                \
    X(tcp_invalid, "TCP flags that the state of the flow does not allow")                        \
    X(tcp_window, "TCP segment out of the window, with `tcp_window = \"strict\"`")               \
    X(tcp_reset, "TCP RST that its receiver cannot expect: a blind guess")                       \
    X(icmp_unrelated, "ICMP error or reply that belongs to no flow")                             \
    X(icmp_sequence, "ICMP error that quotes a TCP segment which is not in flight: a guess")     \
    X(icmp_mtu, "ICMP \"fragmentation needed\" with an MTU that is not believed")                \
    X(table_full, "no room for another flow")                                                    \
    X(chain_too_long, "index bucket and its overflow full (netfilter: chaintoolong)")            \
    X(exhausted, "no free port in the pool towards this destination")                            \
    X(subscriber_flows, "its source has as many flows as one subscriber may")                    \
    X(subscriber_ports, "its source has as many ports as one subscriber may")                    \
    X(half_open_source, "too many half-open connections from its source")                        \
    X(half_open_service, "too many half-open connections to this service")                       \
    X(search_timeout, "no free port found in the time that a packet may wait")                   \
    X(park_full, "waiting for another worker's set-up: too many wait")                           \
    X(park_timeout, "waiting for another worker's set-up: waited too long")                      \
    X(neighbor_full, "waiting for a neighbour's address: too many wait")                         \
    X(neighbor_failed, "the neighbour does not answer")                                          \
    X(no_buffer, "no packet buffer to reassemble or fragment it in")                             \
    X(tx_full, "the device took no more packets")                                                \
    X(link_down, "the link it had to leave by is down, or its interface has gone")

enum class DropReason : std::uint8_t {
    none,  ///< not dropped
#define X(name, help) name,
    NOCLASH_DROP_REASONS(X)
#undef X
        count
};

inline constexpr std::size_t drop_reasons = static_cast<std::size_t>(DropReason::count);

inline constexpr std::array<std::string_view, drop_reasons> drop_reason_names{
    "none",
#define X(name, help) #name,
    NOCLASH_DROP_REASONS(X)
#undef X
};

inline constexpr std::array<std::string_view, drop_reasons> drop_reason_help{"",
#define X(name, help) help,
                                                                             NOCLASH_DROP_REASONS(X)
#undef X
};

[[nodiscard]] constexpr std::string_view to_string(DropReason reason) {
    return drop_reason_names[static_cast<std::size_t>(reason)];
}

}  // namespace noclash::nat
