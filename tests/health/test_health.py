#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""noclash-health with real servers, in a namespace of its own, and with a daemon that has services
and nothing else (fake_daemon.py).

    sudo tests/health/test_health.py [TestCase.test_name]   against build/, or NOCLASH_BUILD
"""

import json
import os
import pathlib
import re
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "gateway"))

from gateway_case import LabCase, build, main  # noqa: E402  (the path above comes first)
from lab import builds  # noqa: E402
from lab.process import run, wait_until  # noqa: E402
from fake_daemon import FakeDaemon, Service  # noqa: E402
from test_service_manager import Manager  # noqa: E402
from servers import Acceptor, WebServer, listen, make_certificate  # noqa: E402

A, B, C = "127.0.0.2", "127.0.0.3", "127.0.0.4"
# Fast enough for a test, and slow enough for a machine that does much else.
QUICK = "[defaults]\ninterval_ms = 400\ntimeout_ms = 400\nrise = 2\nfall = 3\n"
PATIENT = "[defaults]\ninterval_ms = 20000\ntimeout_ms = 20000\n"


def check(kind, service="web", **keys):
    """A `[[check]]` of the file."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(["[[check]]", f'service = "{service}"', f'kind = "{kind}"', *lines]) + "\n"


class HealthCase(LabCase):
    """A namespace, and a daemon that runs."""

    services = ()  # of the daemon

    def setUp(self):
        super().setUp()
        self.namespace = self.lab.namespace("health")
        self.program = os.path.join(build().directory, "tools", "health", "noclash-health")
        self.process = None
        self.daemon = FakeDaemon(self.lab.path("control.sock"),
                                 [Service(name, *rest) for name, *rest in self.services])
        self.daemon.start()
        self.addCleanup(self._end_daemon)

    def _end_daemon(self):
        self.daemon.stop()
        self.assertEqual(self.daemon.faults, [])

    def web(self, address, port=80, **options):
        """A web server that runs until the test ends."""
        server = WebServer(self.namespace, address, port, **options)
        self.addCleanup(server.stop)
        return server

    def write(self, text):
        """The file; returns its path."""
        path = self.lab.path("health.toml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(f'control_socket = "{self.daemon.path}"\n{text}')
        return path

    def start(self, text, *, before=()):
        """Starts checks."""
        self.process = self.namespace.start(*before, self.program, "--config", self.write(text),
                                            name="noclash-health")

    def once(self, text):
        """One round: the exit status, and the rows by service and backend."""
        done = self.namespace.run(self.program, "--config", self.write(text), "--once", "--json",
                                  check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        rows = {(row["service"], row["backend"]): row for row in json.loads(done.stdout)}
        self.assertEqual(done.returncode, 0 if all(row["up"] for row in rows.values()) else 1)
        return rows

    def outcome(self, text):
        """Of the one backend: up, and the words."""
        row, = self.once(text).values()
        return row["up"], row["words"]

    def wait_for(self, health, *, backend, service="web"):
        """Waits until the daemon has this health."""
        self.wait_until(lambda: self.daemon.health(service, backend) == health,
                        f"{service} {backend} is {health}")

    def wait_until(self, predicate, what):
        """Waits; a process that has ended keeps nobody waiting."""
        def happened():
            self.assertIsNone(self.process.returncode, self.process.log())
            return predicate()
        wait_until(happened, timeout_s=20, what=what)

    def end(self, number=signal.SIGTERM):
        """Ends the process in order."""
        self.assertEqual(self.process.stop(number=number), 0, self.process.log())
        return self.process.log()


class Changes(HealthCase):
    """States that the daemon is told."""

    services = [("web", [f"{A}:80", f"{B}:80"])]

    def test_a_server_stops_and_starts(self):
        self.web(B)
        server = WebServer(self.namespace, A, 80)
        self.start(QUICK + check("tcp"))
        self.wait_for("up", backend=f"{A}:80")
        self.wait_for("up", backend=f"{B}:80")
        server.stop()
        self.wait_for("down", backend=f"{A}:80")
        self.web(A)
        self.wait_for("up", backend=f"{A}:80")
        self.assertEqual(self.daemon.health("web", f"{B}:80"), "up")
        log = self.end()
        self.assertIn(f"web {A}:80 down: connection refused (3 of 3)", log)
        self.assertEqual(log.count(f"web {A}:80 up: connected (2 of 2)"), 2, log)
        ups = [change["up"] for change in self.daemon.changes if change["backend"] == f"{A}:80"]
        self.assertEqual(ups, [True, False, True])

    def test_a_status_that_is_an_error(self):
        good, bad = self.web(A), self.web(B)
        bad.status = 500
        self.start(QUICK + check("http", path="/health?full=1"))
        self.wait_for("up", backend=f"{A}:80")
        self.wait_for("down", backend=f"{B}:80")
        bad.status = 204
        self.wait_for("up", backend=f"{B}:80")
        self.assertIn(f"web {B}:80 down: status 500, expected 200-399 (3 of 3)", self.end())
        self.assertEqual(set(good.seen), {("/health?full=1", A, "127.0.0.1")})

    def test_the_daemon_starts_again(self):
        self.web(A)
        self.start(QUICK + check("tcp"))
        self.wait_for("up", backend=f"{A}:80")
        self.wait_for("down", backend=f"{B}:80")
        self.wait_until(lambda: self.daemon.heartbeats > 0, "a sign of life")
        self.daemon.restart()
        self.wait_for("up", backend=f"{A}:80")
        self.wait_for("down", backend=f"{B}:80")
        self.assertEqual(self.end(signal.SIGINT).count(" (2 of 2)"), 1, "its health went on")

    def test_the_daemon_is_away_for_a_while(self):
        self.web(A)
        self.start(QUICK + check("tcp"))
        self.wait_for("up", backend=f"{A}:80")
        self.daemon.stop()
        self.web(B)
        self.wait_until(lambda: f"web {B}:80 up" in self.process.log(), "checks go on")
        self.wait_until(lambda: "no noclash answers at" in self.process.log(), "the log says so")
        self.daemon.start()
        self.wait_for("up", backend=f"{B}:80")
        self.end()

    def test_the_daemon_stands_still(self):
        self.web(A)
        self.start(QUICK + check("tcp"))
        self.wait_for("up", backend=f"{A}:80")
        with self.daemon.standing_still():
            self.web(B)
            self.wait_until(lambda: f"web {B}:80 up" in self.process.log(), "checks go on")
            self.wait_until(lambda: "has been silent for 3 s" in self.process.log(),
                            "the log says so")
        self.wait_for("up", backend=f"{B}:80")
        self.end()

    def test_ends_while_the_daemon_stands_still(self):
        self.start(QUICK + check("tcp"))
        self.wait_for("down", backend=f"{A}:80")
        with self.daemon.standing_still():
            self.end()

    def test_the_daemon_loses_a_state(self):
        self.web(A)
        self.start(QUICK + check("tcp"))
        self.wait_for("up", backend=f"{A}:80")
        self.daemon.add("web", f"{A}:80")  # anew, of unknown health
        self.wait_for("up", backend=f"{A}:80")
        self.end()

    def test_a_daemon_that_knows_no_heartbeat(self):
        self.daemon.answers_heartbeats = False
        self.start(QUICK + check("tcp"))
        self.wait_for("down", backend=f"{A}:80")
        self.assertNotIn("no such command", self.end())

    def test_backends_come_and_go(self):
        leaving = self.web(A)
        self.web(C)
        self.start(QUICK + check("http"))
        self.wait_for("up", backend=f"{A}:80")
        self.daemon.add("web", f"{C}:80")
        self.wait_for("up", backend=f"{C}:80")
        self.daemon.remove("web", f"{A}:80")
        self.wait_until(lambda: f"web {A}:80: not checked any more" in self.process.log(),
                        "one that has gone is not checked")
        before = len(leaving.seen)
        time.sleep(4 * 0.4)
        self.assertLessEqual(len(leaving.seen), before + 1, "one check may have been in flight")
        self.end()

    def test_goes_on_from_the_health_that_the_daemon_has(self):
        healthy = self.web(A)
        self.daemon.services["web"].health.update({f"{A}:80": "up", f"{B}:80": "down"})
        self.start(QUICK + check("http"))
        self.web(B)
        self.wait_for("up", backend=f"{B}:80")
        self.wait_until(lambda: len(healthy.seen) >= 4, "the other one is checked, too")
        self.end()
        self.assertEqual([change["backend"] for change in self.daemon.changes], [f"{B}:80"])


class Many(HealthCase):
    """Many backends, on one core."""

    timeout_s = 120
    count = 2000
    seconds = 10
    addresses = [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(count)]
    services = [("web", [f"{address}:80" for address in addresses])]

    def test_they_keep_their_interval(self):
        acceptor = Acceptor(self.namespace, 80)
        self.addCleanup(acceptor.stop)
        self.start("[defaults]\ninterval_ms = 1000\ntimeout_ms = 1000\nrise = 1\n" + check("tcp"),
                   before=["taskset", "--cpu-list", min(os.sched_getaffinity(0))])
        self.wait_until(lambda: "unknown" not in self.daemon.services["web"].health.values(),
                        "all have been checked")
        begun, begun_cpu_s = time.monotonic(), self.cpu_s()
        time.sleep(self.seconds)
        passed = time.monotonic() - begun
        cpu = (self.cpu_s() - begun_cpu_s) / passed
        gaps = sorted(later - earlier for moments in acceptor.moments.values()
                      for earlier, later in zip(moments, moments[1:]) if later >= begun)
        checks = sum(moment >= begun for moments in acceptor.moments.values()
                     for moment in moments) / passed
        print(f"\n  {self.count} backends, interval 1 s: {checks:.0f} checks a second, on "
              f"{cpu:.0%} of a core; from one check to the next {statistics.mean(gaps):.3f} s, "
              f"95% within {gaps[len(gaps) // 40]:.3f} to {gaps[-len(gaps) // 40]:.3f} s, "
              f"longest {gaps[-1]:.3f} s; largest request: {max(self.daemon.requests)} changes",
              flush=True)
        self.assertEqual(set(acceptor.moments), set(self.addresses))
        self.end()

    def cpu_s(self):
        """What the process has computed so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as handle:
            fields = handle.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Refused(HealthCase):
    """The daemon takes all changes of a request, or none."""

    services = [("web", [f"127.2.0.{number}:80" for number in range(1, 101)])]

    def test_the_others_are_written(self):
        # Listed, but not to be changed: as if it went in between.
        refused = "127.2.0.42:80"
        change = self.daemon._change  # pylint: disable=protected-access

        def without_one(changes):
            for number, one in enumerate(changes):
                if one["backend"] == refused:
                    self.daemon.requests.append(len(changes))
                    raise ValueError(f"changes[{number}]: no such backend")
            return change(changes)

        self.daemon._change = without_one  # pylint: disable=protected-access
        self.start(QUICK + check("tcp"))
        for backend in self.daemon.services["web"].health:
            if backend != refused:
                self.wait_for("down", backend=backend)
        self.wait_until(lambda: "refuses its health" in self.process.log(), "the log says so")
        time.sleep(2)
        self.assertEqual(self.end().count("refuses its health: changes[0]: no such backend"), 1)
        self.assertEqual(self.daemon.health("web", refused), "unknown")


class Tcp(HealthCase):
    """kind = "tcp"."""

    services = [("web", [f"{A}:80"])]

    def test_sources_and_interfaces(self):
        server = self.web(A)
        self.assertEqual(self.outcome(PATIENT + check("http", source="127.0.0.9", interface="lo")),
                         (True, "status 200"))
        self.assertEqual(server.seen[-1][2], "127.0.0.9")
        self.assertEqual(self.outcome(PATIENT + check("tcp", interface="nowhere")),
                         (False, "interface nowhere: no such device"))
        self.assertEqual(self.outcome(PATIENT + check("http", source="198.51.100.1")),
                         (False, "source 198.51.100.1: cannot assign requested address"))

    def test_another_port(self):
        self.web(A, 81)
        self.assertFalse(self.outcome(PATIENT + check("tcp"))[0])
        self.assertTrue(self.outcome(PATIENT + check("tcp", port=81))[0])

    def test_nobody_there(self):
        self.namespace.nft("table ip t { chain c { type filter hook input priority 0;"
                           f" ip daddr {A} tcp dport 80 drop; }}; }}")
        self.assertEqual(self.outcome("[defaults]\ntimeout_ms = 300\n" + check("tcp")),
                         (False, "no connection within 300 ms"))


class Http(HealthCase):
    """kind = "http" and "https"."""

    services = [("web", [f"{A}:80"])]

    def test_a_server_that_accepts_and_never_answers(self):
        listener = listen(self.namespace, A, 80)
        self.addCleanup(listener.close)
        self.assertEqual(self.outcome("[defaults]\ntimeout_ms = 300\n" + check("http")),
                         (False, "no answer within 300 ms"))
        self.assertTrue(self.outcome(PATIENT + check("tcp"))[0])

    def test_statuses(self):
        server = self.web(A)
        for status, wanted, fit in ((200, ["200", "404-410"], True), (410, ["200", "404-410"], True),
                                    (403, ["200", "404-410"], False), (302, None, True)):
            server.status = status
            keys = {"status": wanted} if wanted else {}
            self.assertEqual(self.outcome(PATIENT + check("http", **keys))[0], fit, status)

    def test_the_host_is_the_checks(self):
        for port, seen in ((80, "www.test"), (8080, "www.test:8080")):
            server = self.web(A, port)
            self.assertTrue(self.outcome(PATIENT + check("http", host="www.test", port=port))[0])
            self.assertEqual(server.seen[-1][1], seen)

    def test_certificates(self):
        certificate = make_certificate(self.lab.directory, "www.test")
        self.web(A, certificate=certificate)
        ours = {"ca_file": certificate[0]}
        self.assertEqual(self.outcome(PATIENT + check("https", verify=False)), (True, "status 200"))
        self.assertEqual(self.outcome(PATIENT + check("https", host="www.test", **ours)),
                         (True, "status 200"))
        for keys, words in (({}, "self-signed certificate"),
                            ({"host": "www.test"}, "self-signed certificate"),
                            ({"host": "other.test", **ours}, "no alternative certificate subject")):
            up, said = self.outcome(PATIENT + check("https", **keys))
            self.assertFalse(up, keys)
            self.assertIn(words, said)

    def test_the_environments_proxy_does_not_count(self):
        self.web(A)
        path = self.write(PATIENT + check("http"))
        done = self.namespace.run("env", "http_proxy=http://127.0.0.77:1", self.program,
                                  "--config", path, "--once")
        self.assertRegex(done.stdout, rf"web +{A}:80 +http +up +[0-9.]+ +status 200\n")


class Dns(HealthCase):
    """kind = "dns", with dnsmasq."""

    services = [("names", [f"{A}:53"])]

    def setUp(self):
        super().setUp()
        server = self.namespace.start(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            "--pid-file=", "--user=root", f"--listen-address={A}", "--bind-interfaces",
            "--address=/there.test/192.0.2.1", "--local=/test/", "--log-facility=-",
            name="dnsmasq")
        server.wait_ready(lambda: "started" in server.log())

    def ask(self, name, **keys):
        """What came of a check that asks for a name."""
        return self.outcome(PATIENT + check("dns", "names", name=name, **keys))

    def test_answers(self):
        self.assertEqual(self.ask("There.Test"), (True, "DNS answer NOERROR"))
        self.assertEqual(self.ask("nowhere.test"), (False, "DNS answer NXDOMAIN"))
        self.assertEqual(self.ask("nowhere.test", nxdomain=True), (True, "DNS answer NXDOMAIN"))
        self.assertEqual(self.ask("example.org", nxdomain=True), (False, "DNS answer REFUSED"))

    def test_nobody_there(self):
        self.assertEqual(self.ask("there.test", port=54), (False, "connection refused"))

    def test_no_answer(self):
        self.namespace.nft("table ip t { chain c { type filter hook input priority 0;"
                           " udp dport 53 drop; }; }")
        self.assertEqual(self.outcome("[defaults]\ntimeout_ms = 300\n"
                                      + check("dns", "names", name="there.test")),
                         (False, "no answer within 300 ms"))


class Icmp(HealthCase):
    """kind = "icmp"."""

    services = [("any", [A, f"{B}:80"], ["8000-8010"])]

    def test_sockets_of_both_kinds(self):
        for groups in ("1 0", "0 2147483647"):  # raw sockets; ping sockets
            with self.subTest(groups=groups):
                self.namespace.sysctl("net.ipv4.ping_group_range", f'"{groups}"')
                rows = self.once(PATIENT + check("icmp", "any"))
                self.assertEqual({key: row["words"] for key, row in rows.items()},
                                 {("any", A): "echo reply", ("any", f"{B}:80"): "echo reply"})
                self.namespace.sysctl("net.ipv4.icmp_echo_ignore_all", 1)
                rows = self.once("[defaults]\ntimeout_ms = 300\n" + check("icmp", "any"))
                self.assertEqual({row["words"] for row in rows.values()},
                                 {"no answer within 300 ms"})
                self.namespace.sysctl("net.ipv4.icmp_echo_ignore_all", 0)

    def test_a_port_that_nobody_names(self):
        """A backend without a port gets the client's: which one shall be checked?"""
        self.web(B)
        path = self.write(PATIENT + check("tcp", "any"))
        done = self.namespace.run(self.program, "--config", path, "--once")
        self.assertIn(
            f"any {A}: not checked: it has no port of its own; name a `port`", done.stderr)
        self.assertNotIn(f"{A} ", done.stdout)


class Program(HealthCase):
    """The command line, and what systemd is told."""

    services = [("web", [f"{A}:80"])]

    def call(self, *words):
        """Runs the program to its end."""
        return run([self.program, *words], check=False)

    def test_a_file_is_checked(self):
        done = self.call("--config", self.write(check("tcp")), "--check")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("fit for use (checks: 1)", done.stdout)
        path = self.write(check("tcp", rise=0) + check("tpc"))
        for arguments in (("--check",), ("--once",), ()):
            done = self.call("--config", path, *arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"{path}:5:8: [check #1] rise: 0 is out of range", done.stderr)
            self.assertIn(f"{path}:8:8: [check #2] kind: \"tpc\" is not known", done.stderr)

    def test_the_docs_example_is_fit(self):
        with open(os.path.join(builds.ROOT, "docs", "health.md"), encoding="utf-8") as handle:
            example = re.search(r"^## The file\n\n```toml\n(.*?)^```",
                                handle.read(), re.M | re.S)[1]
        path = self.lab.path("example.toml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(example)
        done = self.call("--config", path, "--check")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("fit for use (checks: 3)", done.stdout)

    def test_systemd_is_told(self):
        manager = Manager(self.lab.path("notify.sock"))
        self.addCleanup(manager.close)
        self.start(QUICK + check("tcp"),
                   before=["env", f"NOTIFY_SOCKET={manager.path}", "WATCHDOG_USEC=2000000"])
        self.wait_until(manager.heard, "ready")
        self.assertRegex(manager.heard()[0], r"^READY=1\nSTATUS=checking as .*health\.toml says")
        self.wait_until(lambda: manager.feedings() > 2, "the watchdog is fed")
        self.end()
        self.assertRegex(manager.heard()[-1], "^STOPPING=1\n")

    def test_no_daemon(self):
        path = self.write(check("tcp")).replace("health.toml", "other.toml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write('control_socket = "/nowhere/control.sock"\n' + check("tcp"))
        done = self.call("--config", path, "--once")
        self.assertEqual(done.returncode, 3)
        self.assertIn("no noclash answers at /nowhere/control.sock", done.stderr)

    def test_a_service_that_is_not_there(self):
        done = self.call("--config", self.write(PATIENT + check("tcp", "wbe")), "--once")
        self.assertIn("wbe is no service of noclash", done.stderr)

    def test_usage(self):
        self.assertEqual(self.call("--check").returncode, 2)
        self.assertEqual(self.call("--config", "x", "--check", "--once").returncode, 2)
        self.assertEqual(self.call("--help").returncode, 0)

    def test_descriptors_that_are_not_there(self):
        path = self.write("max_in_flight = 1000\n" + check("tcp"))
        # Without CAP_SYS_RESOURCE nobody raises a limit.
        done = run(["prlimit", "--nofile=100:100", "setpriv", "--bounding-set=-sys_resource",
                    "--inh-caps=-sys_resource", self.program, "--config", path], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("max_in_flight = 1000 needs 1064 descriptors", done.stderr)


if __name__ == "__main__":
    main()
