#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real programs through the gateway."""

from gateway_case import HOSTS, GatewayCase, main, node, rule
from lab.noclash import DEFAULT_RULES
from lab.process import PYTHON
from lab.services import Services
from lab.topology import GATEWAY_POD, POD


class RealPrograms(GatewayCase):
    """curl, dig, ping and iperf3, as tools/demo runs them."""

    def test_every_service_works(self):
        services = Services(self.topology)
        for name, check in services.checks():
            with self.subTest(name):
                result = check()
                self.assertTrue(result.ok, result.detail)

    def test_many_downloads_at_once(self):
        services = Services(self.topology)
        script = (f"for i in $(seq 12); do curl -sf -o /dev/null http://{node(30080)}/file & "
                  "pids=\"$pids $!\"; done; for p in $pids; do wait $p || exit 1; done")
        self.lb.run("sh", "-c", script, timeout_s=50)
        self.assertTrue(services.curl().ok)


class Udp(GatewayCase):
    """Datagrams from one socket, there and back."""

    settings = {"rules": rule("echo", "dnat", protocol="udp", in_="lb", to_port=7,
                              to="10.1.0.1/32", target=f"{POD}:7000", source="masquerade") +
                DEFAULT_RULES}

    def test_echo(self):
        self.serve(7000)
        result = self.lb.run(*PYTHON, HOSTS, "echo", node(7), 500)
        self.assertEqual(result.stdout.strip(), "500")

    def test_one_socket_keeps_one_mapping(self):
        self.serve(7000, 7001)
        seen = {self.ask("udp", f"{POD}:7001", "10.1.0.2:5555") for _ in range(5)}
        self.assertEqual(len(seen), 1)
        (address, _port), _own = seen.pop()
        self.assertEqual(address, GATEWAY_POD)


if __name__ == "__main__":
    main()
