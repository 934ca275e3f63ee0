#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the gateway counts of a service's backends, and passive health: it acts on that by itself.
Linux at both ends, but for a backend that takes its time."""

import contextlib
import errno
import socket
import struct
import threading
import time

import packets
from gateway_case import main
from lab.process import PATIENCE
from lab.topology import GATEWAY_POD
from raw_host import ACK, SYN, RawHost
from service_case import BACKENDS, PORT, VIP, ServiceCase, at, service

ONE, TWO, THREE = BACKENDS
COUNT = 12
SILENT = """
table ip silence {{
    chain in {{ type filter hook input priority 0; {match} drop; }}
}}"""


class Counted(ServiceCase):
    """Services of one backend, so that a test knows whom it asks."""

    services = (service(backends=[at(ONE)]),)
    timeout_s = 120

    def row(self, name="web", backend=at(ONE)):
        return self.backend_rows(name)[backend]

    def assert_counts(self, row, **expected):
        """What is not named has to be 0."""
        keys = ("openings", "unanswered", "refused", "reset", "half_open", "late",
                "repeated_answers")
        self.assertEqual({key: row[key] for key in keys}, dict.fromkeys(keys, 0) | expected)

    def refused(self, count, port=PORT):
        """So many clients that are refused."""
        for _ in range(count):
            with self.assertRaises(ConnectionRefusedError):
                self.socket(connect=(VIP, port))

    def begin(self, count, port=PORT):
        """Clients that wait for an answer."""
        clients = [self.socket() for _ in range(count)]
        for client in clients:
            client.setblocking(False)
            self.assertEqual(client.connect_ex((VIP, port)), errno.EINPROGRESS)
        return clients

    def close_all(self, clients):
        for client in clients:
            client.close()


class Openings(Counted):
    def test_served(self):
        listening = {ONE: self.listen(ONE)}
        for _ in range(COUNT):
            self.connection(listening)
        row = self.row()
        self.assert_counts(row, openings=COUNT)
        self.assertEqual(sum(row["answers"]), COUNT)
        self.assertFalse(row["queue_overflow_likely"])
        self.assertLessEqual(row["p50_below_ms"], row["p99_below_ms"])

    def test_refused(self):
        self.refused(COUNT)
        row = self.row()
        self.assert_counts(row, openings=COUNT, refused=COUNT)
        self.assertEqual((row["answers"], row["p50_below_ms"], row["p99_below_ms"]),
                         ([], None, None))

    def test_refused_by_an_icmp_error(self):
        self.pod.sysctl("net.ipv4.icmp_ratelimit", 0)
        self.pod.nft("""
            table ip refuse {
                chain in { type filter hook input priority 0;
                           tcp dport 80 reject with icmp port-unreachable; }
            }""")
        self.refused(COUNT)
        self.assert_counts(self.row(), openings=COUNT, refused=COUNT)

    def test_a_backend_that_does_not_exist(self):
        """The gateway itself says so: nobody answers its ARP requests."""
        self.change({"op": "set", "service": service("gone", ports=81,
                                                     backends=["10.2.0.77:80"])})
        client = self.socket()
        with self.assertRaises(OSError) as caught:
            client.connect((VIP, 81))
        self.assertEqual(caught.exception.errno, errno.EHOSTUNREACH)
        self.assert_counts(self.row("gone", "10.2.0.77:80"), openings=1, refused=1)

    def test_reset(self):
        listening = {ONE: self.listen(ONE)}
        for _ in range(COUNT):
            client, _, server = self.connection(listening)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.close()
            self.assert_reset(client)
        self.assert_counts(self.row(), openings=COUNT, reset=COUNT)

    def test_a_client_that_resets(self):
        listening = {ONE: self.listen(ONE)}
        client, _, server = self.connection(listening)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        self.assert_reset(server)
        self.assert_counts(self.row(), openings=1)

    def test_a_queue_that_overflows(self):
        listening = self.socket(source=(ONE, PORT), namespace=self.pod)
        listening.listen(0)
        self.socket(connect=(VIP, PORT))  # the queue is full
        clients = self.begin(COUNT)
        self.wait_until(lambda: self.row()["half_open"] == COUNT, "their SYNs are dropped")
        self.assertNotIn("queue overflow likely", self.gateway.text("services"))
        listening.settimeout(None)
        accepted = []

        def accept():
            with contextlib.suppress(OSError):  # it was shut down
                while True:
                    accepted.append(listening.accept()[0])
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        self.wait_until(lambda: self.row()["half_open"] == 0, "each SYN is answered in time",
                        timeout_s=60 * PATIENCE)
        row = self.row()
        self.assertEqual((row["openings"], row["late"], row["unanswered"], row["refused"]),
                         (COUNT + 1, COUNT, 0, 0))
        self.assertTrue(row["queue_overflow_likely"])
        self.assertGreaterEqual(row["late_ms"], COUNT * 900)
        self.assertRegex(self.gateway.text("services"),
                         f"queue overflow likely: {COUNT} of {COUNT + 1} openings unanswered, "
                         r"answered after \d+\.\d s")
        self.assertGreaterEqual(row["p99_below_ms"], 1024)
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()
        self.close_all([*clients, *accepted])

    def test_a_slow_backend(self):
        address, delay_ms = "10.2.0.50", 80
        slow = RawHost(self.pod, "pod0", address, gateway=GATEWAY_POD,
                       gateway_mac=self.gateway_mac("gw-pod"))
        self.addCleanup(slow.close)
        self.change({"op": "set", "service": service("slow", ports=81, backends=[at(address)])})
        client, = self.begin(1, port=81)
        syn = slow.receive(lambda packet: packet.flags == SYN, timeout_s=5 * PATIENCE)
        self.assertIsNotNone(syn)
        time.sleep(delay_ms / 1000)
        (source, sport), (_, dport) = syn.ends
        slow.send(packets.ip(address, source, packets.TCP, packets.tcp(
            address, source, dport, sport, flags=SYN | ACK, acknowledgment=syn.sequence + 1)))
        self.wait_until(lambda: self.row("slow", at(address))["half_open"] == 0, "it has answered")
        row = self.row("slow", at(address))
        self.assert_counts(row, openings=1)
        self.assertGreater(row["p50_below_ms"], delay_ms - 2)
        client.close()

    def test_services_that_share_a_backend(self):
        """Each counts for itself; a backend without a port has whichever was asked for."""
        self.change({"op": "set", "service": service("other", ports="81-90", backends=[ONE])})
        self.listen(ONE, 81)
        self.refused(3)
        self.refused(4, port=82)
        self.socket(connect=(VIP, 81))
        self.assert_counts(self.row(), openings=3, refused=3)
        self.assert_counts(self.row("other", ONE), openings=5, refused=4)

    def test_datagrams(self):
        self.pod.sysctl("net.ipv4.icmp_ratelimit", 0)
        self.change({"op": "set", "service": service("dns", ports=[53, 54], protocol="udp",
                                                     backends=[ONE])})
        self.serve(f"{ONE}:53")
        for _ in range(3):
            self.asked(1, "udp", 53)
        for _ in range(4):
            client = self.socket(socket.SOCK_DGRAM, connect=(VIP, 54))
            client.send(b"data")
            with self.assertRaises(ConnectionRefusedError):
                client.recv(100)
        row = self.row("dns", ONE)
        self.assert_counts(row, openings=7, refused=4)
        self.assertEqual(sum(row["answers"]), 3)


class Silent(Counted):
    settings = ServiceCase.settings | {
        "extra": "[timeouts]\nbelow_rfc_floor = true\ntcp_syn_sent_s = 2\n"}

    def test_unanswered(self):
        self.pod.nft(SILENT.format(match="tcp dport 80"))
        clients = self.begin(COUNT)
        self.wait_until(lambda: self.row()["half_open"] == COUNT, "they wait")
        self.assert_counts(self.row(), openings=COUNT, half_open=COUNT,
                           late=self.row()["late"])
        self.close_all(clients)
        self.wait_until(lambda: self.row()["unanswered"] == COUNT, "their time is over",
                        timeout_s=30 * PATIENCE)
        self.assert_counts(self.row(), openings=COUNT, unanswered=COUNT)


class PassiveCase(Counted):
    """ONE listens, TWO fails."""

    BACKLOG = 4096  # nobody accepts

    RULE = {"failures": 3, "first_s": 3, "most_s": 12}
    services = (service(backends=[at(ONE), at(TWO)], inhibit=RULE),)

    def setUp(self):
        super().setUp()
        self.listening = {}
        self.attend(ONE)

    def attend(self, backend):
        self.listening[backend] = self.listen(backend)
        self.listening[backend].listen(self.BACKLOG)

    def two(self):
        return self.row(backend=at(TWO))

    def assert_logged(self, text):
        self.wait_until(lambda: text in self.gateway.process.log(), text)

    def assert_inhibited(self):
        row = self.two()
        self.assertEqual((row["state"], row["health"], row["slots"]), ("down", "unknown", 0))
        self.assertRegex(self.gateway.text("services"), r"10\.2\.0\.3:80 +inhibited [1-9]\d* s")
        self.assert_logged(f"service web: backend {at(TWO)} refuses new connections, or leaves "
                           "them unanswered: inhibited for 3 s")
        self.assertEqual(self.service_row()["condition"], "ok")
        self.assertEqual(self.row()["inhibited_s"], 0)


class PassiveHealth(PassiveCase):
    """TWO refuses."""

    def ask(self, count=1):
        """So many clients; how many were refused."""
        refused = 0
        for _ in range(count):
            client = self.socket()
            try:
                client.connect((VIP, PORT))
            except ConnectionRefusedError:
                refused += 1
            client.close()
        return refused

    def get_inhibited(self):
        """Asks until TWO is inhibited."""
        def is_inhibited():
            self.ask(8)
            return self.two()["inhibited_s"] > 0
        self.wait_until(is_inhibited, "TWO is inhibited")

    def test_who_refuses_gets_no_clients(self):
        self.get_inhibited()
        self.assert_inhibited()

    def test_it_is_tried_again_and_comes_back(self):
        self.get_inhibited()
        self.attend(TWO)
        self.wait_until(lambda: self.two()["state"] == "active", "it is tried again",
                        timeout_s=30 * PATIENCE)
        self.assert_logged(f"service web: backend {at(TWO)} is tried again")
        before = self.two()["openings"]
        self.assertEqual(self.ask(50), 0)
        self.assertGreater(self.two()["openings"], before)
        self.assertEqual(self.two()["inhibited_s"], 0)

    def test_the_time_doubles(self):
        self.get_inhibited()
        log = f"backend {at(TWO)} refuses new connections, or leaves them unanswered: inhibited for "
        for seconds in (3, 6, 12, 12):
            self.assert_logged(f"{log}{seconds} s")
            if seconds == 12:
                break
            self.wait_until(lambda: self.two()["state"] == "active", "it is tried again",
                            timeout_s=30 * PATIENCE)
            self.get_inhibited()

    def test_when_all_are_inhibited_all_are_asked(self):
        self.listening[ONE].close()
        self.ask(20)
        self.wait_until(lambda: self.service_row()["condition"] == "all_down", "all fail")
        self.assertTrue(all(row["slots"] > 0 for row in self.backend_rows().values()))
        self.assert_logged("service web: all active backends are down")
        self.attend(ONE)
        self.ask(20)
        self.wait_until(lambda: self.row()["state"] == "active", "an answer ends it")
        self.assertEqual(self.service_row()["condition"], "ok")

    def test_a_check_that_says_up_again_lifts_it(self):
        self.get_inhibited()
        self.change(self.health(at(TWO), True))
        self.assertGreater(self.two()["inhibited_s"], 0, "it was not down before")
        self.change(self.health(at(TWO), False), self.health(at(TWO), True))
        self.assertEqual(self.two()["state"], "active")

    def test_another_configuration(self):
        self.get_inhibited()
        self.gateway.change_configuration(extra="[timeouts]\ntcp_close_s = 250\n")
        self.gateway.text("reload")
        self.assertGreater(self.two()["inhibited_s"], 0, "another policy knows it, too")

    def test_without_the_key_nobody_is_inhibited(self):
        self.change({"op": "set", "service": service("plain", ports=81,
                                                     backends=[at(ONE), at(TWO)])})
        self.assertIs(self.service_row("plain")["inhibit"], False)
        for _ in range(60):
            with contextlib.suppress(ConnectionRefusedError):
                self.socket(connect=(VIP, 81)).close()
        looked = time.monotonic() + 2.5
        while time.monotonic() < looked:  # the gateway looks once a second
            row = self.backend_rows("plain")[at(TWO)]
            self.assertEqual((row["state"], row["inhibited_s"]), ("active", 0))
            time.sleep(0.5)
        self.assertGreater(row["refused"], 3)


class SilentBackend(PassiveCase):
    def test_clients_that_ask_again_tell(self):
        self.pod.nft(SILENT.format(match=f"ip daddr {TWO} tcp dport 80"))
        self.begin(COUNT)
        self.wait_until(lambda: self.two()["inhibited_s"] > 0, "TWO is inhibited",
                        timeout_s=30 * PATIENCE)
        self.assert_inhibited()


if __name__ == "__main__":
    main()
