#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Flows and tables of a running daemon, as noclashctl prints them."""

from control_client import ask_raw
from gateway_case import GatewayCase, build, main
from lab.process import run
from lab.storm import run_storm
from lab.topology import GATEWAY_LB, GATEWAY_POD, LB, POD

FLOW_KEYS = {"protocol", "state", "timeout_s", "zone", "original", "reply", "assured", "replied",
             "rule", "worker"}
TUPLE_KEYS = {"source", "destination", "source_port", "destination_port", "packets", "bytes"}
NETFILTER_NAMES = {"found", "invalid", "insert", "insert_failed", "drop", "early_drop", "error",
                   "search_restart", "clash_resolve", "chaintoolong"}


class Flows(GatewayCase):
    """list, count, show, flush, and their filters."""

    def setUp(self):
        super().setUp()
        self.gateway.json("flows", "flush")
        self.serve(8000, 8001)
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000", f"{LB}:5001"))
        self.assertIsNotNone(self.ask("udp", f"{POD}:8001", f"{LB}:5002"))
        self.assertIsNotNone(self.ask("tcp", f"{POD}:8000", f"{LB}:5003"))

    def test_list_for_programs(self):
        rows = self.gateway.json("flows", "list")
        self.assertEqual(len(rows), 3)
        for row in rows:
            self.assertLessEqual(FLOW_KEYS, set(row))
            self.assertLessEqual(TUPLE_KEYS, set(row["original"]))
            self.assertLessEqual(TUPLE_KEYS, set(row["reply"]))
            self.assertEqual(row["original"]["source"], LB)
            self.assertEqual(row["reply"]["destination"], GATEWAY_POD)
            self.assertGreater(row["original"]["packets"], 0)
            self.assertTrue(row["replied"])

    def test_list_for_people(self):
        lines = self.gateway.text("flows", "list").splitlines()
        self.assertEqual(len(lines), 3)
        tcp = next(line for line in lines if line.startswith("tcp "))
        for words in (f"src={LB} dst={POD} sport=5003 dport=8000", f"dst={GATEWAY_POD}",
                      "[ASSURED]", "rule=outbound"):
            self.assertIn(words, tcp)

    def test_filters(self):
        cases = [(("--protocol", "udp"), 2), (("--protocol", "tcp"), 1),
                 (("--protocol", "icmp"), 0), (("--source", LB), 3), (("--source", POD), 0),
                 (("--destination", POD), 3), (("--address", GATEWAY_POD), 3),
                 (("--address", "192.0.2.1"), 0), (("--source-port", 5001), 1),
                 (("--destination-port", 8000), 2), (("--port", 8001), 1),
                 (("--protocol", "udp", "--port", 8000), 1), (("--protocol", "UDP"), 2),
                 (("--protocol", "6"), 1), (("--port", 0), 0), (("--port", 65535), 0)]
        for filters, expected in cases:
            with self.subTest(filters=filters):
                self.assertEqual(len(self.gateway.json("flows", "list", *filters)), expected)
                count = self.gateway.json("flows", "count", *filters)[0]["count"]
                self.assertEqual(count, expected)

    def test_filter_by_state(self):
        state = self.gateway.json("flows", "list", "--protocol", "tcp")[0]["state"]
        self.assertEqual(len(self.gateway.json("flows", "list", "--state", state)), 1)
        self.assertEqual(len(self.gateway.json("flows", "list", "--state", state.lower())), 1)
        self.assertEqual(len(self.gateway.json("flows", "list", "--state", "SYN_SENT")), 0)

    def test_count_for_people(self):
        self.assertEqual(self.gateway.text("flows", "count").strip(), "3")

    def test_show(self):
        wanted = ("--protocol", "tcp", "--source", LB, "--source-port", 5003,
                  "--destination", POD, "--destination-port", 8000)
        text = self.gateway.text("flows", "show", *wanted)
        self.assertRegex(text, rf"original\.source +{LB}")
        self.assertEqual(len(self.gateway.json("flows", "show", *wanted)), 1)

    def test_show_of_nothing(self):
        wanted = ("flows", "show", "--protocol", "tcp", "--source", LB, "--source-port", 5003,
                  "--destination", POD, "--destination-port", 8009)
        for form, printed in (((), ""), (("--json",), "[]\n")):
            result = run(self.gateway.control_command(*form, *wanted), check=False)
            self.assertEqual((result.returncode, result.stdout), (4, printed))
            self.assertIn("no such flow", result.stderr)

    def test_list_of_nothing(self):
        nothing = ("--address", "192.0.2.1")
        self.assertEqual(self.gateway.text("flows", "list", *nothing), "")
        self.assertEqual(self.gateway.text("flows", "count", *nothing), "0\n")
        self.assertEqual(self.gateway.text("flows", "flush", *nothing), "0 flows removed\n")

    def test_flushed_flows_are_counted_as_removed(self):
        def removed():
            return sum(row["datapath"]["flows_removed"] for row in self.gateway.json("stats"))
        before = removed()
        self.gateway.json("flows", "flush", "--protocol", "udp")
        self.assertEqual(removed() - before, 2)
        self.gateway.json("flows", "flush")
        self.assertEqual(removed() - before, 3)

    def test_a_misspelt_filter_flushes_nothing(self):
        answer = ask_raw(self.gateway, {"command": "flows flush", "filters": {"protocol": "udp"}})
        self.assertEqual(answer, [{"error": "filters: no such key"}])
        self.assertEqual(self.gateway.flow_count(), 3)

    def test_flush_some_then_all(self):
        self.assertIn("2", self.gateway.text("flows", "flush", "--protocol", "udp"))
        self.assertEqual(self.gateway.flow_count(), 1)
        self.assertEqual(self.gateway.json("flows", "flush")[0]["flushed"], 1)
        self.assertEqual(self.gateway.json("flows", "list"), [])
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000", f"{LB}:5001"))


class Tables(GatewayCase):
    """stats, ports, neighbors, rules, memory, version."""

    def test_stats(self):
        run_storm(build().storm, self.topology, self.gateway, connections=2000)
        rows = self.gateway.json("stats")
        self.assertEqual(sorted(row["worker"] for row in rows), [0, 1])
        for row in rows:
            self.assertLessEqual(NETFILTER_NAMES, set(row["netfilter"]))
        self.assertGreaterEqual(self.gateway.counters()["insert"], 2000)
        text = self.gateway.text("stats")
        self.assertRegex(text, r"worker=0\s+found=\d+ invalid=\d+ insert=\d+ insert_failed=0 ")
        self.assertNotIn("cpu=", text)

    def test_ports(self):
        rows = {row["name"]: row for row in self.gateway.json("ports")}
        self.assertEqual(set(rows), {"lb", "pod"})
        self.assertTrue(rows["lb"]["address"].startswith(GATEWAY_LB))
        self.assertEqual(rows["lb"]["link"], "up")
        self.assertEqual(rows["lb"]["queues"], 2)
        self.assertGreater(rows["lb"]["rx_packets"], 0)
        self.assertIn("af_packet", rows["lb"]["driver"])
        self.assertIn("pod", self.gateway.text("ports"))

    def test_rules_and_neighbors_and_version(self):
        self.assert_pings(POD)
        names = [row["name"] for row in self.gateway.json("rules")]
        self.assertEqual(names, ["nodeport", "dns-udp", "dns-tcp", "outbound"])
        for command in ("rules", "neighbors", "memory", "version"):
            self.assertTrue(self.gateway.text(command).strip())
            self.assertTrue(self.gateway.json(command))


if __name__ == "__main__":
    main()
