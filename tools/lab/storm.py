# SPDX-License-Identifier: Apache-2.0
"""The storm: a load balancer opens connections from many addresses with the same source ports."""

import json
import signal
from dataclasses import dataclass

from .process import LabError
from .topology import GATEWAY_LB, LB_SOURCES, NODE_PORT, POD_PORT

# The pod must not answer: a RST for each SYN would be another storm.
SILENCE = f"""
    table ip silence {{
        chain incoming {{
            type filter hook prerouting priority raw;
            tcp dport {POD_PORT} drop
        }}
    }}"""


@dataclass
class Result:
    """What became of the connections, all of which were opened by a sender that lost none."""

    contestant: str
    sent: int
    delivered: int  # exactly once
    lost: int
    duplicated: int
    insert_failed: int
    seconds: float  # from the first SYN sent to the last one delivered
    tuple_collisions: int  # delivered with the translated tuple of another connection
    bad_checksums: int

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
                 protocol="tcp", idle_ms=500):
        self._out = namespace.lab.fresh_path("receiver.json")
        self._process = namespace.start(
            storm, "receive", "--interface", interface, "--port", port, "--expect", expected,
            "--protocol", protocol, "--idle-ms", idle_ms, "--json", name="storm-receive",
            stdout_path=self._out)
        self._process.wait_ready(lambda: "ready" in self._process.log())

    def finish(self):
        """To be called when the sender has ended. Returns the receiver's JSON object."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(30)
        if status != 0:
            raise LabError(f"the receiver of the storm failed ({status}): "
                           f"{self._process.log_tail()}")
        with open(self._out, encoding="utf-8") as handle:
            return json.load(handle)


def run_storm(storm, topology, contestant, *, connections=40000, rate_cps=10000,
              burst=64, free_running=False):
    """Sends the storm through a started gateway. `storm` is the path of the program."""
    topology.pod.nft(SILENCE)
    try:
        before = contestant.insert_failed()
        receiver = Receiver(storm, topology.pod, expected=connections)
        options = ["--free-running"] if free_running else []
        sender = topology.lb.run(
            storm, "send", "--interface", "lb0", "--destination", f"{GATEWAY_LB}:{NODE_PORT}",
            "--source-base", LB_SOURCES[0], "--sources", len(LB_SOURCES),
            "--connections", connections, "--rate", rate_cps, "--burst", burst, "--json", *options,
            timeout_s=30 + 5 * connections / rate_cps)
        sent = json.loads(sender.stdout)
        seen = receiver.finish()
    finally:
        topology.pod.nft("delete table ip silence")
    return Result(
        contestant=contestant.name, sent=sent["sent"], delivered=seen["delivered"],
        lost=seen["lost"], duplicated=seen["duplicated"],
        insert_failed=contestant.insert_failed() - before,
        seconds=max(0, seen["last_ns"] - sent["started_ns"]) / 1e9,
        tuple_collisions=seen["tuple_collisions"], bad_checksums=seen["bad_checksums"])
