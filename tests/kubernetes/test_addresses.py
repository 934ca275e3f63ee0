#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who gets which address, who keeps it, and what those hear who get none."""

from controller_case import SERVICES, ControllerCase, service, unittest


class Addresses(ControllerCase):
    """Four addresses, of which the fence has the last."""

    addresses = '["192.0.2.16-192.0.2.18", "192.0.2.31"]'

    def put(self, name, **options):
        self.api.put(SERVICES, service(name, **options))

    def ingress(self, name):
        return self.api.ingress(f"default/{name}")

    def wait_for(self, **addresses):
        """Waits until Services have those addresses; None: none."""
        for name, address in addresses.items():
            self.wait(lambda: self.ingress(name) == ([address] if address else []),
                      f"{name} has {address}")

    def said(self, name):
        return self.api.said(f"default/{name}")

    def test_exhausted_and_given_back(self):
        names = ("e", "d", "c", "b", "a")
        for day, name in enumerate(names, 1):
            self.put(name, created=f"2020-01-0{day}T00:00:00Z")
        self.start()
        for name in ("b", "a"):
            self.wait(lambda: self.said(name) == ["AddressesExhausted"], "it is said")
            self.assertIn(f"default/{name}: AddressesExhausted", self.controller.log())
            self.assertEqual(self.ingress(name), [])
        self.wait_for(e="192.0.2.16", d="192.0.2.17", c="192.0.2.18")
        for name in ("e", "d", "c"):
            self.assertEqual(self.said(name), [])
        self.api.delete(SERVICES, "default/d")
        self.wait_for(b="192.0.2.17", a=None)

    def test_two_ask_for_one_address(self):
        self.put("a-young", created="2021-01-01T00:00:00Z", loadBalancerIP="192.0.2.17")
        self.put("old", created="2020-01-01T00:00:00Z",
                 annotations={"noclash.io/address": "192.0.2.17"})
        self.start()
        self.wait_for(old="192.0.2.17")
        self.wait(lambda: self.said("a-young") == ["AddressInUse"], "it is said")
        self.assertIn("that of default/old", self.api.events[0]["message"])
        self.restart()
        self.assertEqual(self.ingress("old"), ["192.0.2.17"])
        self.assertEqual(self.ingress("a-young"), [])
        self.api.delete(SERVICES, "default/old")
        self.wait(lambda: self.ingress("a-young") == ["192.0.2.17"], "the other one gets it")

    def test_who_has_it_keeps_it_though_an_older_one_asks(self):
        self.put("first", created="2021-01-01T00:00:00Z")
        self.start()
        self.wait_for(first="192.0.2.16")
        self.put("older", created="2020-01-01T00:00:00Z", loadBalancerIP="192.0.2.16")
        self.wait(lambda: self.said("older") == ["AddressInUse"], "it is said")
        self.restart()
        self.assertEqual(self.ingress("first"), ["192.0.2.16"])
        self.assertEqual(self.ingress("older"), [])

    def test_statuses_that_say_the_same(self):
        self.put("young", created="2021-01-01T00:00:00Z", status=["192.0.2.18"])
        self.put("old", created="2020-01-01T00:00:00Z", status=["192.0.2.18"])
        self.start()
        self.wait_for(old="192.0.2.18", young="192.0.2.16")

    def test_a_status_comes_before_age(self):
        """Services keep their addresses in whatever order a new controller hears of them."""
        self.put("a", created="2020-01-01T00:00:00Z")
        self.put("b", created="2021-01-01T00:00:00Z", status=["192.0.2.16"])
        self.start()
        self.wait_for(a="192.0.2.17", b="192.0.2.16")

    def test_outside_of_the_ranges(self):
        self.put("asks", loadBalancerIP="198.51.100.1")
        self.put("had", status=["198.51.100.2"])
        self.put("odd", annotations={"noclash.io/address": "www.example.com"})
        self.start()
        self.wait_for(asks=None, had="192.0.2.16", odd=None)
        for name in ("asks", "odd"):
            self.wait(lambda: self.said(name) == ["AddressNotInRanges"], "it is said")

    def test_a_wish_that_changes(self):
        self.put("web")
        self.put("waits", loadBalancerIP="192.0.2.16")
        self.start()
        self.wait_for(web="192.0.2.16", waits=None)
        self.put("web", loadBalancerIP="192.0.2.18")
        self.wait_for(web="192.0.2.18", waits="192.0.2.16")
        self.settle()
        self.assertEqual(self.gateway.services["k8s.default_web_80"]["address"], "192.0.2.18")
        self.assertEqual(self.gateway.services["k8s.default_waits_80"]["address"], "192.0.2.16")

    def test_addresses_change_places(self):
        self.put("a", loadBalancerIP="192.0.2.16")
        self.put("b", loadBalancerIP="192.0.2.17")
        self.start()
        self.wait_for(a="192.0.2.16", b="192.0.2.17")
        self.api.stop()
        self.put("a", loadBalancerIP="192.0.2.17")
        self.put("b", loadBalancerIP="192.0.2.16")
        self.api.start()
        self.wait_for(a="192.0.2.17", b="192.0.2.16")

    def test_an_address_that_was_given_back_is_taken_last(self):
        self.put("a")
        self.start()
        self.wait_for(a="192.0.2.16")
        self.api.delete(SERVICES, "default/a")
        self.settle()
        for name, address in (("b", "192.0.2.17"), ("c", "192.0.2.18"), ("d", "192.0.2.16")):
            self.put(name)
            self.wait_for(**{name: address})

    def test_a_status_that_somebody_else_clears_is_written_again(self):
        self.put("web")
        self.start()
        self.wait_for(web="192.0.2.16")
        value = self.api.get(SERVICES, "default/web")
        value["status"] = {"loadBalancer": {}}
        self.api.put(SERVICES, value)
        self.wait_for(web="192.0.2.16")


if __name__ == "__main__":
    unittest.main()
