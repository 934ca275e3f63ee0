#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A million flows at once: counted, dumped during traffic, at most 192 bytes each."""

import json
import subprocess

from gateway_case import GatewayCase, build, main, rule
from lab.noclash import Noclash
from lab.storm import Receiver
from lab.topology import GATEWAY_LB, LB_SOURCES

CAPACITY = 1 << 20
FLOWS = 1_000_000
MORE = 40_000
BYTES_PER_FLOW = 192
SETTINGS = {"rules": rule("outbound", "masquerade", in_="lb"),
            "extra": '[[route]]\nto = "198.18.0.0/16"\nvia = "10.2.0.2"\n'}


class MillionFlows(GatewayCase):
    """Fills the table, then looks at it while more connections arrive."""

    timeout_s = 400
    settings = SETTINGS | {"flows": CAPACITY}

    def fill(self, count, rate_cps, port, protocol):
        """Opens flows; returns the sender, still running."""
        return self.lb.start(
            build().storm, "fill", "--interface", "lb0", "--gateway", GATEWAY_LB,
            "--destination", f"198.18.0.1:{port}", "--destinations", 64,
            "--source-base", LB_SOURCES[0], "--sources", len(LB_SOURCES),
            "--connections", count, "--rate", rate_cps, "--protocol", protocol, name="fill")

    def receiver(self, count, port, protocol):
        return Receiver(build().storm, self.pod, port=port, expected=count, protocol=protocol)

    def assert_all_arrived(self, seen, count):
        self.assertEqual((seen["delivered"], seen["lost"], seen["duplicated"]), (count, 0, 0),
                         self.gateway.drops())
        self.assertEqual((seen["tuple_collisions"], seen["bad_checksums"]), (0, 0))

    def rss_of_the_smallest_table(self):
        """The daemon's memory besides flows: measured on one with a thousandth of them."""
        here = self.gateway
        self.assertEqual(here.stop(), 0)
        self.gateway = Noclash(build(), **(SETTINGS | {"flows": 1024}))
        self.gateway.start(self.topology)
        rss = self.rss_bytes()
        self.assertEqual(self.gateway.stop(), 0)
        self.gateway = here
        self.gateway = Noclash(build(), **self.settings)
        self.gateway.start(self.topology)
        return rss

    def dump(self):
        """`flows list --json` to a file, checked row by row: a million rows at once would take
        gigabytes here. Returns the number of rows."""
        path = self.lab.path("flows.json")
        with open(path, "wb") as out:
            subprocess.run(self.gateway.control_command("--json", "flows", "list"), stdout=out,
                           check=True, timeout=120)
        rows = 0
        with open(path, encoding="utf-8") as handle:
            decoder = json.JSONDecoder()
            for line in handle:
                text = line.strip().lstrip("[,").rstrip("],").strip()
                if text:
                    decoder.decode(text)
                    rows += 1
        return rows

    def test_a_million_flows(self):
        base_rss = self.rss_of_the_smallest_table()

        receiver = self.receiver(FLOWS, 4000, "udp")
        sender = self.fill(FLOWS, 40_000, 4000, "udp")
        self.assertEqual(sender.wait(120), 0, sender.log_tail())
        self.assert_all_arrived(receiver.finish(), FLOWS)
        self.assertGreaterEqual(self.gateway.flow_count(), FLOWS)

        per_flow = (self.rss_bytes() - base_rss) / FLOWS
        print(f"memory of a flow: {per_flow:.1f} bytes")
        self.assertLessEqual(per_flow, BYTES_PER_FLOW)

        # Now look at all of them while others are opened.
        receiver = self.receiver(MORE, 4001, "tcp")
        sender = self.fill(MORE, 4_000, 4001, "tcp")
        dumped = counted = 0
        while sender.returncode is None:
            counted = self.gateway.flow_count()
            dumped = self.dump()
        self.assertEqual(sender.returncode, 0, sender.log_tail())
        self.assert_all_arrived(receiver.finish(), MORE)
        self.assertGreaterEqual(counted, FLOWS)
        self.assertGreaterEqual(dumped, FLOWS)
        self.assertGreaterEqual(self.gateway.flow_count(), FLOWS + MORE)


if __name__ == "__main__":
    main()
