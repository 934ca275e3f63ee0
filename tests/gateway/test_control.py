#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""noclashctl against a running daemon, in all its forms."""

import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

from gateway_case import ROOT, GatewayCase, LabCase, build, main, rule
from lab.process import run, wait_until
from lab.storm import run_storm
from lab.topology import GATEWAY_LB, GATEWAY_POD, LB, POD

FLOW_KEYS = {"protocol", "state", "timeout_s", "zone", "original", "reply", "assured", "replied",
             "rule", "worker"}
TUPLE_KEYS = {"source", "destination", "source_port", "destination_port", "packets", "bytes"}
NETFILTER_NAMES = {"found", "invalid", "insert", "insert_failed", "drop", "early_drop", "error",
                   "search_restart", "clash_resolve", "chaintoolong"}


def connect(gateway):
    """A client of the control socket that does as it is told."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(gateway.control_socket)
    return client


def ask_raw(gateway, request):
    """The lines of the answer to `request`, which is an object, or bytes as they are to be sent."""
    line = request if isinstance(request, bytes) else json.dumps(request).encode()
    with connect(gateway) as client:
        client.sendall(line + b"\n")
        client.shutdown(socket.SHUT_WR)
        return [json.loads(row) for row in client.makefile() if row.strip()]


def sockets_of(process):
    """How many sockets a process has open."""
    links = pathlib.Path(f"/proc/{process.pid}/fd").iterdir()
    count = 0
    for link in links:
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(link).startswith("socket:")
    return count


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


class Robust(GatewayCase):
    """Exit codes, absent daemons, and clients that go away."""

    def test_exit_codes(self):
        def status(*argv):
            return run(argv, check=False).returncode
        control = build().control
        self.assertEqual(status(control, "--socket", self.gateway.control_socket, "version"), 0)
        self.assertEqual(status(control, "flows", "bogus"), 2)
        self.assertEqual(status(control, "--help"), 0)
        absent = run([control, "--socket", self.lab.path("absent.sock"), "stats"], check=False)
        self.assertEqual(absent.returncode, 3)
        self.assertIn("absent.sock", absent.stderr)

    def test_config_check(self):
        control = build().control
        good = run([control, "config", "check", self.gateway.config_path], check=False)
        self.assertEqual(good.returncode, 0, good.stderr)
        path = self.lab.path("bad.toml")
        with open(self.gateway.config_path, encoding="utf-8") as original, \
                open(path, "w", encoding="utf-8") as bad:
            bad.write(original.read().replace("workers = 2", "workers = 0"))
        faulty = run([control, "config", "check", path], check=False)
        self.assertEqual(faulty.returncode, 1)
        self.assertIn("bad.toml", faulty.stderr)

    def test_client_that_vanishes(self):
        run_storm(build().storm, self.topology, self.gateway, connections=20000)
        for _ in range(20):
            with subprocess.Popen(self.gateway.control_command("flows", "list"),
                                  stdout=subprocess.PIPE) as client:
                client.stdout.readline()
                client.kill()
        self.assertEqual(len(self.gateway.text("flows", "list").splitlines()),
                         self.gateway.flow_count())
        self.assert_pings(POD)

    def test_closed_pipe_is_quiet(self):
        run_storm(build().storm, self.topology, self.gateway, connections=20000)
        command = " ".join(self.gateway.control_command("flows", "list"))
        result = run(["sh", "-c", f"{command} | head -n 1"])
        self.assertEqual(result.stderr, "")
        self.assertTrue(result.stdout.startswith("tcp"))

    def test_an_output_that_cannot_be_written_is_an_error(self):
        command = " ".join(self.gateway.control_command("stats"))
        result = run(["sh", "-c", f"{command} > /dev/full"], check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write: No space left on device", result.stderr)

    def test_a_pager_that_reads_nothing_holds_nothing_up(self):
        run_storm(build().storm, self.topology, self.gateway, connections=60000)
        before = sockets_of(self.gateway.process)
        with subprocess.Popen(self.gateway.control_command("flows", "list"),
                              stdout=subprocess.PIPE) as client:
            client.stdout.readline()
            # The list is longer than any buffer on its way. Nobody reads on, and yet the client
            # has all of it: the daemon has nothing more to do with it.
            wait_until(lambda: sockets_of(self.gateway.process) == before, timeout_s=20,
                       what="the client reads the whole answer")
            self.assertEqual(1 + sum(1 for _ in client.stdout), self.gateway.flow_count())
        self.assertEqual(client.returncode, 0)

    def test_text_is_as_fast_as_json(self):
        run_storm(build().storm, self.topology, self.gateway, connections=40000)

        def seconds(*form):
            command = self.gateway.control_command(*form, "flows", "list")
            began = time.monotonic()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            return time.monotonic() - began

        took = [(seconds(), seconds("--json")) for _ in range(7)]
        text, programs = (min(column) for column in zip(*took))
        self.assertLess(text, 1.5 * programs)

    def test_a_stopped_daemon_is_given_up(self):
        command = self.gateway.control_command("--timeout", 1, "stats")
        os.kill(self.gateway.process.pid, signal.SIGSTOP)
        try:
            # The backlog of the socket fills up: then not even a connection is made.
            clients = [subprocess.Popen(command, stdout=subprocess.DEVNULL,  # pylint: disable=R1732
                                        stderr=subprocess.PIPE, text=True) for _ in range(24)]
            for client in clients:
                _, said = client.communicate(timeout=30)
                self.assertEqual(client.returncode, 3)
                self.assertIn(f"{self.gateway.control_socket} has been silent for 1 s", said)
        finally:
            os.kill(self.gateway.process.pid, signal.SIGCONT)
        self.gateway.json("version")

    def test_clients_that_read_nothing_lock_nobody_out(self):
        run_storm(build().storm, self.topology, self.gateway, connections=20000)
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                client = stack.enter_context(connect(self.gateway))
                client.sendall(b'{"command":"flows list"}\n')
            self.gateway.json("version", timeout_s=10)
            for _ in range(8):
                stack.enter_context(connect(self.gateway))
            self.gateway.json("version", timeout_s=10)

    def test_json_of_many_flows_is_valid_while_they_change(self):
        run_storm(build().storm, self.topology, self.gateway, connections=20000)
        flood = self.lb.start("ping", "-n", "-f", POD, name="flood")
        for _ in range(5):
            rows = json.loads(self.gateway.text("--json", "flows", "list"))
            self.assertGreaterEqual(len(rows), 20000)
        flood.stop()


class SmallStacks(GatewayCase):
    """A daemon whose threads have stacks of 2 MiB."""

    starts_gateway = False

    def test_a_deep_request_is_refused(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
        resource.setrlimit(resource.RLIMIT_STACK, (2 << 20, hard))
        try:
            self.gateway.start(self.topology)
        finally:
            resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
        self.addCleanup(self.gateway.stop)
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            depth = 60000 // len(opening + closing)
            nested = opening * depth + b"0" + closing * depth
            for key in (b"filter", b"top", b"x"):
                answer = ask_raw(self.gateway,
                                 b'{"command":"flows list","' + key + b'":' + nested + b"}")
                self.assertEqual(answer,
                                 [{"error": "the request is nested deeper than 8 levels"}])
        self.assertIsNone(self.gateway.process.returncode)
        self.gateway.json("version")


class Usage(LabCase):
    """Wrong words and values: what is wrong is named, with what may stand there; exit status 2."""

    CASES = (
        (("flows", "flst"), 'noclashctl flows: there is no command "flst" '
         '(list, count, flush, show); did you mean list?'),
        (("flosw", "list"), 'there is no command "flosw"'),
        (("flosw",), "did you mean flows?"),
        (("stat",), "did you mean stats?"),
        (("flows",), "noclashctl flows: a command is required (list, count, flush, show)"),
        ((), "noclashctl: a command is required (flows, stats, ports"),
        (("config",), "noclashctl config: a command is required (check)"),
        (("config", "chekc", "file"), "did you mean check?"),
        (("stats", "ports"), 'noclashctl stats: "ports" is one word too many'),
        (("flows", "list", "tcp"), 'noclashctl flows list: "tcp" is one word too many'),
        (("flows", "list", "--protcol", "tcp"),
         "there is no option --protcol; did you mean --protocol?"),
        (("flows", "list", "--prot=tcp"), "there is no option --prot; did you mean --protocol?"),
        (("flows", "list", "--jsn"), "there is no option --jsn; did you mean --json?"),
        (("flows", "list", "--zone", "1"), "there is no option --zone"),
        (("flows", "list", "--port", "70000"),
         "--port: 70000 is no port: expected a number from 0 to 65535"),
        (("flows", "list", "--port", "-1"), "--port: -1 is no port"),
        (("flows", "list", "--port", "0x50"), "--port: 0x50 is no port"),
        (("flows", "list", "--port", "http"), "--port: http is no port"),
        (("flows", "list", "--port", ""), "--port"),
        (("flows", "list", "--port"), "--port"),
        (("flows", "count", "--source-port", "65536"), "--source-port: 65536 is no port"),
        (("flows", "flush", "--destination-port", "65536"), "--destination-port: 65536"),
        (("flows", "list", "--protocol", "tpc"), "did you mean tcp?"),
        (("flows", "list", "--protocol", "256"), "256 is no protocol that is translated"),
        (("flows", "list", "--state", "ESTABLISHD"), "did you mean ESTABLISHED?"),
        (("flows", "list", "--source", "10.1.0.300"), "--source: 10.1.0.300 is no address"),
        (("flows", "list", "--address", "10.1.0.0/33"), "--address: 10.1.0.0/33 is no address"),
        (("subscribers", "--top", "0"), "--top: 0 is no count: expected a number from 1"),
        (("subscribers", "--top", "many"), "--top: many is no count"),
        (("--timeout", "0", "stats"), "--timeout: 0 is no number of seconds"),
        (("flows", "show"), "is required"),
        (("flows", "show", "--protocol", "TCP", "--source", LB, "--destination", POD,
          "--source-port", "5"), "--destination-port is required"),
        (("flows", "show", "--protocol", "6", "--source", LB, "--destination", POD),
         "--source-port is required"),
        (("flows", "show", "--protocol", "icmp", "--source", LB, "--destination", POD),
         "--source-port is required"),
    )

    def test_wrong_words(self):
        socket_path = self.lab.path("absent.sock")
        for words, expected in self.CASES:
            with self.subTest(words=words):
                result = run([build().control, "--socket", socket_path, *words], check=False)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertIn(expected, result.stderr)
                self.assertIn("--help` says more", result.stderr)
                self.assertEqual(result.stdout, "")

    def test_right_words(self):
        """These only lack a daemon."""
        absent = ["--socket", self.lab.path("absent.sock")]
        for words in (("flows", "list", "--port", "0"), ("flows", "list", "--port", "65535"),
                      ("flows", "list", "--protocol", "TCP"), ("flows", "list", "--state", "close"),
                      ("flows", "list", "--protocol", "132"), ("--json", "stats"),
                      ("flows", "show", "--protocol", "gre", "--source", LB, "--destination", POD),
                      ("subscribers", "--top", "1")):
            with self.subTest(words=words):
                result = run([build().control, *absent, *words], check=False)
                self.assertEqual(result.returncode, 3, result.stderr)


class StrangeDaemons(LabCase):
    """What answers ends in the middle, speaks nonsense, or is of another version."""

    def ask_one_that_says(self, answer, *words):
        """Runs noclashctl with something on its socket that says `answer` and hangs up."""
        path = self.lab.path("strange.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen()
            with subprocess.Popen([build().control, "--socket", path, *words],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True) as client:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
                said, complaint = client.communicate(timeout=30)
        os.unlink(path)
        return client.returncode, said, complaint

    def test_one_that_dies(self):
        half = b'{"row":"one"}\n{"row":"two"}\n{"ro'
        status, said, complaint = self.ask_one_that_says(half, "flows", "list")
        self.assertEqual((status, said), (3, "one\ntwo\n"))
        self.assertIn("closed the connection in mid-answer", complaint)
        status, said, _ = self.ask_one_that_says(half, "--json", "flows", "list")
        self.assertEqual(status, 3)
        self.assertRaises(ValueError, json.loads, said)

    def test_one_that_speaks_nonsense(self):
        for nonsense in (b"HTTP/1.1 200 OK\r\n\r\n", b"\xff\xfe\n", b"3\n", b'{"row":1\n'):
            status, said, complaint = self.ask_one_that_says(nonsense, "stats")
            self.assertEqual((status, said), (3, ""))
            self.assertIn("not as noclash does", complaint)

    def test_one_of_another_version(self):
        for row in (b'{"amount":3}', b'{"count":"many"}', b"3", b"[}"):
            status, said, complaint = self.ask_one_that_says(
                b'{"row":' + row + b'}\n{"end":{"rows":1}}\n', "flows", "count")
            self.assertEqual((status, said), (1, ""), row)
            self.assertIn("is noclash of another version?", complaint)

    def test_one_that_refuses(self):
        status, said, complaint = self.ask_one_that_says(b'{"error":"no such command"}\n', "memory")
        self.assertEqual((status, said), (1, ""))
        self.assertEqual(complaint, "noclashctl: no such command\n")


class Description(GatewayCase):
    """docs/json.md names exactly the fields that there are."""

    settings = {"rules": rule("service", "dnat", in_="lb", protocol="tcp", to=f"{GATEWAY_LB}/32",
                              to_port=80, target=f"{POD}:8000")
                + rule("mapped", "masquerade", in_="lb", mapping="endpoint-independent",
                       filtering="address-dependent"),
                "extra": "[limits]\nflows_per_subscriber = 1000\n"}

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
        self.serve(8000)
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000", f"{LB}:5001"))
        listed = ("flows", "list")
        json_of = self.gateway.json
        self.assert_described("flows list", json_of(*listed))
        self.assert_described("mappings", json_of(*listed, "--state", "MAPPING"))
        self.assert_described("permissions", json_of(*listed, "--state", "PERMISSION"))
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
        self.assertEqual(self.fields, {}, "described, but not tried here")


if __name__ == "__main__":
    main()
