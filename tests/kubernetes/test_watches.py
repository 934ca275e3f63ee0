#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API goes away, forgets, and comes back: the gateway hears of what has changed, and of nothing
else."""

import subprocess
import ssl

from controller_case import (SERVICES, SLICES, ControllerCase, FakeApi, endpoint, part,
                             remove_backend, service, set_backend, unittest)

WEB = "k8s.default_web_80"
KINDS = (SERVICES, SLICES)


class Watches(ControllerCase):
    """A Service with an endpoint, and a controller that has both."""

    def setUp(self):
        super().setUp()
        self.api.put(SERVICES, service())
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.2")]))

    def start(self):
        super().start()
        self.wait(lambda: self.api.ingress("default/web"), "the address is in the status")
        self.settle()
        self.sent()
        self.api.lists.clear()
        self.api.watches.clear()

    def wait_for_watches(self):
        self.wait(lambda: all(self.api.watches[kind] for kind in KINDS), "the watches are back")

    def nothing_was_sent(self):
        self.settle()
        self.assertEqual(self.sent(), [])

    def test_a_watch_breaks_in_a_line(self):
        self.start()
        self.api.cut_watches(in_a_line=True)
        self.wait_for_watches()
        self.nothing_was_sent()
        self.assertEqual(self.api.lists, {})
        self.assertIn("trying again", self.controller.log())

    def test_what_changes_while_a_watch_is_broken_is_sent_once(self):
        self.start()
        self.api.cut_watches()
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.2"), endpoint("10.2.0.3")]))
        self.settle()
        self.assertEqual(self.sent(), [set_backend(WEB, "10.2.0.3:8080")])
        self.assertEqual(self.api.lists, {})

    def forgotten(self):
        """All that the watches have seen is forgotten; one endpoint goes and one comes."""
        self.start()
        self.api.put(SERVICES, service("gone-soon"))
        self.settle()
        self.sent()
        self.api.stop()
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.4")]))
        self.api.delete(SERVICES, "default/gone-soon")
        self.api.forget()
        self.api.start()
        self.settle()
        self.assertEqual(sorted(self.sent(), key=str), sorted([
            set_backend(WEB, "10.2.0.4:8080"), remove_backend(WEB, "10.2.0.2:8080"),
            {"op": "remove", "name": "k8s.default_gone-soon_80"}], key=str))
        self.assertEqual(self.api.lists, {SERVICES: 1, SLICES: 1})

    def test_410_as_a_status(self):
        self.forgotten()

    def test_410_as_an_event(self):
        self.api.gone_is_an_event = True
        self.forgotten()

    def test_410_without_any_change(self):
        self.start()
        self.api.cut_watches()
        self.api.bookmark()  # what is forgotten is later than what was seen
        self.api.forget()
        self.wait(lambda: all(self.api.lists[kind] for kind in KINDS), "all is listed again")
        self.nothing_was_sent()

    def test_a_bookmark_saves_a_list(self):
        self.start()
        before = dict(self.api.bookmarks)
        self.api.bookmark()
        self.wait(lambda: all(self.api.bookmarks[kind] > before.get(kind, 0) for kind in KINDS),
                  "bookmarks are sent")
        self.settle()  # the bookmarks are read, too
        self.sent()
        self.api.bookmark()
        self.wait(lambda: all(self.api.bookmarks[kind] > before.get(kind, 0) + 1
                              for kind in KINDS), "bookmarks are sent again")
        self.api.forget()
        self.api.cut_watches()
        self.wait_for_watches()
        self.nothing_was_sent()
        self.assertEqual(self.api.lists, {})

    def test_a_list_of_many_pages_of_which_one_expires(self):
        for number in range(20):
            self.api.put(SERVICES, service(f"many-{number}", kind="ClusterIP"))
        self.api.largest_page = 3
        self.api.expired_pages = 1
        self.start()
        self.assertEqual(self.gateway.backends(WEB), {"10.2.0.2:8080": 1})
        self.assertEqual(self.api.expired_pages, 0)

    def test_the_api_is_away_at_the_start(self):
        self.api.stop()
        self.begin()
        self.wait(lambda: "services: the API at" in self.controller.log(), "it is said")
        self.assertEqual(self.gateway.requests, [])
        self.api.start()
        self.settle()
        self.assertEqual(self.gateway.backends(WEB), {"10.2.0.2:8080": 1})

    def test_a_heartbeat_of_an_object_is_no_change(self):
        self.start()
        value = self.api.get(SLICES, "default/web-1")
        value["metadata"]["annotations"] = {"endpoints.kubernetes.io/last-change-trigger-time": "1"}
        self.api.put(SLICES, value)
        value = self.api.get(SERVICES, "default/web")
        value["metadata"]["labels"] = {"a": "b"}
        self.api.put(SERVICES, value)
        self.nothing_was_sent()

    def test_a_thread_that_fails_ends_the_controller(self):
        """The service manager starts it again; else it would hear of nothing any more."""
        self.api.odd_pages = True
        self.begin()
        self.assertEqual(self.controller.wait(20), 1)
        self.assertIn('the thread "watch ', self.controller.log())

    def test_writes_that_fail_are_tried_again(self):
        self.api.failures = 2
        super().start()
        self.wait(lambda: self.api.ingress("default/web"), "the address is in the status")
        self.assertEqual(self.api.failures, 0)


class Tls(ControllerCase):
    """HTTPS with the CA's file, and a token that is replaced."""

    def setUp(self):
        super().setUp()
        self.certificate(self.directory / "ca")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "ca.pem", self.directory / "ca.key")
        self.api.stop()
        self.api = FakeApi(context)
        self.api.token = "first"
        (self.directory / "token").write_text("first\n")
        self.api.put(SERVICES, service("fence", loadBalancerIP="192.0.2.31"))
        self.ca = "ca.pem"

    def certificate(self, path):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=kube", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", f"{path}.key", "-out", f"{path}.pem"],
                       check=True, capture_output=True)

    def api_settings(self):
        return (f'token_file = "{self.directory}/token"\n'
                f'ca_file = "{self.directory}/{self.ca}"\n')

    def test_token_and_its_replacement(self):
        self.start()
        self.assertEqual(self.api.refused, [])
        self.api.token = "second"
        self.api.cut_watches()
        self.wait(lambda: "is the token of [api] token_file valid?" in self.controller.log(),
                  "a wrong token is said")
        (self.directory / "token").write_text("second")
        self.settle()

    def test_a_server_that_another_ca_has_signed(self):
        self.certificate(self.directory / "other")
        self.ca = "other.pem"
        self.begin()
        self.wait(lambda: "CERTIFICATE_VERIFY_FAILED" in self.controller.log(), "it is said")
        self.assertEqual(self.api.refused, [])
        self.assertEqual(self.api.lists, {})


if __name__ == "__main__":
    unittest.main()
