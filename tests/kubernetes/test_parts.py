#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Parts of the controller by themselves: its configuration, names, requests, and what it writes."""

import json
import pathlib
import tempfile

from controller_case import SERVICES, FakeApi, ROOT, service, unittest, wait_until

from kubernetes.addresses import AddressRange
from kubernetes.api_client import ApiClient
from kubernetes.api_writer import MOST_EVENTS, ApiWriter
from kubernetes.backoff import Backoff
from kubernetes.gateway import MOST_BYTES, MOST_CHANGES, batches
from kubernetes.names import LONGEST_NAME, LONGEST_PREFIX, gateway_name
from kubernetes.objects import read_service
from kubernetes.settings import Api, SettingsError, read_settings

API = '[api]\nserver = "https://10.0.0.1:6443"\n'
ADDRESSES = 'addresses = ["192.0.2.16-192.0.2.31"]\n'


class Configuration(unittest.TestCase):
    """What is wrong is said with its place and a remedy."""

    def read(self, text, environment=None):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "controller.toml"
            path.write_text(text)
            try:
                return read_settings(path, environment or {})
            except SettingsError as error:
                self.assertTrue(str(error).startswith(f"{path}: "), error)
                return str(error).removeprefix(f"{path}: ")

    def test_the_example_shows_the_defaults(self):
        text = (ROOT / "tools/examples/kubernetes/controller.toml").read_text()
        example, defaults = self.read(text + API), self.read(ADDRESSES + API)
        self.assertEqual(example, defaults)
        self.assertEqual(example.api, Api("https://10.0.0.1:6443", None, None))

    def test_faults(self):
        ca = ROOT / "LICENSE"
        for text, said in (
                ("a = ", "no TOML: Invalid value"),
                (API, "addresses: has to be a list of ranges"),
                ("addresses = []\n" + API, "addresses: has to be a list"),
                ('addresses = ["192.0.2.9-192.0.2.1"]\n' + API, "higher than the last"),
                ('addresses = ["192.0.2.1/24"]\n' + API, "has host bits set"),
                ('addresses = ["2001:db8::/64"]\n' + API, "'2001:db8::/64': "),
                ('addresses = ["192.0.2.0/24", "192.0.2.9"]\n' + API,
                 "'192.0.2.9' overlaps 192.0.2.0-192.0.2.255"),
                (ADDRESSES + 'address = []\n' + API, "address: no such key; known are class,"),
                (ADDRESSES + 'targets = "hosts"\n' + API, "none of 'pods', 'nodes'"),
                (ADDRESSES + 'prefix = "k8s_"\n' + API, "prefix: 'k8s_' is no prefix"),
                (ADDRESSES + 'prefix = "far-too-long-one"\n' + API, "1 to 12 letters"),
                (ADDRESSES + 'resync_s = 0\n' + API, "resync_s: 0 is no number from 1 to 86400"),
                (ADDRESSES + 'resync_s = true\n' + API, "resync_s: True is no number"),
                (ADDRESSES + 'class = 1\n' + API, "class: 1 is not a text"),
                (ADDRESSES + 'service = 1\n' + API, "service: is no table; write [service]"),
                (ADDRESSES + '[service]\nsource = "pool"\n' + API, "[service] source: 'pool' is"),
                (ADDRESSES + '[service]\nname = "x"\n' + API, "[service] name: no such key"),
                (ADDRESSES + '[service]\ndrain_s = -1\n' + API, "[service] drain_s: -1 is no"),
                (ADDRESSES + '[service]\ninhibit = 3\n' + API, "[service] inhibit: is neither"),
                (ADDRESSES + '[service]\ninhibit = { first_s = 9, most_s = 8 }\n' + API,
                 "[inhibit] most_s: 8 is no number from 9 to 86400"),
                (ADDRESSES + '[service]\non_gone = "x"\n' + API, "none of 'reset', 'keep'"),
                (ADDRESSES + '[health]\ninterval_s = 0\n' + API, "[health] interval_s: 0 is no"),
                (ADDRESSES, "[api] server: is missing, and this is no Pod"),
                (ADDRESSES + '[api]\nserver = "10.0.0.1"\n', "write \"https://HOST:PORT\""),
                (ADDRESSES + '[api]\nserver = "https://h:x"\n', "write \"https://HOST:PORT\""),
                (ADDRESSES + '[api]\nserver = "http://h:1"\n', "carry the token in the clear"),
                (ADDRESSES + API + 'token_file = "/nowhere"\n', "/nowhere cannot be read"),
                (ADDRESSES + API + f'ca_file = "{ca}"\n', "holds no certificates in PEM form")):
            with self.subTest(said):
                self.assertIn(said, self.read(text))

    def test_no_file(self):
        with self.assertRaisesRegex(SettingsError, "/nowhere: No such file.*--config"):
            read_settings("/nowhere")

    def test_in_a_pod_the_service_account_is_used(self):
        self.assertIn("[api] token_file: /var/run/secrets/kubernetes.io/serviceaccount/token",
                      self.read(ADDRESSES, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}))


class Names(unittest.TestCase):
    """Names that the gateway takes."""

    def test_its_words(self):
        self.assertEqual(gateway_name("k8s.", "default", "web", "http"), "k8s.default_web_http")

    def test_the_longest_has_room(self):
        name = gateway_name("p" * LONGEST_PREFIX, "n" * 63, "s" * 63, "t" * 15)
        self.assertLessEqual(len(name), LONGEST_NAME)


class Requests(unittest.TestCase):
    """Changes in requests."""

    def check(self, groups):
        made = list(batches(groups))
        for batch in made:
            changes = [change for _, piece in batch for change in piece]
            self.assertLessEqual(len(changes), MOST_CHANGES)
            self.assertLessEqual(len(json.dumps(changes, separators=(",", ":"))), MOST_BYTES + 2)
        self.assertEqual([(key, change) for batch in made for key, piece in batch
                          for change in piece],
                         [(key, change) for key, changes in groups for change in changes])
        return made

    def test_by_number(self):
        made = self.check([(str(key), [{"op": "remove", "name": "x"}] * 3) for key in range(400)])
        self.assertEqual(len(made), 3)  # 166 groups of three in 500

    def test_by_bytes(self):
        made = self.check([(str(key), [{"name": "x" * 1000}]) for key in range(100)])
        self.assertEqual(len(made), 2)

    def test_a_group_that_is_too_large_for_one(self):
        made = self.check([("a", [{"op": 1}]), ("b", [{"op": 2}] * 1200), ("c", [{"op": 3}])])
        self.assertEqual([len(batch) for batch in made], [1, 1, 1, 2])

    def test_a_group_stays_together(self):
        made = self.check([("a", [{"op": 1}] * 400), ("b", [{"op": 2}] * 400)])
        self.assertEqual([[key for key, _ in batch] for batch in made], [["a"], ["b"]])

    def test_nothing(self):
        self.assertEqual(list(batches([])), [])


class Ranges(unittest.TestCase):
    """Texts of ranges."""

    def test_forms(self):
        self.assertEqual(str(AddressRange.parse("192.0.2.1")), "192.0.2.1-192.0.2.1")
        self.assertEqual(str(AddressRange.parse("192.0.2.0/30")), "192.0.2.0-192.0.2.3")


class Waits(unittest.TestCase):
    """How long is waited after failures."""

    def test_it_grows_to_a_bound_and_falls_back(self):
        backoff = Backoff(1, 8)
        for most in (1, 2, 4, 8, 8):
            self.assertTrue(most / 2 <= backoff.failed() <= most)
        backoff.succeeded()
        self.assertLessEqual(backoff.failed(), 1)

    def test_it_differs(self):
        self.assertGreater(len({Backoff().failed() for _ in range(20)}), 1)


class Writes(unittest.TestCase):
    """What is written to the API."""

    def setUp(self):
        self.api = FakeApi()
        self.addCleanup(self.api.stop)
        self.writer = ApiWriter(ApiClient(Api(self.api.server, None, None)))

    def made(self, name):
        self.api.put(SERVICES, service(name))
        return read_service(self.api.get(SERVICES, f"default/{name}"))

    def test_a_status_is_not_written_to_a_namesake_or_to_nobody(self):
        for name in ("anew", "gone"):
            self.writer.status(self.made(name), ("192.0.2.1",))
            self.api.delete(SERVICES, f"default/{name}")
        self.made("anew")
        self.writer.status(self.made("last"), ("192.0.2.2",))
        with self.assertLogs("kubernetes.api_writer", "WARNING") as log:
            self.writer.start()
            wait_until(lambda: self.api.patches, timeout_s=20, what="the last one is written")
        self.assertEqual(self.api.patches, [("default/last", ["192.0.2.2"])])
        self.assertEqual(self.api.ingress("default/anew"), [])
        self.assertIn("UID", log.output[0])
        self.assertIn("not found", log.output[1])

    def test_only_the_last_status_is_written(self):
        web = self.made("web")
        self.writer.status(web, ("192.0.2.1",))
        self.writer.status(web, ("192.0.2.2",))
        self.writer.start()
        wait_until(lambda: self.api.patches, timeout_s=20, what="a status is written")
        self.assertEqual(self.api.patches, [("default/web", ["192.0.2.2"])])

    def test_events_that_wait_are_bounded_and_lost_ones_are_said(self):
        web = self.made("web")
        with self.assertLogs("kubernetes.api_writer", "WARNING") as log:
            for number in range(MOST_EVENTS + 1):
                self.writer.event(web, f"Reason{number}", "x" * 5000)
        self.assertEqual(len(log.output), 1)
        self.assertIn("default/web, is not sent", log.output[0])
        self.writer.start()
        wait_until(lambda: len(self.api.events) == MOST_EVENTS, timeout_s=60, what="all are sent")
        self.assertEqual(self.api.events[0]["reason"], "Reason1")
        self.assertEqual({len(event["message"]) for event in self.api.events}, {1024})
        self.assertEqual(self.api.events[0]["involvedObject"]["uid"], web.uid)


if __name__ == "__main__":
    unittest.main()
