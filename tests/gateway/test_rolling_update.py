#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service's backends are replaced, one after the other, under load: no request fails, and no
download is cut."""

import hashlib
import os
import re

from gateway_case import main
from lab.services import WEB_SERVER
from service_case import BACKENDS, PORT, VIP, ServiceCase, at, service

# So often is every backend replaced; NOCLASH_ROUNDS=5 is a soak.
ROUNDS = int(os.environ.get("NOCLASH_ROUNDS", "2"))
DOWNLOAD_BYTES = 6 << 20
FAILURES = re.compile(r"Socket errors: .*|Non-2xx or 3xx responses: \d+")


class RollingUpdate(ServiceCase):
    """Web servers that are stopped by SIGTERM when their connections are over."""

    timeout_s = 60 + 60 * ROUNDS
    services = (service(),)

    def setUp(self):
        super().setUp()
        self.content = os.urandom(DOWNLOAD_BYTES)
        self.root = self.lab.path("www")
        os.makedirs(self.root)
        for name, content in (("download", self.content), ("page", b"hello")):
            with open(os.path.join(self.root, name), "wb") as handle:
                handle.write(content)
        self.servers = {backend: self.start_server(backend) for backend in BACKENDS}

    def start_server(self, backend):
        server = self.pod.start("python3", "-B", WEB_SERVER, backend, PORT, self.root,
                                name=f"web-{backend}")
        server.wait_ready(lambda: self.sockets(backend, "state", "listening"))
        return server

    def sockets(self, backend, *states):
        """TCP sockets of a backend, as ss lists them."""
        return self.pod.run("ss", "-Htan", *states, "src", at(backend)).stdout.splitlines()

    def is_idle(self, backend):
        """Whether all its connections are over."""
        return not self.sockets(backend, "exclude", "listening", "exclude", "time-wait")

    def replace(self, backend, while_drained=lambda: None):
        self.change(self.drain(at(backend)))
        self.wait_until(lambda: self.is_idle(backend), f"{backend} has no connection", 60)
        while_drained()
        self.servers[backend].stop()
        self.servers[backend] = self.start_server(backend)
        self.change(self.drain(at(backend), op="undrain"))

    def start_downloads(self, count, seconds):
        """Downloads that take so long."""
        return [self.lb.start("curl", "--silent", "--show-error", "--fail", "--output",
                              self.lab.path(f"download-{number}"), "--limit-rate",
                              DOWNLOAD_BYTES // seconds, f"http://{at(VIP)}/download",
                              name=f"download-{number}") for number in range(count)]

    def assert_whole(self, downloads):
        expected = hashlib.sha256(self.content).hexdigest()
        for number, download in enumerate(downloads):
            self.assertEqual(download.wait(60), 0, download.log())
            with open(self.lab.path(f"download-{number}"), "rb") as handle:
                self.assertEqual(hashlib.sha256(handle.read()).hexdigest(), expected)

    def test_nobody_notices(self):
        load = self.lb.start("wrk", "--threads", 1, "--connections", 8, "--timeout", "30s",
                             "--duration", f"{self.timeout_s}s", f"http://{at(VIP)}/page",
                             name="wrk")
        for _ in range(ROUNDS):
            downloads = self.start_downloads(6, 3)
            for backend in BACKENDS:
                opened = self.backend_rows()[at(backend)]["openings"]
                self.wait_until(lambda: self.backend_rows()[at(backend)]["openings"] > opened,
                                "it is in use")
                self.replace(backend)
            self.assert_whole(downloads)
        load.stop(number=2)  # SIGINT: it says how it went
        report = load.log()
        self.assertRegex(report, r"\d+ requests in")
        self.assertGreater(int(re.search(r"(\d+) requests in", report)[1]), 100, report)
        self.assertEqual(FAILURES.findall(report), [], report)
        self.assertEqual(self.service_row()["condition"], "ok")
        openings = [row["openings"] for row in self.backend_rows().values()]
        self.assertGreater(min(openings), 20, openings)

    def test_without_draining_somebody_notices(self):
        """The test above can fail."""
        downloads = self.start_downloads(6, 3)
        self.wait_until(lambda: not any(map(self.is_idle, BACKENDS[:1])), "it is in use")
        self.servers[BACKENDS[0]].stop()
        self.assertTrue(any(download.wait(60) != 0 for download in downloads))


if __name__ == "__main__":
    main()
