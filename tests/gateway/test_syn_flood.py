#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A flood of SYNs from forged sources to a service, ten times what the flow table can hold, beside
real clients: with the SYN proxy, and without."""

import socket
import threading

from gateway_case import build, main
from lab.process import PATIENCE
from lab.topology import GATEWAY_LB, LB
from service_case import BACKENDS, PORT, VIP, at
from syn_proxy_case import ProxiedCase, proxied
from transfers import MIB, content, digest, download

FORGED = "100.64.0.0/16"  # behind a router that is the clients' host: it forwards nothing
FLOWS = 4096
ANSWERED = 10 * FLOWS  # at the least
FLOOD = 2 * ANSWERED  # some of it may get lost before the gateway sees it
RATE = 10_000  # a second
CLIENTS = 1000
FILES = 81  # the port of downloads
ABOVE = 256  # half-open connections from which on "auto" guards


class FloodCase(ProxiedCase):
    """A small table, and a service for clients beside one for files."""

    timeout_s = 240
    mode = "on"
    settings = {**ProxiedCase.settings, "flows": FLOWS, "extra": f"""
[[route]]
to = "{FORGED}"
via = "{LB}"
[timeouts]
below_rfc_floor = true
tcp_syn_sent_s = 5
tcp_syn_recv_s = 5
tcp_time_wait_s = 1
tcp_close_s = 1
"""}

    def gateway_settings(self):
        self.services = (proxied(syn_proxy=self.mode, syn_proxy_above=ABOVE),
                         proxied("files", ports=FILES, backends=[at(BACKENDS[0], FILES)]))
        # Without cookies of their own, and with the queue of any server.
        self.pod.sysctl("net.ipv4.tcp_syncookies", 0)
        return super().gateway_settings()

    def start_flood(self):
        """The process that floods."""
        return self.lb.start(
            build().storm, "fill", "--interface", "lb0", "--destination", at(VIP), "--gateway",
            GATEWAY_LB, "--source-base", FORGED.split("/", maxsplit=1)[0], "--sources", 5000,
            "--connections", FLOOD, "--rate", RATE, "--json", name="flood")

    def answer_of(self, _):
        """Connects as a client; whether the backend's answer is about this connection."""
        with socket.socket() as client:
            client.settimeout(20 * PATIENCE)
            client.connect((VIP, PORT))
            seen, asked = client.recv(200).decode().split()
            return seen == at(*client.getsockname()) and asked in map(at, BACKENDS)

    def clients(self, count):
        """How many of so many clients, one after the other, get a right answer."""
        return sum(self.lb.call(lambda: [self.answer_of(client) for client in range(count)]))

    def flood_beside_clients(self):
        """Returns how many clients there were, all of which were answered."""
        self.serve_all()
        flood = self.start_flood()
        asked = 0
        while asked < CLIENTS or flood.returncode is None:
            self.assertEqual(self.clients(100), 100, self.gateway.drops())
            asked += 100
        self.assertEqual(flood.wait(60), 0, flood.log_tail())
        return asked

    def openings(self):
        """Connections that the backends of the clients' service have been given."""
        return sum(row["openings"] for row in self.backend_rows().values())

    def half_open_ended(self):
        return sum(worker["datapath"]["half_open_ended"] for worker in self.gateway.json("stats"))

    def assert_no_drops(self, but=()):
        """And but for the datagram by which the flood finds the gateway's link-layer address."""
        self.assertLessEqual(set(self.gateway.drops()), {"unsolicited", *but})

    def assert_nothing_is_left(self):
        self.wait_until(lambda: self.gateway.flow_count() == 0, "all flows have ended", 60)


class Downloads:
    """Connections that carry files all the time."""

    def __init__(self, case, count=3, length=MIB // 4):
        self._stop = threading.Event()
        self._length = length
        self.files, self.failures = 0, []
        clients = [case.patient(case.connect(FILES), 30) for _ in range(count)]
        self._threads = [threading.Thread(target=self._run, args=(client,)) for client in clients]
        for thread in self._threads:
            thread.start()
        case.addCleanup(self._stop.set)

    def _run(self, client):
        try:
            with client:
                while not self._stop.wait(0.05):
                    if download(client, self._length) != digest(content(self._length)):
                        self.failures.append("a wrong file")
                    self.files += 1
        except OSError as error:
            self.failures.append(error)

    def finish(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


class On(FloodCase):
    """Always guarded."""

    def test_clients_and_downloads_go_on(self):
        """[field e]"""
        self.serve_files(FILES)
        downloads = Downloads(self)
        asked = self.flood_beside_clients()
        files_meanwhile = downloads.files
        downloads.finish()
        self.assertEqual(downloads.failures, [])
        self.assertGreater(files_meanwhile, 0)
        # Not one forged SYN made a flow, or got to a backend.
        self.assertEqual(self.openings(), asked)
        self.assertEqual(self.count("syn_cookies_accepted"), asked + 3)
        self.assertGreaterEqual(self.count("syn_cookies_sent"), ANSWERED)
        self.assert_own_segments_add_up()
        self.assert_no_drops()
        self.assertEqual(self.half_open_ended(), 0)
        self.assert_nothing_is_left()


class Auto(FloodCase):
    """Guarded when the flood comes, and as long as it lasts."""

    mode = "auto"

    def test_it_begins_and_ends(self):
        self.assertEqual(self.count("syn_cookies_sent"), 0)
        self.serve_files(FILES)
        downloads = Downloads(self)
        asked = self.flood_beside_clients()
        downloads.finish()
        self.assertEqual(downloads.failures, [])
        # SYN-ACKs of backends that come again when the forged client's flow has had its time.
        self.assert_no_drops(but=["tcp_not_syn"])
        # Some of it came before the service was guarded.
        self.assertGreaterEqual(self.count("syn_cookies_sent"), ANSWERED)
        self.assertLess(self.openings() - asked, FLOWS // 2)

        def ends():
            before = self.count("syn_cookies_sent")
            self.assertEqual(self.clients(1), 1)
            return self.count("syn_cookies_sent") == before
        self.wait_until(ends, "the gateway answers no client itself any more", 60)
        self.assert_nothing_is_left()


class Off(FloodCase):
    """What the flood does where nobody guards the service: so that the tests above can fail."""

    mode = "off"

    def test_the_flood_arrives(self):
        self.serve_all()
        flood = self.start_flood()
        self.assertEqual(flood.wait(60), 0, flood.log_tail())
        self.assertGreaterEqual(self.openings(), ANSWERED, "backends get it")
        self.assertGreater(self.half_open_ended(), ANSWERED // 2,
                           "and the table is too small for it")
        self.assertGreater(self.kernel_count(self.pod, "TCPReqQFullDrop"), 0,
                           "so are the backends' queues: they refuse honest SYNs, too")
        self.assertEqual(self.count("syn_cookies_sent"), 0)


if __name__ == "__main__":
    main()
