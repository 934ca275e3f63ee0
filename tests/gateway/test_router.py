#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The router around the NAT: TTL, MTU, its own addresses, neighbours, routes."""

import os
import time

from gateway_case import GatewayCase, main, rule
from lab.noclash import DEFAULT_RULES
from lab.process import PYTHON
from lab.services import WEB_SERVER
from lab.topology import GATEWAY_LB, GATEWAY_POD, LB, POD


class Router(GatewayCase):
    """ICMP that the gateway itself sends."""

    settings = {"lb_mtu": 1500, "pod_mtu": 1400}

    def test_time_exceeded(self):
        output = self.ping(POD, "-t", 1)
        self.assertIn(f"From {GATEWAY_LB}", output)
        self.assertIn("Time to live exceeded", output)
        self.assertGreater(self.gateway.drops().get("ttl", 0), 0)

    def test_ttl_of_two_passes(self):
        self.assert_pings(POD, "-t", 2)

    def test_too_big_names_the_mtu(self):
        """[RFC 4787 REQ-13]"""
        output = self.ping(POD, "-M", "do", "-s", 1400)
        self.assertRegex(output, rf"From {GATEWAY_LB}.*[Ff]rag needed.*mtu = 1400")
        self.assertGreater(self.gateway.drops().get("too_big", 0), 0)

    def test_exactly_the_mtu_passes(self):
        self.assert_pings(POD, "-M", "do", "-s", 1400 - 28)

    def test_tcp_finds_the_mtu(self):
        """[RFC 4787 REQ-13]"""
        # 1,500-byte segments at first: what comes back in ICMP makes them smaller.
        self.pod.ip("link", "set", "pod0", "mtu", 1400)
        self.pod.start(*PYTHON, WEB_SERVER, POD, 80, "/nonexistent", name="web-server")
        script = ("import socket;s=socket.create_connection(('10.1.0.1',30080),10);"
                  "s.sendall(b'POST / HTTP/1.0\\r\\nX: '+b'x'*50000+b'\\r\\n\\r\\n');"
                  "print(len(s.recv(100))>0)")
        self.wait_until(lambda: ":80 " in self.pod.run("ss", "-lnt").stdout, "the server listens")
        self.assertEqual(self.lb.run(*PYTHON, "-c", script).stdout.strip(), "True")

    # Sends a datagram that is too big, until the kernel knows better; prints the MTU that it knows.
    MTU_FINDER = """
import socket, time
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
client.bind(("0.0.0.0", 5555))
client.connect(("{}", {}))
for _ in range(100):
    mtu = client.getsockopt(socket.IPPROTO_IP, 14)  # IP_MTU
    if mtu < 1500:
        break
    try:
        client.send(b"x" * 1450)
    except OSError:
        pass
    time.sleep(0.1)
print(mtu)
"""

    def find_mtu(self, namespace, address, port):
        script = self.MTU_FINDER.format(address, port)
        return int(namespace.run(*PYTHON, "-c", script).stdout)

    def test_udp_finds_the_mtu(self):
        """[RFC 4787 REQ-13]: to a host outside, and to a service that is forwarded there."""
        self.assertEqual(self.find_mtu(self.lb, POD, 7000), 1400)
        self.assertEqual(self.find_mtu(self.lb, GATEWAY_LB, 53), 1400)

    def test_own_addresses_answer(self):
        self.assert_pings(GATEWAY_LB, count=3)
        self.assert_pings(GATEWAY_POD, count=3)
        self.assert_pings(GATEWAY_POD, count=3, namespace=self.pod)

    def test_large_ping_to_own_address(self):
        self.assert_pings(GATEWAY_LB, "-s", 1472)

    def test_no_route(self):
        self.assertIn("Unreachable", self.ping("198.51.100.1"))
        self.assertGreater(self.gateway.drops().get("no_route", 0), 0)

    def test_closed_udp_port_is_reported_to_the_client(self):
        """[RFC 5508 REQ-4]"""
        script = ("import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
                  f"s.settimeout(3);s.connect(('{POD}',9));s.send(b'x');s.recv(10)")
        result = self.lb.run(*PYTHON, "-c", script, check=False)
        self.assertIn("ConnectionRefusedError", result.stderr)


class NarrowInside(GatewayCase):
    """Two real hosts on links of 1,500 bytes, and a gateway that lets fewer through to the client:
    servers outside have to learn."""

    settings = {"lb_mtu": 1400, "pod_mtu": 1500}

    def test_tcp_finds_the_mtu(self):
        """[RFC 4787 REQ-13]: about connections that are masqueraded, and to a forwarded service."""
        content = self.pod.lab.path("content")
        os.makedirs(content)
        with open(os.path.join(content, "large"), "wb") as handle:
            handle.write(bytes(200000))
        for port in (80, 8080):
            self.pod.start(*PYTHON, WEB_SERVER, POD, port, content, name=f"web-{port}")
        for port in (80, 8080):
            self.wait_until(lambda port=port: f":{port} " in self.pod.run("ss", "-lnt").stdout,
                            "the server listens")
        for url in (f"http://{POD}:8080/large", f"http://{GATEWAY_LB}:30080/large"):
            with self.subTest(url):
                size = self.lb.run("curl", "-sS", "--noproxy", "*", "-m", 30, "-o", "/dev/null",
                                   "-w", "%{size_download}", url).stdout
                self.assertEqual(size, "200000")
        self.assertGreater(self.gateway.drops().get("too_big", 0), 0)


class SegmentSizes(GatewayCase):
    """Two real hosts on links of 1,500 bytes, and a gateway that lets fewer through."""

    clamps = {8000: False, 8001: True, 8002: 900}  # by port of the server
    settings = {"pod_mtu": 1400, "rules": "".join(
        rule(f"to-{port}", "masquerade", in_="lb", protocol="tcp", to_port=port, mss_clamp=clamp)
        for port, clamp in clamps.items())}

    def test_clamped(self):
        """Each end believes the other to take no more than the gateway says."""
        self.serve(*self.clamps)
        timestamps = 12  # bytes, in every segment of a real stack
        script = ("import socket,sys;s=socket.create_connection(('10.2.0.2',int(sys.argv[1])),5);"
                  "print(s.getsockopt(socket.IPPROTO_TCP,socket.TCP_MAXSEG))")
        for port, expected in ((8000, 1460), (8001, 1360), (8002, 900)):
            with self.subTest(port):
                seen = self.lb.run(*PYTHON, "-c", script, port).stdout
                self.assertEqual(int(seen), expected - timestamps)
        actions = [row["action"] for row in self.gateway.json("rules")]
        self.assertIn("MSS as the MTUs allow", actions[1])
        self.assertIn("MSS at most 900", actions[2])

    def test_large_transfers_pass_without_any_icmp(self):
        """Both ways."""
        script = ("import socket;s=socket.create_connection(('10.2.0.2',8001),10);"
                  "s.sendall(b'x'*200000);s.shutdown(1);n=0\n"
                  "while d:=s.recv(65536): n+=len(d)\n"
                  "print(n)")
        server = ("import socket;l=socket.create_server(('',8001));print('ready',flush=True);"
                  "s,_=l.accept();n=0\n"
                  "while d:=s.recv(65536): n+=len(d)\n"
                  "s.sendall(b'y'*n)")
        process = self.pod.start(*PYTHON, "-c", server, name="mirror")
        process.wait_ready(lambda: "ready" in process.log())
        self.assertEqual(self.lb.run(*PYTHON, "-c", script).stdout.strip(), "200000")
        self.assertNotIn("too_big", self.gateway.drops())


class Routes(GatewayCase):
    """Static routes with a next hop."""

    settings = {"extra": '[[route]]\nto = "198.51.100.0/24"\nvia = "10.2.0.2"\n'}

    def test_next_hop(self):
        self.pod.ip("address", "add", "198.51.100.1/32", "dev", "lo")
        self.assert_pings("198.51.100.1")


MOVED = "02:00:00:00:77:01"


class Neighbors(GatewayCase):
    """Neighbours that are not known yet, that moved, that say so, and that are not there."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb"),
                "extra": "[neighbors]\nrefresh_s = 1\n"}
    starts_gateway = False

    def start(self, **settings):
        self.gateway._settings.update(settings)  # pylint: disable=protected-access
        self.gateway.start(self.topology, wait=False)

    def move_pod(self):
        """Gives the pod another MAC address. Its kernel tells nobody."""
        self.pod.ip("link", "set", "pod0", "address", MOVED)

    def pod_mac(self):
        return self.pod.run("cat", "/sys/class/net/pod0/address").stdout.strip()

    def row(self, address):
        return next(row for row in self.gateway.json("neighbors") if row["address"] == address)

    def test_first_packets_to_a_cold_neighbor_wait(self):
        self.start()
        output = self.ping(POD, "-i", "0.002", count=20)
        self.assertIn("20 packets transmitted, 20 received", output)

    def test_silently_moved_neighbor_recovers(self):
        """[field j]"""
        self.start()
        self.assert_pings(POD)
        self.move_pod()
        self.wait_until(lambda: "1 received" in self.ping(POD, "-W", "1"),
                        "the gateway asks the moved neighbour again")

    def test_gratuitous_arp_is_believed_soon_where_the_known_station_is_silent(self):
        """As in a failover (VRRP): the former master is dead, and the new one says where it is."""
        self.start(extra="[neighbors]\nrefresh_s = 600\n")
        self.assert_pings(POD)
        old = self.pod_mac()
        self.move_pod()
        self.pod.run("arping", "-U", "-c", 1, "-I", "pod0", POD, check=False)
        begin = time.monotonic()
        self.wait_until(lambda: self.row(POD)["mac"] == MOVED, "the move is believed", 5)
        self.assertLess(time.monotonic() - begin, 3)
        self.assert_pings(POD)
        self.wait_until(lambda: f"neighbour {POD} moved from {old} to {MOVED}" in
                        self.gateway.process.log(), "the log names both addresses", 5)

    def test_absent_neighbor_is_reported(self):
        self.start()
        output = self.ping("10.2.0.99", "-W", "8")
        self.assertIn("Destination Host Unreachable", output)
        self.assertGreater(self.gateway.drops().get("neighbor_failed", 0), 0)

    def test_neighbors_are_listed(self):
        self.start()
        self.assert_pings(POD)
        rows = {row["address"]: row for row in self.gateway.json("neighbors")}
        self.assertEqual(rows[POD]["port"], "pod")
        self.assertEqual(rows[LB]["port"], "lb")
        self.assertEqual(rows[POD]["mac"], self.pod_mac())

    def test_next_hops_and_targets_are_known_before_any_packet(self):
        self.pod.ip("address", "add", "10.2.0.3/16", "dev", "pod0")
        self.start(rules=rule("service", "dnat", in_="lb", protocol="tcp",
                              to=f"{GATEWAY_LB}/32", to_port=80, target=f"{POD}:80"),
                   extra='[[route]]\nto = "198.51.100.0/24"\nvia = "10.2.0.3"\n')
        for address in (POD, "10.2.0.3"):
            self.wait_until(lambda address=address: self.row(address)["state"] == "reachable",
                            f"{address} is known", 5)

    def test_static_neighbors_are_neither_asked_nor_changed(self):
        self.start(extra=f'[[neighbor]]\naddress = "{POD}"\nmac = "{MOVED}"\n')
        self.assertEqual(self.row(POD)["state"], "static")
        self.assertIn("0 received", self.ping(POD, "-W", 1))  # nobody has that address yet
        old = self.pod_mac()
        self.pod.run("arping", "-U", "-c", 1, "-I", "pod0", POD, check=False)
        self.wait_until(lambda: f"{old} claims the address of neighbour {POD}" in
                        self.gateway.process.log(), "the claim is logged", 5)
        self.assertEqual(self.row(POD)["mac"], MOVED)
        self.move_pod()
        self.assert_pings(POD)


class NoOtherStation(GatewayCase):
    """Frames for other stations are not forwarded, although the port hears them."""

    settings = {"rules": DEFAULT_RULES}

    def test_wrong_mac(self):
        self.lb.ip("neigh", "replace", GATEWAY_LB, "lladdr", "02:00:00:00:66:66", "dev", "lb0")
        self.assertIn("0 received", self.ping(POD))


if __name__ == "__main__":
    main()
