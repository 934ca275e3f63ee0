#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/json.md against the rows of a running daemon."""

import json
import pathlib
import re

from gateway_case import ROOT, GatewayCase, build, main, rule
from lab.process import run
from lab.topology import GATEWAY_LB, LB, POD


class Description(GatewayCase):
    """docs/json.md names exactly the fields that there are."""

    settings = {"rules": rule("service", "dnat", in_="lb", protocol="tcp", to=f"{GATEWAY_LB}/32",
                              to_port=80, target=f"{POD}:8000")
                + rule("mapped", "masquerade", in_="lb", mapping="endpoint-independent",
                       filtering="address-dependent"),
                "extra": '[[service]]\nname = "web"\naddress = "10.1.0.77"\nports = 80\nprotocol = "tcp"\n'
                         'in = "lb"\nbackends = ["10.2.0.2"]\n\n'
                         '[[service]]\nname = "inhibits"\naddress = "10.1.0.78"\nports = 80\n'
                         'protocol = "tcp"\nin = "lb"\ninhibit = true\nbackends = ["10.2.0.2"]\n\n'
                         "[limits]\nflows_per_subscriber = 1000\n"}

    def gateway_settings(self):
        self.state = self.lab.memory_path("edge1.state")
        return self.settings | {"name": "edge1", "state": self.state}

    def setUp(self):
        super().setUp()
        text = pathlib.Path(ROOT, "docs", "json.md").read_text(encoding="utf-8")
        rows = text.split("## Rows\n")[1]
        self.fields = {}
        for section in re.split(r"^### ", rows, flags=re.MULTILINE)[1:]:
            title, _, body = section.partition("\n")
            self.fields[title] = {name for line in body.splitlines() if line.startswith("| `")
                                  for name in re.findall(r"`([^`]+)`", line.split("|")[1])}

    def flattened(self, row, documented, prefix=""):
        """The names of all fields. Of what stands in an empty array or object, nothing is known."""
        for key, value in row.items():
            if isinstance(value, dict) and value:
                yield from self.flattened(value, documented, f"{prefix}{key}.")
            elif isinstance(value, (dict, list)) and not value:
                inside = f"{prefix}{key}" + ("[]" if isinstance(value, list) else ".*")
                yield from (name for name in documented if name.startswith(inside))
            elif isinstance(value, list):
                for element in value:
                    if isinstance(element, dict):
                        yield from self.flattened(element, documented, f"{prefix}{key}[].")
                    else:
                        yield f"{prefix}{key}[]"
            else:
                yield prefix + key

    def assert_described(self, title, rows):
        self.assertTrue(rows, title)
        documented = self.fields.pop(title)
        maps = {name[:-1] for name in documented if name.endswith(".*")}
        real = set()
        for row in rows:
            for name in self.flattened(row, documented):
                group = name.partition(".")[0] + "."
                real.add(group + "*" if group in maps else name)
        self.assertEqual(real, documented, title)

    def test_every_field(self):
        # Only who comes second adopts something.
        self.gateway.kill()
        self.gateway.launch(self.topology.gateway)
        self.topology.wait_for_gateway()
        self.serve(8000)
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000", f"{LB}:5001"))
        listed = ("flows", "list")
        json_of = self.gateway.json
        self.assert_described("flows list", json_of(*listed))
        self.assert_described("mappings", json_of(*listed, "--state", "MAPPING"))
        self.assert_described("permissions", json_of(*listed, "--state", "PERMISSION"))
        drained = json_of("service", "drain", "web", POD)
        self.assert_described("service change", drained)
        self.assert_described("service list", json_of("services"))
        for title in ("stats", "ports", "neighbors", "rules", "subscribers", "memory", "version",
                      "flows count", "flows flush"):
            self.assert_described(title, json_of(*title.split()))
        faulty = self.lab.path("faulty.toml")
        pathlib.Path(faulty).write_text("flows = 0\n", encoding="utf-8")
        checked = run([build().control, "--json", "config", "check", faulty], check=False)
        self.assert_described("config check", json.loads(checked.stdout))
        changed = self.lab.path("changed.toml")
        pathlib.Path(changed).write_text(
            self.gateway.configuration + rule("late", "drop", in_="lb"), encoding="utf-8")
        self.assert_described("reload and config diff", json_of("config", "diff", changed))
        self.assert_described("state show", json_of("state", "show", "--path", self.state))
        self.assertEqual(self.fields, {}, "described, but not tried here")


if __name__ == "__main__":
    main()
