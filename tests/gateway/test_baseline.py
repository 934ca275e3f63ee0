#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The machine's own netfilter under the loads that the other tests put on the gateway.

What it shows depends on the kernel and the number of CPUs; that the instrument sees exactly what
netfilter itself counts does not."""

import sys

from gateway_case import GatewayCase, build, main
from lab.netfilter import Netfilter
from lab.storm import run_storm


class Netfilters(GatewayCase):
    """The load of test_storm."""

    starts_gateway = False

    def test_connections_in_step(self):
        """[field a]: what is lost are the connections whose tuples clashed."""
        contestant = Netfilter("masquerade")
        contestant.start(self.topology)
        result = run_storm(build().storm, self.topology, contestant)
        self.assertEqual((result.delivered + result.lost, result.duplicated), (result.sent, 0))
        self.assertEqual(result.lost, result.insert_failed)
        print(f"\nnetfilter lost {result.lost} of {result.sent} connections to clashes",
              file=sys.stderr)


if __name__ == "__main__":
    main()
