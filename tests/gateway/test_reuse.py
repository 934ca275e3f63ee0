#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Few ports and many connections, to a server that closes first and holds each in TIME_WAIT."""

import sys

from gateway_case import HOSTS, GatewayCase, main, rule
from lab.netfilter import NetfilterOfFewPorts
from lab.process import PYTHON
from lab.topology import POD

PORTS = "5000-5063"
PORT_COUNT = 64
CONNECTIONS = 640  # in some seconds; ports over TIME_WAIT would be one a second
SERVER_PORT = 7000


class FewPorts(GatewayCase):
    """The common part of the tests of all gateways."""

    timeout_s = 150

    def connect(self):
        """Opens CONNECTIONS connections, one after the other; returns how many were answered."""
        result = self.lb.run(*PYTHON, HOSTS, "connect", f"{POD}:{SERVER_PORT}",
                             CONNECTIONS, timeout_s=120)
        return int(result.stdout)

    def counted(self, host, name):
        """A counter of a host's TCP; 0 when its kernel does not know it."""
        for line in host.run("nstat", "-az", name).stdout.splitlines():
            words = line.split()
            if words and words[0] == name:
                return int(words[1])
        return 0

    def waiting(self):
        """How many connections the server holds in TIME_WAIT."""
        return len(self.pod.run("ss", "-Htan", "state", "time-wait").stdout.splitlines())


class Reuse(FewPorts):
    """Clients' timestamps as they are: which tuple is safe depends on them."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb", ports=PORTS)}

    def test_every_connection_succeeds_at_once(self):
        """[field c] [RFC 6191 section 2] [RFC 6888 REQ-8]"""
        self.serve(SERVER_PORT)
        self.assertEqual(self.connect(), CONNECTIONS)
        self.assertGreaterEqual(self.waiting(), PORT_COUNT - 1)
        # Each SYN opened a connection. Had the server refused them (SYN -> ACK -> RST), they would
        # have come again a second later; nor did the gateway drop any. (When a link of a busy
        # machine loses a last ACK, the server is not where the gateway saw it.)
        self.assertEqual(self.counted(self.pod, "TcpPassiveOpens"), CONNECTIONS)
        for host in (self.lb, self.pod):
            self.assertLess(self.counted(host, "TcpOutRsts"), CONNECTIONS // 100)
        self.assertEqual(self.gateway.drops(), {})
        reused = sum(row["datapath"]["tuple_reused"] for row in self.gateway.json("stats"))
        self.assertGreaterEqual(reused, CONNECTIONS - PORT_COUNT)


class ReuseNormalized(Reuse):
    """One clock for the gateway's address: every SYN is ahead."""

    settings = {**Reuse.settings, "top": 'tcp_timestamps = "normalize"'}


class Never(FewPorts):
    """Without reuse, for comparison."""

    settings = {**Reuse.settings, "top": 'tcp_reuse = "never"'}

    def test_ports_run_out(self):
        self.serve(SERVER_PORT)
        self.assertEqual(self.connect(), PORT_COUNT)
        self.assertGreater(self.gateway.drops().get("exhausted", 0), 0)


class Netfilters(FewPorts):
    """The machine's own NAT under the same load; what it loses depends on the kernel."""

    starts_gateway = False

    def test_netfilter(self):
        """[field c]"""
        NetfilterOfFewPorts(PORTS).start(self.topology)
        self.serve(SERVER_PORT)
        answered = self.connect()
        print(f"\nbehind netfilter {answered} of {CONNECTIONS} connections were answered, "
              f"{self.counted(self.lb, 'TcpExtTCPSynRetrans')} SYNs were sent again, "
              f"{self.counted(self.lb, 'TcpOutRsts')} RSTs by the client", file=sys.stderr)
        self.assertGreaterEqual(answered, PORT_COUNT)


if __name__ == "__main__":
    main()
