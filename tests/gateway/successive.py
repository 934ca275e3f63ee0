# SPDX-License-Identifier: Apache-2.0
"""Downloads and measurements of iperf3 through the gateway, one after the other, while something
else happens to it. Each has to end well."""

import hashlib
import json
import os
import random

from lab.process import PYTHON
from lab.services import WEB_SERVER
from lab.topology import POD

WEB_PORT, FIRST_IPERF_PORT = 8080, 5201
FILE_BYTES, FILE_RATE = 12 << 20, "3M"


class Successive:
    """Programs that run one after the other."""

    def __init__(self, case, start, check):
        """`start(number)` starts one, `check(number)` looks at what it has made."""
        self._case, self._start, self._check = case, start, check
        self.done = 0
        self._process = start(0)

    def keep_up(self):
        """Starts the next when one is through."""
        if self._process.returncode is not None:
            self.finish()
            self._process = self._start(self.done)

    def finish(self):
        """Waits for the one that runs."""
        status = self._process.wait(90)
        self._case.assertEqual(status, 0, self._process.log_tail())
        self._check(self.done)
        self.done += 1


def downloads(case):
    """Of a file from the pod, by curl; some four seconds each."""
    root = case.lab.path("www")
    os.mkdir(root)
    content = random.randbytes(FILE_BYTES)
    with open(os.path.join(root, "file"), "wb") as handle:
        handle.write(content)
    server = case.pod.start(*PYTHON, WEB_SERVER, POD, WEB_PORT, root, name="web-server")
    server.wait_ready(lambda: f"{POD}:{WEB_PORT}" in case.pod.run("ss", "-lnt").stdout)
    fetched = case.lab.path("fetched")

    def start(_number):
        return case.lb.start("curl", "--silent", "--show-error", "--fail", "--limit-rate",
                             FILE_RATE, "--output", fetched, f"http://{POD}:{WEB_PORT}/file",
                             name="curl")

    def check(_number):
        with open(fetched, "rb") as handle:
            case.assertEqual(hashlib.sha256(handle.read()).digest(),
                             hashlib.sha256(content).digest())
        os.unlink(fetched)
    return Successive(case, start, check)


def measurements(case):
    """By iperf3, each with a server of its own; five seconds each."""
    def start(number):
        port = FIRST_IPERF_PORT + number
        server = case.pod.start("iperf3", "--server", "--one-off", "--port", port,
                                name="iperf3-server")
        server.wait_ready(lambda: f":{port} " in case.pod.run("ss", "-lnt").stdout)
        return case.lb.start("iperf3", "--client", POD, "--port", port, "--time", 5,
                             "--bitrate", "20M", "--json", name="iperf3",
                             stdout_path=case.lab.path(f"iperf3-{number}.json"))

    def check(number):
        with open(case.lab.path(f"iperf3-{number}.json"), encoding="utf-8") as handle:
            report = json.load(handle)
        case.assertGreater(report["end"]["sum_received"]["bytes"], 0, report)
    return Successive(case, start, check)
