#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line of noclashctl, and answers that no daemon of this version gives."""

import json
import os
import socket
import subprocess

from gateway_case import LabCase, build, main
from lab.process import run
from lab.topology import LB, POD


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
        (("state",), "noclashctl state: a command is required (show, remove, export, import)"),
        (("state", "shw", "--name", "edge1"), "did you mean show?"),
        (("state", "show"), "--config, --name or --path is required"),
        (("state", "show", "--name", "edge1", "--path", "x"), "--name"),
        (("state", "import", "x"), "--config is required"),
        (("config",), "noclashctl config: a command is required (check, diff)"),
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
        (("service",), "noclashctl service: a command is required (set, remove, set-backend, "
         "remove-backend, drain, undrain, apply)"),
        (("service", "darin", "web", POD), "did you mean drain?"),
        (("service", "drain", "web"), "BACKEND is required"),
        (("service", "drain", "web", "pod:80"), "BACKEND: pod:80 is no backend: expected the addr"),
        (("service", "drain", "web", POD, POD), f'"{POD}" is one word too many'),
        (("service", "set", "web", "--address", LB, "--ports", "80"), "--protocol is required"),
        (("service", "set", "web", "--address", LB, "--ports", "80", "--protocol", "tpc"),
         "did you mean tcp?"),
        (("service", "set", "web", "--backends", POD), "did you mean --backend?"),
        (("service", "set-backend", "web", POD, "--weight", "257"), "--weight: 257 is no weight"),
        (("service", "apply"), "FILE is required"),
        (("services", "web"), 'noclashctl services: "web" is one word too many'),
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
                      ("subscribers", "--top", "1"), ("services", "--service", "web"),
                      ("service", "set-backend", "web", f"{POD}:80", "--weight", "0"),
                      ("service", "set", "--backend", f"{POD}:80,{LB}", "web", "--ports", "80,90-99",
                       "--address", LB, "--protocol", "tcp")):
            with self.subTest(words=words):
                result = run([build().control, *absent, *words], check=False)
                self.assertEqual(result.returncode, 3, result.stderr)


class StrangeDaemons(LabCase):
    """Answers that end in the middle, are nonsense, or come from another version."""

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


if __name__ == "__main__":
    main()
