#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Services of Kubernetes become services of the gateway, and go with them."""

from controller_case import (SERVICES, SLICES, ControllerCase, endpoint, part, service, unittest)

WEB = "k8s.default_web_80"


class Life(ControllerCase):
    """From creation to the end."""

    def create(self, **spec):
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.2"), endpoint("10.2.0.3")]))
        self.api.put(SERVICES, service(**spec))

    def test_created(self):
        self.start()
        self.create()
        self.wait(lambda: self.api.ingress("default/web"), "the status has an address")
        self.settle()
        made, *others = self.sent()
        # The two watches are streams of their own: the endpoints may come a moment later.
        del made["service"]["backends"]
        self.assertEqual(made, {"op": "set", "service": {
            "name": WEB, "address": "192.0.2.16", "protocol": "tcp", "ports": [80],
            "source": "keep", "affinity": "none", "no_backend": "reject", "on_gone": "reset",
            "drain_s": 0, "syn_proxy": "off", "inhibit": False}})
        self.assertEqual({change["op"] for change in others} - {"set_backend"}, set())
        self.assertEqual(self.gateway.backends(WEB), {"10.2.0.2:8080": 1, "10.2.0.3:8080": 1})
        self.assertEqual(self.api.ingress("default/web"), ["192.0.2.16"])
        self.assertEqual(self.api.patches, [("default/web", ["192.0.2.16"])])

    def test_the_status_comes_after_the_gateway(self):
        self.gateway.refuse = lambda change: "not yet" if change.get(
            "service", {}).get("name") == WEB else None
        self.start()
        self.create()
        self.wait(lambda: "GatewayRefused" in self.api.said("default/web"), "the refusal is said")
        self.assertEqual(self.api.patches, [])

    def test_changed(self):
        self.create()
        self.start()
        self.sent()
        self.create(sessionAffinity="ClientIP")
        self.settle()
        (change,) = self.sent()
        self.assertEqual((change["op"], change["service"]["affinity"]), ("set", "client"))
        self.assertEqual(self.gateway.backends(WEB), {"10.2.0.2:8080": 1, "10.2.0.3:8080": 1})

    def test_ports_change_places(self):
        self.create(ports=(("a", 80), ("b", 81)))
        self.start()
        self.sent()
        self.create(ports=(("b", 80), ("a", 81)))
        self.settle()
        self.assertEqual({name: row["ports"] for name, row in self.gateway.services.items()
                          if "web" in name},
                         {"k8s.default_web_a": ["81"], "k8s.default_web_b": ["80"]})

    def test_deleted(self):
        self.create()
        self.start()
        self.sent()
        self.api.delete(SERVICES, "default/web")
        self.settle()
        self.assertEqual(self.sent(), [{"op": "remove", "name": WEB}])

    def test_being_deleted(self):
        self.create()
        self.start()
        self.sent()
        value = service()
        value["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self.api.put(SERVICES, value)
        self.settle()
        self.assertEqual(self.sent(), [{"op": "remove", "name": WEB}])

    def test_another_type_and_another_class(self):
        for change in ({"kind": "ClusterIP"}, {"loadBalancerClass": "example.com/other"},
                       {"loadBalancerClass": None}):
            with self.subTest(change):
                self.create()
                if self.controller:
                    self.settle()
                else:
                    self.start()
                self.wait(lambda: self.api.ingress("default/web"), "the status has an address")
                self.sent()
                value = service(**change)
                value["spec"] |= change if "kind" not in change else {}
                self.api.put(SERVICES, value)
                self.settle()
                self.assertEqual(self.sent(), [{"op": "remove", "name": WEB}])
                self.wait(lambda: not self.api.ingress("default/web"), "the status is cleared")

    def test_an_endpoint_before_its_service(self):
        self.start()
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.2")]))
        self.settle()
        self.api.put(SERVICES, service())
        self.settle()
        self.assertEqual(self.gateway.backends(WEB), {"10.2.0.2:8080": 1})

    def test_several_ports(self):
        self.api.put(SERVICES, service(ports=(("http", 80), ("admin", 9000))))
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.2")],
                                  ports=(("http", 8080), ("admin", 9001))))
        self.start()
        self.assertEqual(self.gateway.backends("k8s.default_web_http"), {"10.2.0.2:8080": 1})
        self.assertEqual(self.gateway.backends("k8s.default_web_admin"), {"10.2.0.2:9001": 1})
        self.sent()
        self.api.put(SERVICES, service(ports=(("http", 80),)))
        self.settle()
        self.assertEqual(self.sent(), [{"op": "remove", "name": "k8s.default_web_admin"}])

    def test_udp_and_an_unknown_protocol(self):
        value = service(ports=(("dns", 53), ("odd", 54)))
        value["spec"]["ports"][0]["protocol"] = "UDP"
        value["spec"]["ports"][1]["protocol"] = "QUIC"
        self.api.put(SERVICES, value)
        self.start()
        self.assertEqual(self.gateway.services["k8s.default_web_dns"]["protocol"], "udp")
        self.assertNotIn("k8s.default_web_odd", self.gateway.services)
        self.wait(lambda: self.api.said("default/web") == ["ProtocolNotSupported"], "it is said")

    def test_source_ranges_are_not_supported_and_that_is_said_once(self):
        self.create(loadBalancerSourceRanges=["10.0.0.0/8"])
        self.start()
        self.wait(lambda: self.api.said("default/web"), "it is said")
        self.create(loadBalancerSourceRanges=["10.0.0.0/8"], sessionAffinity="ClientIP")
        self.settle()
        self.assertEqual(self.api.said("default/web"), ["SourceRangesNotSupported"])
        self.assertIn("default/web: SourceRangesNotSupported", self.controller.log())


class Restart(ControllerCase):
    """A controller that is started again changes nothing that is right."""

    def test_nothing_is_sent_and_nothing_is_written(self):
        for number in range(8):
            self.api.put(SERVICES, service(f"web-{number}", ports=(("a", 80), ("b", 81))))
            self.api.put(SLICES, part(f"web-{number}", [endpoint("10.2.0.2")], of=f"web-{number}",
                                      ports=(("a", 8080), ("b", 8081))))
        self.start()
        self.wait(lambda: len(self.api.patches) == 8, "all addresses are in statuses")
        addresses = {number: self.api.ingress(f"default/web-{number}") for number in range(8)}
        self.sent()
        self.api.patches.clear()
        self.restart()
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.api.patches, [])
        self.assertEqual({number: self.api.ingress(f"default/web-{number}")
                          for number in range(8)}, addresses)

    def test_what_happened_meanwhile_is_sent(self):
        self.api.put(SERVICES, service("old"))
        self.api.put(SERVICES, service("web"))
        self.start()
        self.wait(lambda: len(self.api.patches) == 2, "both addresses are in statuses")
        self.controller.stop()
        self.sent()
        self.api.delete(SERVICES, "default/old")
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.2")]))
        self.start()
        self.assertEqual(self.sent(), [
            {"op": "remove", "name": "k8s.default_old_80"},
            {"op": "set_backend", "name": WEB, "backend": "10.2.0.2:8080", "weight": 1}])


class OthersServices(ControllerCase):
    """Services that are not the controller's stay as they are."""

    def test_only_services_of_its_own_are_removed(self):
        self.gateway.add("k8s.of_the_file", "file", address="192.0.2.1")
        self.gateway.add("by-hand", "control", address="192.0.2.2")
        self.gateway.add("k8s.left_behind_80", "control", address="192.0.2.3")
        self.start()
        self.assertEqual(self.sent(), [{"op": "remove", "name": "k8s.left_behind_80"}])
        self.assertNotIn("of_the_file", str(self.gateway.requests))

    def test_without_any_service_what_is_left_behind_goes(self):
        self.api.delete(SERVICES, "default/fence")
        self.gateway.add("k8s.left_behind_80", "control", address="192.0.2.3")
        self.begin()
        self.wait(lambda: not self.gateway.services, "it is removed")


class DryRun(ControllerCase):
    """What would be sent is printed, and nothing is sent."""

    def test_changes_are_printed(self):
        self.api.put(SERVICES, service())
        self.gateway.add("k8s.left_behind_80", "control", address="192.0.2.3")
        answer = self.run_once("--dry-run")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        lines = answer.stdout.splitlines()
        self.assertEqual(lines[0], '{"op": "remove", "name": "k8s.left_behind_80"}')
        self.assertEqual([line[:12] for line in lines[1:3]], ['{"op": "set"'] * 2)
        self.assertEqual(lines[3:], ['{"status": "default/web", "ingress": ["192.0.2.16"]}'])
        self.assertEqual((self.gateway.requests, self.api.patches, self.api.events), ([], [], []))

    def test_without_a_gateway_it_fails(self):
        self.gateway.stop()
        answer = self.run_once("--dry-run")
        self.gateway.start()
        self.assertEqual(answer.returncode, 1)
        self.assertIn("no noclash answers", answer.stderr)


if __name__ == "__main__":
    unittest.main()
