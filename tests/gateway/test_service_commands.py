#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Services change while traffic flows: noclashctl services, noclashctl service."""

import json
import pathlib

from gateway_case import GatewayCase, main, rule
from lab.process import run
from lab.topology import BACKENDS, GATEWAY_LB, POD

# In the subnet of the clients, so that the gateway has to answer ARP for it.
VIP = "10.1.0.77"
OTHER = BACKENDS[1]
OF_FILE = f"""
[[service]]
name = "fixed"
address = "{GATEWAY_LB}"
ports = 7000
protocol = "udp"
backends = ["{POD}:8000", "{OTHER}:8000"]

"""


class CommandCase(GatewayCase):
    """What the tests say of services."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb"), "extra": OF_FILE}

    def setUp(self):
        super().setUp()
        self.serve(8000, 8001)

    def service(self, *words, **options):
        """Runs `noclashctl service`; returns the outcome."""
        outcome, = self.gateway.json("service", *words, **options)
        return outcome

    def refused(self, *words):
        """Runs a command that has to change nothing; returns why."""
        before = self.gateway.json("services")
        result = run(self.gateway.control_command("service", *words), check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""), result.stderr)
        self.assertIn("nothing was changed: ", result.stderr)
        self.assertEqual(self.gateway.json("services"), before)
        return result.stderr

    def make(self, name="web", *, backends=f"{POD}:8000", port=80):
        return self.service("set", name, "--address", VIP, "--ports", port, "--protocol", "udp",
                            "--source", "masquerade", "--backend", backends)

    def shown(self, name="web"):
        """The row of a service, or nothing."""
        return next((row for row in self.gateway.json("services") if row["name"] == name), None)

    def states(self, name="web"):
        return {backend["backend"]: backend["state"] for backend in self.shown(name)["backends"]}

    def answering(self, destination=f"{VIP}:80"):
        """The port that the server was asked on; nothing when no answer came."""
        answer = self.ask("udp", destination)
        return answer and answer[1][1]

    def file(self, content):
        path = self.lab.path("changes.json")
        pathlib.Path(path).write_text(json.dumps(content), encoding="utf-8")
        return path


class Commands(CommandCase):
    """One change each."""

    def test_a_service_comes_and_goes(self):
        self.assertEqual(self.make()["changed"], 1)
        self.assertEqual(self.answering(), 8000)
        self.assertEqual(self.make()["unchanged"], 1)
        row = self.shown()
        self.assertEqual((row["origin"], row["condition"], row["source"]),
                         ("control", "ok", "masquerade"))
        self.assertEqual(row["backends"][0]["openings"], 1)
        self.assertEqual(self.make(backends=f"{POD}:8001")["flows_ended"], 1)
        self.assertEqual(self.answering(), 8001)
        self.assertEqual(self.service("remove", "web")["flows_ended"], 1)
        self.assertIsNone(self.answering())
        self.assertEqual(self.service("remove", "web")["unchanged"], 1)

    def test_backends_come_and_go(self):
        self.make()
        self.service("set-backend", "web", f"{POD}:8001", "--weight", 3)
        weights = {row["backend"]: row["weight"] for row in self.shown()["backends"]}
        self.assertEqual(weights, {f"{POD}:8000": 1, f"{POD}:8001": 3})
        self.service("drain", "web", f"{POD}:8001")
        self.assertEqual(self.states(), {f"{POD}:8000": "active", f"{POD}:8001": "draining"})
        self.assertEqual({self.answering() for _ in range(8)}, {8000})
        self.service("undrain", "web", f"{POD}:8001")
        self.service("remove-backend", "web", f"{POD}:8000")
        self.assertEqual({self.answering() for _ in range(8)}, {8001})
        self.assertIn(f'service "web" has no backend {POD}:8000',
                      self.refused("drain", "web", f"{POD}:8000"))
        self.assertIn('no service is called "wbe"', self.refused("drain", "wbe", POD))

    def test_what_people_read(self):
        self.make()
        self.assertRegex(self.gateway.text("service", "drain", "fixed", f"{OTHER}:8000"),
                         r"^1 change in \d+ ms, 0 so already; 0 flows ended\.\n$")
        self.assertEqual(self.gateway.text("service", "remove", "nobody"),
                         "No change: services are so already.\n")
        text = self.gateway.text("services")
        self.assertRegex(text, rf"\nweb +udp {VIP} port 80 +masquerade +none +ok +control\n"
                               rf"    {POD}:8000 +active +unknown +1 +100\.0 % +0 +0 +0 +0 +0 +- +-\n")
        self.assertRegex(text, rf"\n    {OTHER}:8000 +draining +unknown +1 +0\.0 % ")
        self.assertNotIn("fixed", self.gateway.text("services", "--service", "web"))
        absent = run(self.gateway.control_command("services", "--service", "wbe"), check=False)
        self.assertEqual((absent.returncode, absent.stdout, absent.stderr),
                         (4, "", "noclashctl: no such service\n"))


class Batches(CommandCase):
    """Many changes at once."""

    def test_all_or_nothing(self):
        web = {"name": "web", "address": VIP, "ports": [80], "protocol": "udp",
               "source": "masquerade", "backends": [f"{POD}:8000"]}
        drain = {"op": "drain", "name": "web", "backend": f"{POD}:8000"}
        self.assertIn('changes[1]: service address: "x" is no address',
                      self.refused("apply", self.file([web, {**web, "name": "b", "address": "x"}])))
        self.assertIn("changes[1]: service: ",
                      self.refused("apply", self.file([web, {**web, "name": "same"}])))
        outcome = self.service("apply", self.file([web, drain]))
        self.assertEqual((outcome["changed"], outcome["unchanged"]), (2, 0))
        self.assertEqual(self.states(), {f"{POD}:8000": "draining"})
        self.assertEqual(self.service("apply", self.file([web, drain]))["unchanged"], 2)

    def test_standard_input(self):
        services = json.dumps([{"name": f"s{number}", "address": VIP, "ports": [number],
                                "protocol": "udp", "source": "masquerade",
                                "backends": [{"address": f"{POD}:8000", "weight": 2}]}
                               for number in range(1000, 1500)])
        self.assertEqual(self.service("apply", "-", text_in=services)["changed"], 500)
        self.assertEqual(self.answering(f"{VIP}:1499"), 8000)
        self.assertEqual(len(self.gateway.json("services")), 501)


class Lifetime(CommandCase):
    """What commands have made lives on."""

    def gateway_settings(self):
        return self.settings | {"name": "edge1", "state": self.lab.memory_path("edge1.state")}

    def test_services_of_the_file_are_changed_there(self):
        for words in (("remove", "fixed"), ("set-backend", "fixed", POD),
                      ("remove-backend", "fixed", f"{POD}:8000")):
            self.assertIn("stands in the configuration file", self.refused(*words))
        self.service("drain", "fixed", f"{OTHER}:8000")
        self.assertEqual(self.states("fixed"),
                         {f"{POD}:8000": "active", f"{OTHER}:8000": "draining"})

    def test_over_reloads_and_restarts(self):
        self.make()
        self.service("drain", "fixed", f"{OTHER}:8000")
        self.gateway.change_configuration(log_level="debug")
        self.gateway.json("reload")
        self.assert_kept()
        self.gateway.kill()
        self.gateway.launch(self.topology.gateway)
        self.topology.wait_for_gateway()
        self.assert_kept()
        self.service("remove", "web")
        self.gateway.kill()
        self.gateway.launch(self.topology.gateway)
        self.topology.wait_for_gateway()
        self.assertIsNone(self.shown())

    def assert_kept(self):
        self.assertEqual(self.shown()["origin"], "control")
        self.assertEqual(self.answering(), 8000)
        self.assertEqual(self.states("fixed")[f"{OTHER}:8000"], "draining")

    def test_a_file_that_conflicts_is_refused(self):
        self.make()
        self.gateway.change_configuration(extra=OF_FILE + OF_FILE.replace(
            '"fixed"', '"rival"').replace(GATEWAY_LB, VIP).replace("7000", "80"))
        result = run(self.gateway.control_command("reload"), check=False)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn('service "web", which a command has made', result.stderr)
        self.assertIsNone(self.shown("rival"))
        self.service("remove", "web")
        self.gateway.json("reload")
        self.assertEqual(self.shown("rival")["origin"], "file")


if __name__ == "__main__":
    main()
