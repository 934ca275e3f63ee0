#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway goes away, comes back empty, and refuses."""

import queue
from unittest import mock

from controller_case import (SERVICES, SLICES, ControllerCase, endpoint, ends, part, service,
                             unittest)

from kubernetes import controller
from kubernetes.addresses import AddressRange
from kubernetes.gateway import Gateway as ControlSocket
from kubernetes.health import Health
from kubernetes.objects import read_service, read_slice
from kubernetes.settings import Settings

WEB = "k8s.default_web_80"


class Gateway(ControllerCase):
    """A Service with an endpoint."""

    def setUp(self):
        super().setUp()
        self.api.put(SERVICES, service())
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.2")]))

    def test_it_starts_again_empty(self):
        self.start()
        before = {name: row for name, row in self.gateway.services.items()}
        self.sent()
        self.gateway.restart_empty()
        self.wait(lambda: self.gateway.services == before, "all services are there again")
        self.assertEqual([change["op"] for change in self.sent()], ["set"])

    def test_it_starts_again_empty_while_endpoints_change(self):
        self.start()
        self.wait(lambda: self.api.ingress("default/web"), "the address is in the status")
        self.gateway.restart_empty()
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.2"), endpoint("10.2.0.3")]))
        self.wait(lambda: self.gateway.backends(WEB) == {"10.2.0.2:8080": 1, "10.2.0.3:8080": 1},
                  "all backends are there")
        self.settle()
        self.assertEqual(self.api.said("default/web"), [])

    def test_it_is_away_at_the_start_and_meanwhile(self):
        self.gateway.stop()
        self.begin()
        self.wait(lambda: "no noclash answers at" in self.controller.log(), "it is said")
        self.assertEqual(self.api.patches, [])
        self.gateway.start()
        self.settle()
        self.sent()
        self.gateway.stop()
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.3")]))
        self.gateway.start()
        self.settle()
        self.assertEqual(self.gateway.backends(WEB), {"10.2.0.3:8080": 1})

    def test_it_was_away_and_nothing_has_changed(self):
        self.start()
        self.sent()
        self.gateway.stop()
        self.wait(lambda: "no noclash answers at" in self.controller.log(), "it is said")
        self.gateway.start()
        self.settle()
        self.assertEqual(self.sent(), [])

    def test_one_service_that_is_refused_hinders_no_other(self):
        bad = {f"k8s.default_bad-{number}_80" for number in range(3)}
        self.gateway.refuse = lambda change: "service: pool: there is no pool" \
            if change.get("service", {}).get("name") in bad else None
        for number in range(3):
            self.api.put(SERVICES, service(f"bad-{number}"))
        for number in range(9):
            self.api.put(SERVICES, service(f"good-{number}"))
        self.start()
        self.assertEqual(sum("good" in name for name in self.gateway.services), 9)
        for number in range(3):
            key = f"default/bad-{number}"
            self.wait(lambda: self.api.said(key) == ["GatewayRefused"], "the refusal is said")
            self.assertEqual(self.api.ingress(key), [])
        self.assertIn("there is no pool", self.api.events[0]["message"])
        self.gateway.refuse = None
        self.api.put(SERVICES, service("bad-0", sessionAffinity="ClientIP"))
        self.wait(lambda: self.api.ingress("default/bad-0"), "what is mended gets its address")

    def test_more_endpoints_than_the_gateway_takes(self):
        """1,024 are taken, ready ones first, and it is said; who is one of them stays."""
        addresses = [f"10.100.{number // 250}.{number % 250}" for number in range(1200)]
        for first in range(0, len(addresses), 100):
            self.api.put(SLICES, part(f"web-{first}", [
                ends(address) if first == 0 else endpoint(address)
                for address in addresses[first:first + 100]]))
        self.api.put(SLICES, part("web-1", []))
        self.start()
        backends = self.gateway.backends(WEB)
        self.assertEqual(len(backends), 1024)
        self.assertEqual(set(backends.values()), {1})
        self.wait(lambda: self.api.said("default/web") == ["TooManyBackends"], "it is said")
        self.sent()
        self.restart()
        self.assertEqual(self.sent(), [])
        # One goes, one takes its place: of 1,025 in between, the gateway hears nothing.
        gone = min(backends).removesuffix(":8080")
        place = addresses.index(gone)
        self.api.put(SLICES, part(f"web-{place // 100 * 100}", [
            endpoint(address) for address in
            addresses[place // 100 * 100:place // 100 * 100 + 100] if address != gone]))
        self.settle()
        self.assertEqual([change["op"] for change in self.sent()], ["set"])
        self.assertEqual(len(self.gateway.backends(WEB)), 1024)

    def test_a_request_that_cannot_hold_all_ports_of_a_service(self):
        ports = tuple((f"p{number}", 80 + number) for number in range(4))
        self.api.put(SERVICES, service(ports=ports))
        addresses = [f"10.100.{100 + number // 100}.{100 + number % 100}" for number in range(1000)]
        self.api.put(SLICES, part("web-1", list(map(endpoint, addresses)), ports=ports))
        self.start()
        for number in range(4):
            self.assertEqual(self.gateway.backends(f"k8s.default_web_p{number}"),
                             {f"{address}:{80 + number}": 1 for address in addresses})

    def test_what_somebody_else_takes_away_comes_back(self):
        self.settings = "resync_s = 1"
        self.start()
        del self.gateway.services[WEB]
        self.wait(lambda: self.gateway.backends(WEB) == {"10.2.0.2:8080": 1}, "it is back")

    def test_keys_of_every_service(self):
        self.settings = ('[service]\nin = "outside"\nsource = "pool:public"\nno_backend = "drop"\n'
                         'on_gone = "keep"\ndrain_s = 60\nsyn_proxy = "auto"\n'
                         'inhibit = { failures = 5 }')
        self.start()
        row = self.gateway.services[WEB]
        self.assertEqual({key: row[key] for key in ("in", "source", "no_backend", "on_gone",
                                                    "drain_s", "syn_proxy", "inhibit")},
                         {"in": "outside", "source": "pool:public", "no_backend": "drop",
                          "on_gone": "keep", "drain_s": 60, "syn_proxy": "auto",
                          "inhibit": {"failures": 5, "first_s": 10, "most_s": 300}})
        self.sent()
        self.restart()
        self.assertEqual(self.sent(), [])


class Rounds(ControllerCase):
    """The controller's rounds one by one, without threads and waits."""

    def setUp(self):
        super().setUp()
        for name in ("TICK_S", "RETRY_S"):
            patch = mock.patch.object(controller, name, 0)
            patch.start()
            self.addCleanup(patch.stop)
        settings = Settings(None, (AddressRange.parse("192.0.2.16/28"),))
        self.writer = mock.Mock()
        self.steps = controller.Controller(
            settings, ControlSocket(str(self.directory / "control.sock"), settings.prefix),
            Health(1, 1, queue.Queue()), self.writer, queue.Queue())
        self.steps.cluster.replace("services", {})
        self.steps.cluster.replace("slices", {})
        self.hear("services", self.made(SERVICES, service(), read_service))
        self.endpoints("10.2.0.2")

    def made(self, kind, value, read):
        self.api.put(kind, value)
        meta = value["metadata"]
        return read(self.api.get(kind, f"{meta['namespace']}/{meta['name']}"))

    def hear(self, kind, value):
        self.steps.cluster.put(kind, value)

    def endpoints(self, *addresses):
        self.hear("slices", self.made(SLICES, part("web-1", list(map(endpoint, addresses))),
                                      read_slice))

    def round(self):
        self.steps.make_plan()
        self.steps.tend_gateway()

    def test_what_is_refused_is_tried_again(self):
        self.gateway.refuse = lambda change: "no"
        with self.assertLogs("kubernetes.reports", "WARNING"):
            self.round()
        self.assertEqual(self.gateway.services, {})
        self.gateway.refuse = None
        self.round()
        self.assertEqual(self.gateway.backends(WEB), {"10.2.0.2:8080": 1})
        self.assertEqual(self.gateway.lists, 1)
        self.writer.event.assert_called_once()
        self.assertEqual(self.writer.event.call_args.args[1:],
                         ("GatewayRefused", "changes[0]: no"))

    def test_a_refusal_that_shows_that_the_gateway_has_something_else(self):
        self.round()
        del self.gateway.services[WEB]
        self.endpoints("10.2.0.2", "10.2.0.3")
        with self.assertLogs("kubernetes.reports", "WARNING") as log:
            self.round()
        self.assertIn("there is no service", log.output[0])
        self.round()
        self.assertEqual(self.gateway.backends(WEB), {"10.2.0.2:8080": 1, "10.2.0.3:8080": 1})
        self.assertEqual(self.gateway.lists, 2)

    def test_what_is_refused_until_another_is_accepted(self):
        """As where one Service takes the port that another gives up."""
        self.gateway.refuse = lambda change: "z first" \
            if change["service"]["name"] == WEB and "k8s.default_z_80" not in \
            self.gateway.services else None
        self.hear("services", self.made(SERVICES, service("z"), read_service))
        self.round()
        self.assertEqual(self.gateway.services.keys(), {WEB, "k8s.default_z_80"})
        self.writer.event.assert_not_called()

    def test_a_change_that_changes_nothing(self):
        self.round()
        self.gateway.services[WEB]["backends"] = {"10.2.0.3:8080": 1}
        self.endpoints("10.2.0.2", "10.2.0.3")
        with self.assertLogs("kubernetes.mirror", "WARNING") as log:
            self.round()
        self.assertIn("1 of 1 changes changed nothing", log.output[0])
        self.round()
        self.assertEqual(self.gateway.backends(WEB), {"10.2.0.2:8080": 1, "10.2.0.3:8080": 1})

    def test_one_endpoint_concerns_one_service(self):
        """No other Service is looked at: neither planned nor compared."""
        for number in range(5):
            self.hear("services", self.made(SERVICES, service(f"web-{number}"), read_service))
        self.round()
        plans = dict(self.steps.plan.wanted)
        self.endpoints("10.2.0.2", "10.2.0.3")
        self.assertEqual(self.steps.cluster.dirty, {"default/web"})
        self.steps.make_plan()
        self.assertEqual([key for key, wanted in self.steps.plan.wanted.items()
                          if wanted is not plans[key]], ["default/web"])
        with mock.patch.object(self.steps.mirror, "due", wraps=self.steps.mirror.due) as due:
            self.steps.tend_gateway()
        self.assertEqual([call.args[0] for call in due.call_args_list], [{"default/web"}])

    def test_the_same_again_concerns_none(self):
        self.round()
        self.endpoints("10.2.0.2")
        self.hear("services", self.made(SERVICES, service(), read_service))
        self.assertEqual(self.steps.cluster.dirty, set())


if __name__ == "__main__":
    unittest.main()
