#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Endpoints become backends: what is ready, what drains, what is gone."""

from controller_case import (SERVICES, SLICES, ControllerCase, endpoint, ends, part,
                             remove_backend, service, set_backend, unittest)

WEB = "k8s.default_web_80"


class Endpoints(ControllerCase):
    """One Service, and slices that change."""

    def setUp(self):
        super().setUp()
        self.api.put(SERVICES, service())

    def put(self, name, *endpoints, **options):
        self.api.put(SLICES, part(name, list(endpoints), **options))

    def backends(self):
        return self.gateway.backends(WEB)

    def start_with(self, *endpoints, **options):
        self.put("web-1", *endpoints, **options)
        self.start()
        self.sent()

    def test_a_rolling_update_over_two_slices(self):
        """Each step of a Deployment's update costs a change, and none is sent that is not due."""
        old = ["10.2.0.1", "10.2.0.2"]
        new = ["10.2.1.1", "10.2.1.2"]
        self.put("web-1", *map(endpoint, old))
        self.put("web-2")
        self.start()
        self.assertEqual(self.backends(), {"10.2.0.1:8080": 1, "10.2.0.2:8080": 1})
        self.sent()
        steps = []

        def step(slice_1, slice_2, *changes):
            self.put("web-1", *slice_1)
            self.put("web-2", *slice_2)
            self.settle()
            self.assertEqual(self.sent(), list(changes), f"step {len(steps)}")
            steps.append(changes)

        first, second = map(endpoint, old)
        starting = [endpoint(address, ready=False, serving=False, terminating=False)
                    for address in new]
        step([first, second], [starting[0]])
        step([first, second], [endpoint(new[0], ready=True, serving=True, terminating=False)],
             set_backend(WEB, "10.2.1.1:8080"))
        step([ends(old[0]), second], [endpoint(new[0]), starting[1]],
             set_backend(WEB, "10.2.0.1:8080", 0))
        step([ends(old[0]), second], [endpoint(new[0]), endpoint(new[1])],
             set_backend(WEB, "10.2.1.2:8080"))
        step([ends(old[0], serving=False), ends(old[1])], [endpoint(new[0]), endpoint(new[1])],
             set_backend(WEB, "10.2.0.2:8080", 0), remove_backend(WEB, "10.2.0.1:8080"))
        step([], [endpoint(new[0]), endpoint(new[1])], remove_backend(WEB, "10.2.0.2:8080"))
        self.assertEqual(self.backends(), {"10.2.1.1:8080": 1, "10.2.1.2:8080": 1})

    def test_endpoints_null(self):
        self.start_with(endpoint("10.2.0.2"))
        value = part("web-1", None)
        self.api.put(SLICES, value)
        self.settle()
        self.assertEqual(self.sent(), [remove_backend(WEB, "10.2.0.2:8080")])
        del value["endpoints"]
        self.api.put(SLICES, value)
        self.settle()
        self.assertEqual(self.sent(), [])

    def test_endpoints_null_at_the_start(self):
        self.api.put(SLICES, part("web-1", None))
        self.put("web-2", endpoint("10.2.0.2"))
        self.start()
        self.assertEqual(self.backends(), {"10.2.0.2:8080": 1})
        self.assertNotIn("skipped", self.controller.log())

    def test_a_slice_is_deleted(self):
        self.put("web-2", endpoint("10.2.0.3"))
        self.start_with(endpoint("10.2.0.2"))
        self.api.delete(SLICES, "default/web-2")
        self.settle()
        self.assertEqual(self.sent(), [remove_backend(WEB, "10.2.0.3:8080")])

    def test_a_slice_goes_to_another_service(self):
        self.api.put(SERVICES, service("other"))
        self.start_with(endpoint("10.2.0.2"))
        self.put("web-1", endpoint("10.2.0.2"), of="other")
        self.settle()
        self.assertEqual(self.sent(), [
            set_backend("k8s.default_other_80", "10.2.0.2:8080"),
            remove_backend(WEB, "10.2.0.2:8080")])

    def test_conditions(self):
        """Absent or null `ready` is ready; absent `serving` is what `ready` is."""
        nothing = endpoint("10.2.0.1")
        del nothing["conditions"]
        self.start_with(nothing, endpoint("10.2.0.2", ready=None),
                        endpoint("10.2.0.3", ready=False),
                        endpoint("10.2.0.4", ready=False, serving=None, terminating=True),
                        endpoint("10.2.0.5", ready=False, serving=True, terminating=True),
                        endpoint("10.2.0.6", ready=False, serving=True, terminating=False),
                        endpoint("10.2.0.7", ready=True, serving=True, terminating=True))
        self.assertEqual(self.backends(), {"10.2.0.1:8080": 1, "10.2.0.2:8080": 1,
                                           "10.2.0.5:8080": 0, "10.2.0.7:8080": 1})

    def test_when_nothing_is_ready_what_ends_stays(self):
        self.start_with(ends("10.2.0.1"), ends("10.2.0.2", serving=False),
                        endpoint("10.2.0.3", ready=False))
        self.assertEqual(self.backends(), {"10.2.0.1:8080": 0})

    def test_an_endpoint_in_two_slices(self):
        """While it moves from one to the other, it stays: no change is due at all."""
        self.put("web-2")
        self.start_with(endpoint("10.2.0.2"))
        for name, *endpoints in (("web-2", endpoint("10.2.0.2")), ("web-1", ends("10.2.0.2")),
                                 ("web-1", endpoint("10.2.0.2")), ("web-2", ends("10.2.0.2")),
                                 ("web-2", endpoint("10.2.0.2")),
                                 ("web-1", endpoint("10.2.0.2", ready=False)), ("web-1",)):
            self.put(name, *endpoints)
            self.settle()
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.backends(), {"10.2.0.2:8080": 1})

    def test_other_address_types_are_skipped_and_that_is_said(self):
        self.put("web-6", endpoint("2001:db8::2"), kind="IPv6")
        self.start_with(endpoint("10.2.0.2"))
        self.assertEqual(self.backends(), {"10.2.0.2:8080": 1})
        self.wait(lambda: self.api.said("default/web") == ["SliceSkipped"], "it is said")

    def test_ports_are_found_by_name(self):
        self.api.put(SERVICES, service(ports=(("http", 80), ("gone", 81))))
        self.put("web-1", endpoint("10.2.0.2"), ports=(("http", 8080), ("other", 8081)))
        self.put("web-2", endpoint("10.2.0.3"), ports=(("http", 9090),))
        self.put("web-3", endpoint("10.2.0.4"), ports=None)
        self.start()
        self.assertEqual(self.gateway.backends("k8s.default_web_http"),
                         {"10.2.0.2:8080": 1, "10.2.0.3:9090": 1})
        self.assertEqual(self.gateway.backends("k8s.default_web_gone"), {})

    def test_a_port_without_a_number_is_each_port(self):
        self.start_with(endpoint("10.2.0.2"), ports=((None, None),))
        self.assertEqual(self.backends(), {"10.2.0.2": 1})

    def test_a_form_that_is_not_known_is_said_and_hinders_nothing(self):
        self.start_with(endpoint("10.2.0.2"))
        value = part("web-2", [])
        value["ports"] = "none"
        self.api.put(SLICES, value)
        self.put("web-1", endpoint("10.2.0.3"))
        self.settle()
        self.assertEqual(self.backends(), {"10.2.0.3:8080": 1})
        self.assertIn("slices: an object is skipped", self.controller.log())


if __name__ == "__main__":
    unittest.main()
