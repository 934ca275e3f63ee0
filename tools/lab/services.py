# SPDX-License-Identifier: Apache-2.0
"""Real servers in the pod, and real clients at the load balancer that use them."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass

from .process import PYTHON, LabError
from .topology import DNS_PORT, GATEWAY_LB, NODE_PORT, POD, POD_PORT

WEB_SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "web_server.py")
FILE_BYTES = 16 << 20
NAME = "pod.noclash.example"
NAME_ADDRESS = "192.0.2.7"
NAMES = 20


@dataclass
class Check:
    """The answer that a client saw."""

    name: str
    ok: bool
    detail: str

    def row(self):
        return asdict(self)


class Services:
    """A web server, a DNS server and an iperf3 server in the pod."""

    def __init__(self, topology):
        self._topology = topology
        lab, pod = topology.lab, topology.pod
        web_root = lab.path("www")
        os.makedirs(web_root, exist_ok=True)
        content = os.urandom(FILE_BYTES)
        self._checksum = hashlib.sha256(content).hexdigest()
        with open(os.path.join(web_root, "file"), "wb") as handle:
            handle.write(content)
        self._web = pod.start(*PYTHON, WEB_SERVER, POD, POD_PORT, web_root,
                              name="web-server")
        self._dns = pod.start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
                              "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
                              "--bind-interfaces", f"--listen-address={POD}",
                              f"--port={DNS_PORT}", f"--address=/{NAME}/{NAME_ADDRESS}",
                              name="dnsmasq")
        self._iperf = pod.start("iperf3", "--server", "--forceflush", name="iperf3-server")
        for server, listening in ((self._web, f"{POD}:{POD_PORT}"),
                                  (self._dns, f"{POD}:{DNS_PORT}"), (self._iperf, "*:5201")):
            server.wait_ready(lambda listening=listening: self._listens(listening))

    def _listens(self, listening):
        return listening in self._topology.pod.run("ss", "-lnt").stdout

    def checks(self):
        """The clients, in the order of a demonstration: (name, function that returns a Check)."""
        return [("curl", self.curl), ("dig", self.dig), ("ping", self.ping),
                ("iperf3", self.iperf3)]

    def curl(self):
        path = self._topology.lab.path("fetched")
        result = self._client("curl", "--silent", "--show-error", "--fail", "--max-time", 30,
                              "--output", path, "--write-out", "%{speed_download}",
                              f"http://{GATEWAY_LB}:{NODE_PORT}/file")
        if result.returncode != 0:
            return Check("curl", False, result.stderr.strip())
        with open(path, "rb") as handle:
            same = hashlib.sha256(handle.read()).hexdigest() == self._checksum
        megabytes = float(result.stdout) / 1e6
        return Check("curl", same, f"{FILE_BYTES >> 20} MiB at {megabytes:.0f} MB/s, SHA-256 "
                                   f"{'as served' if same else 'DIFFERS'}")

    def dig(self):
        answered = 0
        for number in range(NAMES):
            transport = "+tcp" if number % 4 == 3 else "+notcp"
            result = self._client("dig", f"@{GATEWAY_LB}", "+short", "+tries=1", "+time=2",
                                  transport, f"host{number}.{NAME}", "A")
            answered += result.stdout.strip() == NAME_ADDRESS
        return Check("dig", answered == NAMES, f"{answered} of {NAMES} names over UDP and TCP")

    def ping(self):
        result = self._client("ping", "-n", "-q", "-c", 20, "-i", "0.05", "-W", 2, POD)
        lines = [line for line in result.stdout.splitlines() if "loss" in line or "rtt" in line]
        lossless = " 0% packet loss" in result.stdout
        return Check("ping", result.returncode == 0 and lossless, "; ".join(lines))

    def iperf3(self, seconds=3):
        result = self._client("iperf3", "--client", POD, "--time", seconds, "--json",
                              timeout_s=seconds + 20)
        try:
            report = json.loads(result.stdout)
            if "error" in report:
                return Check("iperf3", False, report["error"])
            rate = report["end"]["sum_received"]["bits_per_second"] / 1e9
            retransmits = report["end"]["sum_sent"]["retransmits"]
        except (ValueError, KeyError) as error:
            return Check("iperf3", False, f"no report ({error}): {result.stderr.strip()}")
        return Check("iperf3", rate > 0, f"{rate:.2f} Gbit/s over one TCP connection, "
                                         f"{retransmits} retransmits")

    def _client(self, *argv, timeout_s=60):
        try:
            return self._topology.lb.run(*argv, check=False, timeout_s=timeout_s)
        except LabError as error:
            raise LabError(f"a client hung: {error}") from error
