#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon ends, by force or in order, and the next one goes on with its flows."""

import json
import os
import random
import re
import signal
import stat
import time

from gateway_case import GatewayCase, build, main, node, rule
from lab.noclash import configuration
from lab.topology import GATEWAY_LB, LB, LB_SOURCES, POD
from restart_case import KEEPS, NAME, OUTBOUND, PEERS, WEB, RestartCase, Stacks


class GoesOn(RestartCase):
    """Every kind of conversation, on the same translation as before."""

    def assert_goes_on_after(self, *restarts):
        """`restarts` are the keyword arguments of each."""
        conversations = self.begin_all()
        for settings in restarts:
            before = self.translations()
            self.restart(**settings)
            after = self.translations()
            self.assert_all_go_on(conversations)
            self.assertEqual(after, before)
            self.assertGreaterEqual(self.adopted(), len(before))

    def test_after_kill(self):
        self.assert_goes_on_after({}, {})

    def test_after_a_crash(self):
        self.assert_goes_on_after({"end": signal.SIGABRT})

    def test_after_an_end_in_order(self):
        self.assert_goes_on_after({"end": signal.SIGTERM}, {"end": signal.SIGTERM})

    def test_with_other_workers(self):
        self.assert_goes_on_after({"workers": 1}, {"workers": 2}, {"workers": 1})

    def test_with_more_flows_and_fewer(self):
        self.assert_goes_on_after({"flows": 262144}, {"flows": 16384},
                                  {"flows": 131072, "end": signal.SIGTERM})


class Crowd(RestartCase):
    """More flows than the next daemon has room for."""

    COUNT = 2000  # records of a table for 1,024 flows, with what two workers keep: 1,816

    def test_is_refused_and_loses_nothing(self):
        here = [(self.INSIDE, 10000 + number) for number in range(self.COUNT)]
        there = (self.OUTSIDE, 7000)
        seen = {end: self.crosses(self.inside, self.outside, self.udp(end, there)).ends[0]
                for end in here}
        self.gateway.kill()
        self.gateway.change_configuration(flows=1024)
        self.gateway.spawn(self.topology.gateway)
        process = self.gateway.process
        self.wait_until(lambda: process.returncode is not None, "it says why not", 60)
        self.assertEqual(process.returncode, 1)
        self.assertIn(self.state, process.log())
        self.assertIn("raise `flows`", process.log())
        self.gateway.change_configuration(flows=4096)
        self.gateway.launch(self.topology.gateway)
        self.assertEqual(self.adopted(), self.COUNT)
        self.assertEqual(self.gateway.flow_count(), self.COUNT)
        for end in here[::50]:
            back = self.crosses(self.outside, self.inside, self.udp(there, seen[end]))
            self.assertEqual(back.ends, (there, end))


class Forgets(RestartCase):
    """What shows that the tests above see a loss when there is one."""

    def assert_is_lost(self):
        goes_on = self.begin_udp()
        self.restart()
        with self.assertRaisesRegex(AssertionError, "nothing arrived"):
            goes_on()
        self.assertNotIn("adopted", self.gateway.process.log())

    def test_without_a_name(self):
        self.gateway.change_configuration(name=None, state=None)
        self.restart()
        self.assert_is_lost()

    def test_where_nothing_is_to_be_kept(self):
        self.gateway.change_configuration(name=NAME, state=self.state, keep=False)
        self.restart()
        if os.path.exists(self.state):
            os.unlink(self.state)  # of the daemon before
        self.assert_is_lost()
        self.assertFalse(os.path.exists(self.state))


class Clock(RestartCase):
    """Flows age while no daemon runs."""

    settings = RestartCase.settings | {
        "extra": "[timeouts]\nbelow_rfc_floor = true\nudp_s = 5\nudp_stream_s = 5\n"}

    def test_what_expires_meanwhile_is_gone(self):
        connection = self.begin_segments()
        here, there = (self.INSIDE, 5003), (self.OUTSIDE, 7003)
        end = self.crosses(self.inside, self.outside, self.udp(here, there)).ends[0]
        self.gateway.stop()
        time.sleep(6)
        self.gateway.launch(self.topology.gateway)
        self.assertEqual([protocol for protocol, _ in self.translations()], ["tcp"])
        self.outside.send(self.udp(there, end))
        self.wait_until(self.gateway.drops, "it is dropped")
        self.assertIsNone(self.inside.receive(timeout_s=0.2))
        connection()

    def test_what_does_not_has_no_longer_to_live_than_before(self):
        connection = self.begin_segments()
        before = self.flow(5000)["timeout_s"]
        self.gateway.kill()
        time.sleep(3)
        self.gateway.launch(self.topology.gateway)
        self.assertLessEqual(self.flow(5000)["timeout_s"], before - 3)
        connection()


def service(protocol, *ports, name="service", **keys):
    return rule(name, "dnat", in_="lb", protocol=protocol, to=f"{GATEWAY_LB}/32", to_port=7000,
                target=[f"{POD}:{port}" for port in ports], source="masquerade", **keys)


class Changed(RestartCase):
    """The configuration is another one by the time of the next start: as after a reload."""

    def one_flow(self):
        """Asks by a UDP flow that a client keeps open: the same ports each time."""
        return self.ask("udp", node(7000), f"{LB}:5001")

    def begin_service(self, **keys):
        """A UDP service with one flow; returns the server's view."""
        self.serve(8000, 8001)
        self.restart(rules=service("udp", 8000, **keys) + OUTBOUND)
        seen = self.one_flow()
        self.assertIsNotNone(seen)
        return seen

    def test_flows_live_on_when_their_rule_goes(self):
        seen = self.begin_service()
        self.restart(rules=OUTBOUND)
        self.assertEqual(self.one_flow(), seen)
        self.assertIsNone(self.ask("udp", node(7000), f"{LB}:5002"), "a new one finds no rule")

    def test_they_end_where_the_rule_said_so(self):
        self.begin_service(on_change="end")
        other = self.begin_udp()
        self.restart(rules=OUTBOUND)
        self.assertEqual(list(self.translations()),
                         [("udp", (self.INSIDE, 5003, self.OUTSIDE, 7003))])
        self.assertIsNone(self.one_flow())
        other()

    def test_they_end_where_the_rule_that_forbids_them_is_new(self):
        """Its own rule is there still, behind one that drops what it let in."""
        self.begin_service(on_change="end")
        other = self.begin_udp()
        closed = rule("closed", "drop", in_="lb", protocol="udp", to_port=7000)
        self.restart(rules=closed + service("udp", 8000, on_change="end") + OUTBOUND)
        self.assertIsNone(self.one_flow())
        other()

    def test_a_udp_target_that_is_gone_ends(self):
        seen = self.begin_service()
        self.assertEqual(seen[1][1], 8000)
        other = self.begin_udp()
        self.restart(rules=service("udp", 8001) + OUTBOUND)
        self.assertEqual(self.one_flow()[1][1], 8001)
        other()

    def test_a_tcp_connection_lives_when_its_target_is_gone(self):
        self.restart(rules=service("tcp", 8000) + OUTBOUND)
        connection = Stacks(self, asked=(GATEWAY_LB, 7000))
        self.serve(8001)
        self.restart(rules=service("tcp", 8001) + OUTBOUND)
        connection.exchange()
        self.assertEqual(self.ask("tcp", node(7000))[1][1], 8001)

    def test_rules_are_known_by_their_names(self):
        """In another order, with new ones among them."""
        conversations = self.begin_all()
        before = self.translations()
        self.assertEqual({name for _, name in before.values()}, {"web", "peers", "outbound"})
        new = "".join(service("tcp", 8000 + number, name=f"new-{number}").replace(
            "to_port = 7000", f"to_port = {7100 + number}") for number in range(20))
        elsewhere = rule("elsewhere", "masquerade", in_="lb", to="10.2.99.0/24",
                         ports="30000-65535")
        self.restart(rules=elsewhere + PEERS + new + OUTBOUND + WEB)
        self.assertEqual(self.translations(), before)
        self.assert_all_go_on(conversations)
        # Those of a rule that came with the restart, too, and beside one that goes.
        got = self.crosses(self.outside, self.inside, self.tcp(
            (self.OUTSIDE, 5010), ("10.2.0.1", 8080), 2))
        self.assertEqual(got.ends[1], (self.INSIDE, 80))
        before = self.translations()
        self.restart(rules=OUTBOUND + WEB + elsewhere)
        after = self.translations()
        self.assertEqual({flow: row[0] for flow, row in after.items()},
                         {flow: row[0] for flow, row in before.items()})
        for flow, (_, name) in before.items():
            if name != "peers":
                self.assertEqual(after[flow][1], name)


class Pairs(RestartCase):
    """A pool of which each host has one address."""

    ADDRESSES = [f"10.2.0.{number}" for number in range(77, 85)]
    settings = {"extra": f'\n[[pool]]\nname = "outside"\naddresses = {json.dumps(ADDRESSES)}\n'
                         'pooling = "paired"\n',
                "rules": rule("outbound", "snat", in_="lb", pool="outside")}

    def address_of(self, source, port):
        answer = self.ask("udp", f"{POD}:8000", f"{source}:{port}")
        self.assertIsNotNone(answer, self.gateway.drops())
        return answer[0][0]

    def test_a_host_keeps_its_address(self):
        """[RFC 4787 REQ-2]: also for the flows that it opens after the restart."""
        self.serve(8000)
        before = {source: self.address_of(source, 5001) for source in LB_SOURCES[:10]}
        for turn, end in enumerate((signal.SIGKILL, signal.SIGTERM)):
            self.restart(end)
            after = {source: self.address_of(source, 5002 + turn) for source in before}
            self.assertEqual(after, before)


class Limits(RestartCase):
    """Flows of former daemons count."""

    MOST = 20
    settings = {"rules": OUTBOUND, "extra": f"\n[limits]\nflows_per_subscriber = {MOST}\n"}

    def datagram(self, number):
        return self.udp((self.INSIDE, 6000 + number), (self.OUTSIDE, 7000))

    def test_flows_of_a_subscriber(self):
        """[RFC 6888 REQ-4]"""
        ends = [self.crosses(self.inside, self.outside, self.datagram(number)).ends
                for number in range(self.MOST)]
        for number in (100, 101):
            self.is_dropped(self.inside, self.outside, self.datagram(number), "subscriber_flows")
            self.restart()
            row, = self.gateway.json("subscribers")
            self.assertEqual((row["address"], row["flows"]), (self.INSIDE, self.MOST))
        # Limits are of new ones: those that are there go on, and make room when they end.
        again = [self.crosses(self.inside, self.outside, self.datagram(number)).ends
                 for number in range(self.MOST)]
        self.assertEqual(again, ends)
        self.is_dropped(self.inside, self.outside, self.datagram(102), "subscriber_flows")
        self.gateway.json("flows", "flush", "--source-port", 6000)
        self.crosses(self.inside, self.outside, self.datagram(102))
        self.is_dropped(self.inside, self.outside, self.datagram(103), "subscriber_flows")


class Names(GatewayCase):
    """What an instance may be called."""

    starts_gateway = False

    def test_names_that_no_file_could_have(self):
        for name in ("a/b", "two words", "n" * 33):
            with self.subTest(name):
                path = self.lab.path("faulty.toml")
                with open(path, "w", encoding="utf-8") as handle:
                    handle.write(configuration(self.lab.path("control.sock"), name=name))
                result = self.topology.gateway.run(build().daemon, "--config", path, check=False)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertRegex(result.stderr, r"faulty\.toml:\d+:\d+: name: ")
                self.assertNotIn("unknown key", result.stderr)


class Twins(RestartCase):
    """Two daemons with one name."""

    def second(self, name):
        """Another daemon that would keep its flows in our file; nothing else is in its way."""
        settings = {"name": name, "state": self.state} if KEEPS else {}
        path = self.lab.path("second.toml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(configuration(self.lab.path("other.sock"), lb_device="null:a",
                                       pod_device="null:b", rules=OUTBOUND, **settings))
        return self.topology.gateway.start(build().daemon, "--config", path, name="second")

    def test_the_second_is_refused(self):
        goes_on = self.begin_udp()
        for name in (NAME, "edge2"):
            with self.subTest(name):
                second = self.second(name)
                self.assertEqual(second.wait(20), 1, second.log())
                self.assertIn(self.state, second.log())
                self.assertRegex(second.log(), rf"\b{self.gateway.process.pid}\b")
        goes_on()
        # Nor have they done anything to the file.
        self.restart()
        goes_on()


class File(RestartCase):
    """What may be found where the file should be: another's, damaged, or no file at all. The daemon
    takes it or refuses it, and ends or works."""

    settings = RestartCase.settings | {"flows": 4096}

    def setUp(self):
        super().setUp()
        self.serve(8000)
        self.random = random.Random(7)

    def start_after(self, damage):
        """Ends the daemon, damages the file, and starts the next; returns its words."""
        self.gateway.kill()
        self.assertTrue(os.path.exists(self.state), "there is no file of flows")
        damage()
        self.gateway.spawn(self.topology.gateway)
        process = self.gateway.process
        try:
            self.wait_until(lambda: process.returncode is not None or
                            "ready; control" in process.log(), "it starts, or says why not", 60)
            if process.returncode is None:
                self.assert_works()
            else:
                self.assertEqual(process.returncode, 1, process.log())
                self.assertIn(self.state, process.log())
        finally:
            self.begin_anew()
        return process.log()

    def assert_works(self):
        self.topology.wait_for_gateway()
        for protocol in ("udp", "tcp"):
            self.assertIsNotNone(self.ask(protocol, f"{POD}:8000"), self.gateway.drops())
        self.assertEqual(stat.S_IMODE(os.stat(self.state).st_mode), 0o600)

    def begin_anew(self):
        """A daemon with some flows, and a sound file."""
        self.gateway.kill()
        self.gateway.change_configuration(**self.gateway_settings())
        if os.path.isdir(self.state):
            os.rmdir(self.state)
        elif os.path.lexists(self.state):
            os.unlink(self.state)
        self.gateway.launch(self.topology.gateway)
        for port in range(5):
            self.crosses(self.inside, self.outside, self.udp(
                (self.INSIDE, 6000 + port), (self.OUTSIDE, 7000)))

    def assert_is_named(self, damage):
        self.assertIn(self.state, self.start_after(damage))

    def replace(self, content):
        os.unlink(self.state)
        with open(self.state, "wb") as handle:
            handle.write(content)

    def change(self, offset, replacement):
        with open(self.state, "r+b") as handle:
            handle.seek(offset)
            handle.write(replacement)

    def test_only_its_owner_may_read_it(self):
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.begin_anew()
        self.assertEqual(stat.S_IMODE(os.stat(self.state).st_mode), 0o600)
        self.start_after(lambda: os.chmod(self.state, 0o666))
        self.start_after(lambda: self.replace(b""))

    def test_truncated(self):
        size = os.stat(self.state).st_size
        for left in (1, 100, 4096, size // 2):
            with self.subTest(left=left):
                self.assert_is_named(lambda left=left: os.truncate(self.state, left))
        # Nothing was in it, or nothing but room beyond the last record is missing.
        for left in (0, size - 1):
            with self.subTest(left=left):
                self.start_after(lambda left=left: os.truncate(self.state, left))

    def test_longer_than_it_says(self):
        self.start_after(lambda: os.truncate(self.state, os.stat(self.state).st_size + (1 << 20)))

    def test_of_somebody_else(self):
        size = os.stat(self.state).st_size
        for name, content in (("text", b"these are no flows\n" * 1000),
                              ("zeros", bytes(1 << 20)),
                              ("noise", self.random.randbytes(1 << 20)),
                              ("noise of the same size", self.random.randbytes(size))):
            with self.subTest(name):
                self.assert_is_named(lambda content=content: self.replace(content))

    def test_of_another_name(self):
        self.start_after(lambda: self.gateway.change_configuration(name="edge2"))

    def test_no_file_at_all(self):
        def replace_by(make):
            os.unlink(self.state)
            make()
        for name, make in (("directory", lambda: os.mkdir(self.state)),
                           ("FIFO", lambda: os.mkfifo(self.state)),
                           ("link to nowhere",
                            lambda: os.symlink(self.lab.path("nowhere"), self.state))):
            with self.subTest(name):
                self.start_after(lambda make=make: replace_by(make))
        self.start_after(lambda: os.unlink(self.state))

    def test_of_another_layout(self):
        """Whatever its first words say."""
        for word in range(8):
            with self.subTest(word=word):
                said = self.start_after(lambda word=word: self.change(
                    8 * word, self.random.randbytes(8)))
                if word == 0:
                    self.assertIn(self.state, said)

    def test_with_damaged_records(self):
        """The daemon need not notice, but it must go on."""
        def damage():
            with open(self.state, "r+b") as handle:
                content = handle.read()
                used = [match.start() for match in re.finditer(rb"[^\0]", content)
                        if match.start() >= 4096]
                for offset in self.random.sample(used, min(200, len(used))):
                    handle.seek(offset)
                    handle.write(self.random.randbytes(1))
        for turn in range(5):
            with self.subTest(turn=turn):
                self.start_after(damage)


if __name__ == "__main__":
    main()
