# SPDX-License-Identifier: Apache-2.0
"""A rolling update: every backend of a web service is replaced, one after the other, under load.

Clients ask without a pause, over connections that live for some requests each (wrk); downloads are
under way that last longer than the whole update. An operator replaces each backend in one of the
MANNERS. Counted is what its clients notice.
"""

import contextlib
import hashlib
import os
import time
from dataclasses import asdict, dataclass, field

from .balancers import PORT, end_of
from .process import wait_until
from .topology import POD, PREFIX_LENGTH, VIP
from .web_backends import WebBackends
from .web_clients import FIRST_DOWNLOAD_PORT, MOST_DOWNLOADS, Download, Wrk

BACKENDS = [POD, "10.2.0.3", "10.2.0.4"]
BLOCK_BYTES = 1 << 20
# Not those of downloads: what an operator waits for. A download goes on at the server that quits.
REQUESTS_ONLY = (f"dport lt :{FIRST_DOWNLOAD_PORT} or "
                 f"dport ge :{FIRST_DOWNLOAD_PORT + MOST_DOWNLOADS}")

DRAINED, AT_ONCE, STOPPED = "drained", "not waited for", "stopped"
MANNERS = {
    DRAINED: "taken out; told to quit when its connections but the downloads are over; started "
             "anew; put in",
    AT_ONCE: "taken out; told to quit at once; started anew; put in",
    STOPPED: "stopped in the midst of it all, and started anew",
}


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    rounds: int  # each replaces every backend
    lasting_s: float  # a download lasts so long at its rate, and longer when it has to
    downloads: int = 6
    rate_bytes_per_s: int = 4_000_000

    @property
    def download_bytes(self):
        return int(self.lasting_s * self.rate_bytes_per_s)


@dataclass
class Outcome:
    """What the clients of one contestant noticed."""

    contestant: str
    manner: str
    replaced: int = 0
    requests: int = 0  # answered
    failed: int = 0
    failures: dict = field(default_factory=dict)  # of requests, by how
    downloads: int = 0
    cut: list = field(default_factory=list)  # downloads that were, each in words
    reconnects: int = 0  # connections beside the first ones
    syns_again: int = 0  # SYNs that had to be sent again: a second lost for somebody
    seconds: float = 0.0  # of the update
    downloaded_bytes: int = 0  # of all downloads when the update was over
    not_run: str = ""  # why; nothing above holds then
    failure: str = ""  # of the instrument, or of the contestant; likewise
    configuration: str = ""
    commands: list = field(default_factory=list)

    @property
    def ran(self):
        return not self.not_run and not self.failure

    def as_json(self):
        return asdict(self)


def add_backends(topology):
    """Gives the pod their addresses; before a gateway asks for them."""
    topology.pod.ip_batch([f"address add {address}/{PREFIX_LENGTH} dev pod0"
                           for address in BACKENDS if address != POD])


def roll(topology, balancer, plan, manner=DRAINED, show=lambda words: None):
    """Replaces the backends of a balancer that has been started. Returns the Outcome; LabError when
    a server or a client could not be run."""
    update = _Update(topology, balancer, plan, show)
    with contextlib.ExitStack() as stack:
        update.start(stack)
        begun = time.monotonic()
        for number in range(plan.rounds):
            for address in BACKENDS:
                show(f"round {number + 1} of {plan.rounds}, {address}")
                update.replace(end_of(address), manner)
        return update.finish(manner, time.monotonic() - begun)


class _Update:
    """The servers, the clients, and the way of one backend."""

    def __init__(self, topology, balancer, plan, show):
        self._topology, self._balancer, self._plan, self._show = topology, balancer, plan, show
        self._root = topology.lab.path("www")
        self._checksum = self._write_files()
        self._backends = WebBackends(topology.pod, map(end_of, BACKENDS), self._root)
        self._downloads, self._wrk, self._before = [], None, None
        self._replaced = 0

    def _write_files(self):
        """Returns the checksum of what is downloaded."""
        os.makedirs(self._root)
        with open(os.path.join(self._root, "page"), "wb") as handle:
            handle.write(b"hello\n" * 100)
        checksum, left = hashlib.sha256(), self._plan.download_bytes
        with open(os.path.join(self._root, "download"), "wb") as handle:
            while left > 0:
                block = os.urandom(min(left, BLOCK_BYTES))
                checksum.update(block)
                handle.write(block)
                left -= len(block)
        return checksum.hexdigest()

    def start(self, stack):
        """The clients; they are at work when it returns."""
        self._before = self._tcp_counters()
        url, clients = f"http://{VIP}:{PORT}", self._topology.lb
        for number in range(self._plan.downloads):
            download = Download(clients, f"{url}/download", number, self._plan.download_bytes,
                                self._plan.rate_bytes_per_s)
            stack.callback(download.hurry)
            self._downloads.append(download)
        self._wrk = Wrk(clients, f"{url}/page")
        wait_until(lambda: all(download.got_bytes for download in self._downloads),
                   timeout_s=20, what="all downloads are under way")

    def replace(self, end, manner):
        """One backend, once it is in use."""
        wait_until(lambda: self._backends[end].connections(REQUESTS_ONLY), timeout_s=60,
                   what=f"{end} is in use")
        if manner == STOPPED:
            self._backends[end].stop()
            self._backends.start(end)
        else:
            self._balancer.take_out(end)
            if manner == DRAINED:
                wait_until(lambda: not self._backends[end].connections(REQUESTS_ONLY),
                           timeout_s=60, what=f"{end} has no connection but downloads")
            self._backends.quit(end)
            self._backends.start(end)
            self._balancer.put_in(end)
        self._replaced += 1

    def finish(self, manner, seconds):
        """Ends it all, and says how it was."""
        self._show("the rest of the downloads")
        got_bytes = sum(download.got_bytes for download in self._downloads)
        asked = self._wrk.finish()
        for download in self._downloads:
            download.hurry()
        cut = [words for download in self._downloads
               if (words := download.finish(self._checksum))]
        self._backends.assert_over()
        after = self._tcp_counters()
        opened = after["Tcp.ActiveOpens"] - self._before["Tcp.ActiveOpens"]
        return Outcome(
            self._balancer.name, manner, replaced=self._replaced, requests=asked.requests,
            failed=asked.failed, failures={name: value for name, value in asdict(asked).items()
                                           if name != "requests"},
            downloads=len(self._downloads), cut=cut,
            reconnects=opened - len(self._downloads) - Wrk.CONNECTIONS,
            syns_again=after["TcpExt.TCPSynRetrans"] - self._before["TcpExt.TCPSynRetrans"],
            seconds=round(seconds, 1), downloaded_bytes=got_bytes,
            configuration=self._balancer.configuration,
            commands=[" ".join(self._wrk.argv), " ".join(map(str, self._downloads[0].argv)),
                      *self._balancer.commands])

    def _tcp_counters(self):
        """The clients' kernel's."""
        text = self._topology.lb.run("cat", "/proc/net/snmp", "/proc/net/netstat").stdout
        lines = [line.split() for line in text.splitlines()]
        return {f"{names[0].removesuffix(':')}.{name}": int(value)
                for names, values in zip(lines[::2], lines[1::2])
                for name, value in zip(names[1:], values[1:])}
