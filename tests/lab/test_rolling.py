#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is made of a rolling update's outcomes, and how wrk is read."""

import unittest

import races  # pylint: disable=unused-import  # for the path of the next ones

from lab.bench_services import report_of
from lab.netfilter import NetfilterService
from lab.process import LabError
from lab.rolling_update import AT_ONCE, DRAINED, STOPPED, Outcome
from lab.web_clients import read_wrk

FINE = "Running 24h test @ http://192.0.2.7:80/page\n  14986 requests in 4.16s, 12.31MB read\n"
FAULTY = FINE + """  Socket errors: connect 1, read 20, write 300, timeout 4000
  Non-2xx or 3xx responses: 50000
Requests/sec:   3602.64
"""


def outcome(contestant="noclash", manner=DRAINED, **keys):
    return Outcome(contestant, manner, **{"requests": 5000, "replaced": 3, "downloads": 6, **keys})


class Wrk(unittest.TestCase):
    """Its report."""

    def test_of_nothing_it_does_not_mention(self):
        self.assertEqual((read_wrk(FINE).requests, read_wrk(FINE).failed), (14986, 0))

    def test_all_failures_are_counted(self):
        asked = read_wrk(FAULTY)
        self.assertEqual((asked.connect, asked.read, asked.write, asked.timeout, asked.status),
                         (1, 20, 300, 4000, 50000))
        self.assertEqual(asked.failed, 54321)

    def test_no_report(self):
        with self.assertRaisesRegex(LabError, "unable to connect"):
            read_wrk("unable to connect to 192.0.2.7:80 Connection refused\n")


class Reports(unittest.TestCase):
    """Targets, and what is wrong."""

    def faults(self, *outcomes):
        return report_of(outcomes).wrong

    def test_all_is_well(self):
        report = report_of([outcome(), outcome("netfilter-numgen"),
                            outcome(manner=STOPPED, failed=3)])
        self.assertEqual(report.wrong, [])
        self.assertTrue(all(row.ok for row in report.rows))
        self.assertEqual(len(report.details), 3)

    def test_noclash_must_not_fail(self):
        for keys in ({"failed": 1}, {"cut": ["other bytes than were served"]}):
            report = report_of([outcome(**keys)])
            self.assertEqual(len(report.wrong), 1)
            self.assertFalse(all(row.ok for row in report.rows))

    def test_others_and_other_manners_may(self):
        self.assertEqual(self.faults(outcome("netfilter-jhash", failed=7, cut=["x"]),
                                     outcome(manner=AT_ONCE, failed=1)), [])

    def test_everyone_must_have_worked(self):
        self.assertEqual(len(self.faults(outcome("netfilter-jhash", requests=99))), 1)
        self.assertEqual(len(self.faults(outcome("netfilter-jhash", failure="no server"))), 1)

    def test_stopped_servers_must_be_noticed(self):
        self.assertEqual(len(self.faults(outcome(manner=STOPPED))), 1)

    def test_what_a_kernel_lacks_is_told_and_no_fault(self):
        report = report_of([outcome("ipvs", not_run="not in this kernel")])
        self.assertEqual((report.wrong, report.rows), ([], []))
        self.assertEqual(report.remarks, ["ipvs: not in this kernel"])


class Kernel(unittest.TestCase):
    """The ruleset of a service."""

    def test_one_rule_for_each_protocol(self):
        kernel = NetfilterService("jhash", "192.0.2.7", 80, ["10.2.0.2", "10.2.0.3"],
                                  protocols=("tcp", "udp"), target_port=8080)
        for protocol in ("tcp", "udp"):
            self.assertIn(f"ip daddr 192.0.2.7 {protocol} dport 80 dnat to jhash ip saddr . "
                          f"{protocol} sport mod 2 map {{ 0 : 10.2.0.2, 1 : 10.2.0.3 }}:8080",
                          kernel.configuration)
        self.assertNotIn("masquerade", kernel.configuration)


if __name__ == "__main__":
    unittest.main(verbosity=2)
