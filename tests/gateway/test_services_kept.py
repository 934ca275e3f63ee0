#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Services that commands have made: they outlive reloads and restarts, and no file takes their
place unawares."""

import signal
import socket

from gateway_case import main
from lab.process import LabError, run
from restart_case import NAME
from service_case import BACKENDS, VIP, ServiceCase, at, service, toml

IN_FILE = service("in-file", ports=81)


class CommandCase(ServiceCase):
    """With a service of the file, and one of a command."""

    timeout_s = 120
    services = (IN_FILE,)

    def gateway_settings(self):
        return {**super().gateway_settings(), "name": NAME,
                "state": self.lab.memory_path(f"{NAME}.state")}

    def setUp(self):
        super().setUp()
        self.change({"op": "set", "service": service(inhibit={"failures": 7, "first_s": 8,
                                                              "most_s": 9})},
                    {"op": "set_backend", "name": "web", "backend": at(BACKENDS[0]), "weight": 7},
                    self.drain(at(BACKENDS[1])), self.health(at(BACKENDS[2]), False),
                    self.drain(at(BACKENDS[1], 80), "in-file"))

    def said(self):
        """All that commands have said, and the file."""
        rows = self.ask_control("service list")
        for row in rows:
            row["backends"] = [{key: backend[key] for key in ("backend", "weight", "state",
                                                              "health")}
                               for backend in row["backends"]]
        return sorted(rows, key=lambda row: row["name"])


class Kept(CommandCase):
    """What commands have said."""

    def assert_in_use_over(self, happens):
        listening = self.listen_all()
        client, backend, server = self.connection(listening)
        self.assertEqual(backend, BACKENDS[0], "the others drain or are down")
        before = self.said()
        happens()
        self.assertEqual(self.said(), before)
        self.assert_in_use(client, server)
        for _ in range(10):
            self.assertEqual(self.connection(listening)[1], BACKENDS[0])

    def restart(self, end):
        status = self.gateway.process.stop(number=end, timeout_s=10)
        self.assertEqual(status, 0 if end == signal.SIGTERM else -end)
        self.gateway.launch(self.topology.gateway)

    def test_over_a_kill(self):
        self.assert_in_use_over(lambda: self.restart(signal.SIGKILL))

    def test_over_a_stop(self):
        self.assert_in_use_over(lambda: self.restart(signal.SIGTERM))

    def test_over_a_reload(self):
        def reload():
            self.gateway.change_configuration(
                rules=toml(*self.services, service("other", ports=82)))
            self.gateway.json("reload")
            self.assertIsNotNone(self.service_row("other"))
            self.gateway.change_configuration(rules=toml(*self.services))
            self.gateway.json("reload")
        self.assert_in_use_over(reload)

    def test_while_an_address_is_given_up(self):
        """Another policy takes the place of one with an address that no flow has any more."""
        def give_up():
            self.change({"op": "set", "service": service("brief", address="192.0.2.8")})
            self.change({"op": "remove", "name": "brief"})
            self.change({"op": "set_backend", "name": "web", "backend": at(BACKENDS[0]),
                         "weight": 8})
            self.wait_until(lambda: "are given up" in self.gateway.process.log(),
                            "the address is given up", 25)
            self.assertEqual(self.backend_rows()[at(BACKENDS[0])]["weight"], 8)
            self.change({"op": "set_backend", "name": "web", "backend": at(BACKENDS[0]),
                         "weight": 7})
        self.assert_in_use_over(give_up)
        self.assertEqual(self.change({"op": "set_backend", "name": "web",
                                      "backend": at(BACKENDS[0]), "weight": 7})["unchanged"], 1)


class Datagrams(CommandCase):
    """Connections over UDP, as QUIC's: their servers know nothing of a gateway's restart."""

    SOCKETS = 20

    def seen(self, clients):
        """By each client's server: the client's end and the server's."""
        answers = []
        for client in clients:
            client.send(b"?")
            answers.append(client.recv(200))
        return answers

    def test_flows_stay_where_they_are(self):
        self.change({"op": "set", "service": service("quic", protocol="udp", ports=443,
                                                     backends=[at(backend, 443)
                                                               for backend in BACKENDS])})
        self.serve_all(443)
        clients = [self.socket(socket.SOCK_DGRAM, connect=(VIP, 443))
                   for _ in range(self.SOCKETS)]
        before = self.seen(clients)
        self.assertGreater(len({answer.split()[1] for answer in before}), 1)
        for end in (signal.SIGKILL, signal.SIGTERM):
            self.gateway.process.stop(number=end, timeout_s=10)
            self.gateway.launch(self.topology.gateway)
            self.assertEqual(self.seen(clients), before)
        openings = sum(row["openings"] for row in self.backend_rows("quic").values())
        self.assertEqual(openings, 0, "no flow was opened anew")


class Refused(CommandCase):
    """Who would take something away."""

    def refused(self, *services):
        """A reload with these; returns what people read of it."""
        self.gateway.change_configuration(rules=toml(*services))
        result = run(self.gateway.control_command("reload"), check=False)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def test_a_file_that_takes_the_vip(self):
        before = self.said()
        words = self.refused(IN_FILE, service("taker"))
        self.assertIn('"taker"', words)
        self.assertIn('"web"', words)
        self.assertEqual(self.said(), before)

    def test_a_file_that_takes_the_name(self):
        before = self.said()
        self.assertIn('"web"', self.refused(IN_FILE, service("web", ports=4443)))
        self.assertEqual(self.said(), before)

    def test_a_command_that_takes_the_files(self):
        before = self.said()
        for change, words in (
                ({"op": "set", "service": service("in-file")}, "stands in the configuration file"),
                ({"op": "remove", "name": "in-file"}, "stands in the configuration file"),
                ({"op": "set", "service": service("taker", ports=81)}, "in-file"),
                ({"op": "set", "service": service("taker", ports=99, backends=[f"{VIP}:80"])},
                 "backends"),
                ({"op": "drain", "name": "web", "backend": "10.2.0.9:80"}, "no backend")):
            with self.subTest(change):
                # The first change would do; the second has it not done either.
                with self.assertRaisesRegex(LabError, rf"changes\[1\].*{words}"):
                    self.change(self.drain(at(BACKENDS[1]), op="undrain"), change)
                self.assertEqual(self.said(), before)

    def test_the_same_again_changes_nothing(self):
        self.change({"op": "set", "service": service("again", ports=99)})
        row = self.change({"op": "set", "service": service("again", ports=99)},
                          {"op": "remove", "name": "nobody"},
                          self.drain(at(BACKENDS[1])))
        self.assertEqual((row["changed"], row["unchanged"]), (0, 3))


if __name__ == "__main__":
    main()
