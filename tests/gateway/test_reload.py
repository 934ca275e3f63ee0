#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The configuration changes while traffic flows: noclashctl reload, SIGHUP, noclashctl config diff."""

import os
import signal

from gateway_case import HOSTS, GatewayCase, main, node, rule
from lab.process import PYTHON, run
from lab.topology import GATEWAY_LB, LB, POD

OUTBOUND = rule("outbound", "masquerade", in_="lb")
POOL_ADDRESS = "10.2.0.77"
# In the subnet of the pod, so that the gateway has to answer ARP for it.
POOL = f"""
[[pool]]
name = "outside"
addresses = ["{POOL_ADDRESS}"]

"""


def service(name="service", port=7000, to_port=8000, protocol="udp", **keys):
    return rule(name, "dnat", in_="lb", protocol=protocol, to=f"{GATEWAY_LB}/32", to_port=port,
                target=f"{POD}:{to_port}", source="masquerade", **keys)


class ReloadCase(GatewayCase):
    """What the tests say of reloads."""

    settings = {"rules": OUTBOUND}

    def reload(self, *options, **settings):
        """Changes the file and has the daemon take it over; returns the outcome."""
        self.gateway.change_configuration(**settings)
        rows = self.gateway.json("reload", *options)
        outcome = rows[-1]["outcome"]
        self.assertTrue(outcome["applied"], rows)
        return outcome

    def refused(self, *words):
        """Asks for a reload that has to fail; returns what people read of it."""
        result = run(self.gateway.control_command("reload", *words), check=False)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("nothing was changed", result.stderr)
        return result.stdout + result.stderr

    def rule_names(self):
        return [row["name"] for row in self.gateway.json("rules")]

    def stream(self, destination, count):
        """Datagrams from one socket, each sent when the last has come back, in the background."""
        return self.lb.start(*PYTHON, HOSTS, "echo", destination, count, name="stream")

    def assert_all_returned(self, stream, count):
        self.assertEqual(stream.wait(timeout_s=40), 0, stream.log())
        self.assertEqual(int(stream.log()), count)


class Rules(ReloadCase):
    """Rules come, go, and change their places."""

    def test_one_is_added_while_traffic_flows(self):
        self.serve(8000)
        count = 20000
        stream = self.stream(f"{POD}:8000", count)
        self.wait_until(lambda: self.gateway.flow_count() > 0, "the stream has a flow")
        self.assertIsNone(self.ask("udp", node(7000)))
        outcome = self.reload(rules=service() + OUTBOUND)
        self.assertIsNone(stream.returncode, "the stream ended before the reload")
        self.assertGreaterEqual(outcome["flows"]["unchanged"], 1)
        self.assertEqual(outcome["flows"]["ended"], 0)
        self.assertIsNotNone(self.ask("udp", node(7000)))
        self.assertEqual(self.rule_names(), ["service", "outbound"])
        self.assert_all_returned(stream, count)

    def test_the_first_that_matches_decides(self):
        self.serve(8000)
        drop = rule("closed", "drop", in_="lb", protocol="udp")
        self.reload(rules=OUTBOUND + drop)
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000", f"{LB}:5001"))
        rows = self.gateway.json("config", "diff", self.gateway.config_path)
        self.assertEqual([row for row in rows if "change" in row], [])
        self.gateway.change_configuration(rules=drop + OUTBOUND)
        rows = self.gateway.json("config", "diff", self.gateway.config_path)
        kinds = [row["change"]["kind"] for row in rows if "change" in row]
        self.assertEqual(kinds, ["moved"])
        self.reload()
        self.assertIsNone(self.ask("udp", f"{POD}:8000", f"{LB}:5002"))

    def test_hits_are_kept(self):
        self.serve(8000)
        self.assertIsNotNone(self.ask("tcp", f"{POD}:8000"))
        before = self.gateway.rule_hits()["outbound"]
        self.reload(rules=service() + OUTBOUND)
        self.assertGreaterEqual(self.gateway.rule_hits()["outbound"], before)


class Refused(ReloadCase):
    """All of a file or nothing."""

    def test_a_faulty_file_changes_nothing_and_is_named(self):
        self.gateway.change_configuration(rules=service(to_port=0) + rule("x", "walk"))
        said = self.refused()
        self.assertEqual(said.count(f"{self.gateway.config_path}:"), 2, said)
        self.assertIn('"walk" is not known', said)
        self.assertEqual(self.rule_names(), ["outbound"])
        diff = run(self.gateway.control_command("config", "diff", self.gateway.config_path),
                   check=False)
        self.assertEqual(diff.returncode, 1, diff.stdout)
        self.assertIn('"walk" is not known', diff.stderr)

    def test_what_needs_a_restart_is_named(self):
        for settings, name in (({"workers": 1}, "workers"), ({"flows": 65536}, "flows"),
                               ({"descriptors": 512}, 'port "lb"'),
                               ({"top": 'tcp_timestamps = "strip"'}, "tcp_timestamps"),
                               ({"extra": "[fragments]\ncapacity = 64\n"}, "[fragments] capacity")):
            with self.subTest(name=name):
                before = dict(self.settings)
                self.gateway.change_configuration(rules=service() + OUTBOUND, **settings)
                said = self.refused()
                self.assertIn(name, said)
                rows = self.gateway.json("config", "diff", self.gateway.config_path)
                self.assertFalse(rows[-1]["outcome"]["applied"])
                self.assertTrue(any(needed.startswith(name)
                                    for needed in rows[-1]["outcome"]["needs_restart"]), rows)
                self.assertEqual(self.rule_names(), ["outbound"])
                self.gateway.change_configuration(**{"workers": 2, "flows": 131072, "top": "",
                                                     "descriptors": 1024, "extra": "", **before})

    def test_a_file_that_is_gone(self):
        os.unlink(self.gateway.config_path)
        self.assertIn("cannot be read", self.refused())
        self.assertEqual(self.rule_names(), ["outbound"])


class Signal(ReloadCase):
    """SIGHUP, as init systems send it."""

    def hang_up(self):
        self.gateway.process.send_signal(signal.SIGHUP)

    def test_takes_the_file_over(self):
        self.gateway.change_configuration(rules=service() + OUTBOUND)
        self.hang_up()
        self.wait_until(lambda: self.rule_names() == ["service", "outbound"], "the rule is there")

    def test_of_a_faulty_file_tells_the_log(self):
        self.gateway.change_configuration(rules=rule("x", "walk"))
        self.hang_up()
        self.wait_until(lambda: '"walk" is not known' in self.gateway.process.log(),
                        "the fault is logged")
        self.assertEqual(self.rule_names(), ["outbound"])

    def test_many_of_them(self):
        for number in range(100):
            rules = service() + OUTBOUND if number % 2 == 0 else OUTBOUND
            self.gateway.change_configuration(rules=rules)
            self.hang_up()
        self.wait_until(lambda: self.rule_names() == ["outbound"], "the last file counts")
        self.serve(8000)
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000"))


class Flows(ReloadCase):
    """What becomes of them."""

    def one_flow(self, destination=node(7000)):
        """A UDP flow that a client keeps open: the same ports each time."""
        return self.ask("udp", destination, f"{LB}:5001")

    def flows_of(self, name):
        return [row for row in self.gateway.json("flows", "list") if row["rule"] == name]

    def test_they_live_on_when_their_rule_goes(self):
        self.serve(8000)
        self.reload(rules=service() + OUTBOUND)
        seen = self.one_flow()
        self.assertIsNotNone(seen)
        outcome = self.reload(rules=OUTBOUND)
        self.assertEqual(outcome["flows"]["live_on"], 1, outcome)
        self.assertEqual(self.one_flow(), seen)
        self.assertIsNone(self.ask("udp", node(7000), f"{LB}:5002"), "a new one finds no rule")

    def test_they_end_where_the_rule_says_so(self):
        """The target of a UDP service goes: its clients must not hang on what is not there."""
        self.serve(8000)
        self.reload(rules=service(on_change="end") + OUTBOUND)
        self.assertIsNotNone(self.one_flow())
        outcome = self.reload(rules=OUTBOUND)
        self.assertEqual(outcome["flows"]["ended"], 1, outcome)
        self.assertEqual(self.flows_of("service"), [])
        self.assertIsNone(self.one_flow())

    def test_a_udp_target_that_is_removed_ends_at_once(self):
        self.serve(8000, 8001)
        both = rule("service", "dnat", in_="lb", protocol="udp", to=f"{GATEWAY_LB}/32",
                    to_port=7000, target=[f"{POD}:8000", f"{POD}:8001"], source="masquerade",
                    on_change="end")
        self.reload(rules=both + OUTBOUND)
        for port in range(5001, 5021):
            self.assertIsNotNone(self.ask("udp", node(7000), f"{LB}:{port}"))
        self.reload(rules=service(to_port=8001, on_change="end") + OUTBOUND)
        left = {row["reply"]["source_port"] for row in self.flows_of("service")}
        self.assertLessEqual(left, {8001})
        for port in range(5001, 5021):
            asked_on = self.ask("udp", node(7000), f"{LB}:{port}")[1]
            self.assertEqual(asked_on[1], 8001)

    def test_end_stale_ends_what_is_forbidden_now(self):
        self.serve(8000)
        self.reload(rules=service() + OUTBOUND)
        self.assertIsNotNone(self.one_flow())
        closed = rule("service", "drop", in_="lb", protocol="udp", to_port=7000)
        self.gateway.change_configuration(rules=closed + OUTBOUND)
        rows = self.gateway.json("config", "diff", self.gateway.config_path, "--end-stale")
        self.assertEqual(rows[-1]["outcome"]["flows"]["ended"], 1, rows)
        self.assertEqual(len(self.flows_of("service")), 1, "diff ends nothing")
        outcome = self.reload("--end-stale")
        self.assertEqual(outcome["flows"]["ended"], 1, outcome)
        self.assertIsNone(self.one_flow())


class Pools(ReloadCase):
    """An address of a pool is taken away."""

    settings = {"extra": POOL, "rules": rule("outbound", "snat", in_="lb", pool="outside")}

    def test_its_flows_live_and_arp_is_answered(self):
        self.serve(8000)
        seen = self.ask("udp", f"{POD}:8000", f"{LB}:5001")
        self.assertEqual(seen[0][0], POOL_ADDRESS)
        self.reload(extra=POOL.replace(POOL_ADDRESS, "10.2.0.78"))
        # The pod has forgotten whose address it was, and has to ask.
        self.pod.run("ip", "neighbour", "flush", "all")
        self.assertEqual(self.ask("udp", f"{POD}:8000", f"{LB}:5001"), seen)
        fresh = self.ask("udp", f"{POD}:8000", f"{LB}:5002")
        self.assertEqual(fresh[0][0], "10.2.0.78")
        # When nobody has it any more, nobody answers for it.
        self.gateway.json("flows", "flush")
        self.pod.run("ip", "neighbour", "flush", "all")
        self.wait_until(lambda: "1 received" not in self.ping(POOL_ADDRESS, namespace=self.pod),
                        "the old address is given up")


if __name__ == "__main__":
    main()
