# SPDX-License-Identifier: Apache-2.0
"""The storm: a load balancer opens connections from many addresses with the same source ports; or
resolvers send their A and AAAA query at once."""

import json
import shlex
import signal
from dataclasses import dataclass, field

from .process import PATIENCE, LabError, run
from .topology import DNS_PORT, GATEWAY_LB, LB_SOURCES, NODE_PORT, POD_PORT

SOURCES = ("--source-base", LB_SOURCES[0], "--sources", len(LB_SOURCES))  # of all connections

# The pod must not answer: a RST or ICMP error for each packet would be another storm.
SILENCE = f"""
    table ip silence {{
        chain incoming {{
            type filter hook prerouting priority raw;
            tcp dport {POD_PORT} drop
            udp dport {{ {POD_PORT}, {DNS_PORT} }} drop
        }}
    }}"""


@dataclass
class Result:
    """The fates of the packets, all of which were sent by a sender that lost none.

    Each opens a connection, but in pairs: there two packets, queries, share a socket.
    """

    contestant: str
    sent: int
    delivered: int  # exactly once
    lost: int
    duplicated: int
    insert_failed: int
    seconds: float  # from the first SYN sent to the last one delivered
    tuple_collisions: int  # delivered with the translated tuple of another connection
    bad_checksums: int
    changed_sources: int = 0  # delivered from another address or port than they left with
    split_pairs: int = 0  # the two queries of a socket came out at different backends
    counters: dict = field(default_factory=dict)  # what the gateway counted meanwhile
    commands: list = field(default_factory=list)  # that measured it, as one would type them

    @property
    def all_delivered_once(self):
        """With a tuple and checksums of its own each, too."""
        return (self.delivered == self.sent and self.duplicated == 0 and
                self.tuple_collisions == 0 and self.bad_checksums == 0)

    def row(self):
        """As `demo --json` writes it."""
        return {name: getattr(self, name) for name in
                ("contestant", "sent", "delivered", "lost", "duplicated", "insert_failed")} | {
                    "seconds": round(self.seconds, 2)}


class Receiver:
    """Counts probes at the pod until finish()."""

    def __init__(self, storm, namespace, *, interface="pod0", port=POD_PORT, expected,
                 protocol="tcp", idle_ms=500, pairs=False, sources=(), limit_s=120):
        """`sources`: the sender's options of these. After `limit_s` it ends whatever happens."""
        self._out = namespace.lab.fresh_path("receiver.json")
        self._process = namespace.start(
            storm, "receive", "--interface", interface, "--port", port, "--expect", expected,
            "--protocol", protocol, "--idle-ms", idle_ms, "--limit-s",
            round(PATIENCE * limit_s), "--json",
            *sources, *(["--pairs"] if pairs else []), name="storm-receive", stdout_path=self._out)
        self._process.wait_ready(lambda: "ready" in self._process.log())

    @property
    def argv(self):
        return self._process.argv

    def finish(self):
        """To be called when the sender has ended. Returns the receiver's JSON object."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(30)
        if status != 0:
            raise LabError(f"the receiver of the storm failed ({status}): "
                           f"{self._process.log_tail()}")
        with open(self._out, encoding="utf-8") as handle:
            return json.load(handle)


def run_storm(storm, topology, contestant, *, protocol="tcp", connections=40000, rate_cps=10000,
              burst=64, free_running=False, pairs=False):
    """Sends the storm through a started gateway. `storm` is the path of the program.

    With `pairs`, resolvers send `connections` queries, two from each socket, to the gateway's
    resolver (UDP); else a load balancer opens connections to its NodePort.
    """
    # The receiver outlasts the sender: what it did not wait for would count as lost.
    limit_s = 30 + 5 * connections / rate_cps
    topology.pod.nft(SILENCE)
    asked, arriving = (DNS_PORT, DNS_PORT) if pairs else (NODE_PORT, POD_PORT)
    options = ["--free-running"] * free_running + ["--pairs"] * pairs
    send = topology.lb.command(
        storm, "send", "--interface", "lb0", "--destination", f"{GATEWAY_LB}:{asked}",
        *SOURCES, "--protocol", protocol, "--connections", connections, "--rate", rate_cps,
        "--burst", burst, "--json", *options)
    try:
        before = contestant.counters()
        receiver = Receiver(storm, topology.pod, port=arriving, expected=connections,
                            protocol=protocol, pairs=pairs, sources=SOURCES,
                            limit_s=limit_s + 30)
        sent = json.loads(run(send, timeout_s=limit_s).stdout)
        seen = receiver.finish()
        after = contestant.counters()
    finally:
        topology.pod.nft("delete table ip silence")
    counters = {name: value - before.get(name, 0) for name, value in after.items()}
    return Result(
        contestant=contestant.name, sent=sent["sent"], delivered=seen["delivered"],
        lost=seen["lost"], duplicated=seen["duplicated"],
        insert_failed=counters.get("insert_failed", 0),
        seconds=max(0, seen["last_ns"] - sent["started_ns"]) / 1e9,
        tuple_collisions=seen["tuple_collisions"], bad_checksums=seen["bad_checksums"],
        changed_sources=seen["changed_sources"], split_pairs=seen["split_pairs"], counters=counters,
        commands=[shlex.join(receiver.argv), shlex.join(send)])
