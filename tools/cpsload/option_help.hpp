// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace noclash::cpsload {

inline constexpr std::string_view help_head =
    R"(Opens connections through a gateway, answers them on its other side, and checks everything:
each connection delivered once, with a translated tuple of its own, payload and checksums
unchanged, and no answer to the wrong connection.

    cpsload (client) ---- gateway ---- cpsload (server)

Both sides are this one process, so the gateway may be anything that stands between two
devices: noclash, VPP, OVS, a Linux router. cpsload answers ARP for its addresses itself; the
interfaces it is given must have none.

devices, as in noclash's configuration:
  af_packet:IFACE  af_xdp:IFACE  tap:NAME  memif:SOCKET[,server]  ring:NAME  pci:0000:03:00.0
  vdev:ARGUMENTS

profiles:
  tcp-crr  handshake, request, response, close
  tcp-syn  handshakes alone: the connections stay open in the gateway
  udp      a datagram and its echo
  dns      an A and an AAAA query from one socket in the same instant
  lb       tcp-crr as a load balancer does it: 16 addresses, all with the same source port.
           One thread sends: on devices without several queues (all but NICs) the packets reach
           the gateway one after another and do not race; `storm send` sends from two CPUs
  mix      several kinds at once, see --mix)";

inline constexpr std::string_view help_foot =
    R"(A connection is known by its TCP sequence numbers, in UDP by its payload: a gateway that
changes those cannot be measured.

examples:
  cpsload --self-test                       how fast the tester itself is
  cpsload --client af_packet:lb0 --client-address 10.1.0.2/16 \
          --server af_packet:pod0 --server-address 10.2.0.2/16 \
          --service 10.1.0.1:30080 --profile lb --rate 20000 --duration 10 --reuse-after 0
  cpsload ... --search --max-loss 0.001     the highest rate with one loss in 1,000
  cpsload ... --profile dns --service 10.1.0.1:53 --connections 100000

Long runs need room in the gateway, too: it has 64,512 ports for each pair of a translated
address and a server, and keeps one for minutes after its connection has ended. 50,000
connections a second with 10 s of TIME_WAIT take 500,000 ports, which are 8 pool addresses.

exit status:
  0  everything asked for was done, and no connection was lost, duplicated or mistranslated; the
     verdict says whether any was delayed, as packets had to be repeated
  1  something was: the report says what      2  usage
  3  this machine or the gateway does not allow it
  4  no verdict: the tester itself lost packets, as its receive queue was full
  130  interrupted)";

}  // namespace noclash::cpsload
