#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How connections end and begin again through the gateway: a tuple that lives is never given away,
and one that does not live is in nobody's way (invariant 9)."""

from gateway_case import main, rule
from raw_host import ACK, FIN, RST, SYN, RawCase

ONE_PORT = rule("outbound", "masquerade", in_="lb", ports="5000-5000")
THROUGH = rule("through", "forward")


class Talk(RawCase):
    """An inside host that opens with number 1,000, and a server that begins with 9,000."""

    def setUp(self):
        super().setUp()
        self.here, self.there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)
        self.end = self.here

    def out(self, flags, sequence, acknowledgment=0, payload=b"", here=None):
        """The client says this, and the server has to get it."""
        got = self.crosses(self.inside, self.outside, self.tcp(
            here or self.here, self.there, flags, sequence=sequence, acknowledgment=acknowledgment,
            payload=payload))
        self.assertEqual((got.sequence, got.payload), (sequence, payload))
        self.end = got.ends[0]
        return got

    def back(self, flags, sequence, acknowledgment=0, payload=b"", to=None):
        """The server says this, and the client (or the address `to`) has to get it."""
        got = self.crosses(self.outside, self.inside, self.tcp(
            self.there, self.end, flags, sequence=sequence, acknowledgment=acknowledgment,
            payload=payload))
        self.assertEqual(got.ends[1], to or self.here)
        return got

    def state(self):
        return self.flow(self.here[1])["state"]

    def open(self):
        self.out(SYN, 1000)
        self.back(SYN | ACK, 9000, 1001)
        self.out(ACK, 1001, 9001)

    def close(self):
        self.out(FIN | ACK, 1001, 9001)
        self.back(FIN | ACK, 9001, 1002)
        self.out(ACK, 1002, 9002)
        self.assertEqual(self.state(), "TIME_WAIT")


class LiveTuple:
    """With one port, and a second client that waits for it."""

    settings = {}

    def second_client_is_refused(self):
        self.is_dropped(self.inside, self.outside,
                        self.tcp((self.INSIDE, 6666), self.there, SYN, sequence=8_000_000),
                        "exhausted")

    def test_the_same_fin_again(self):
        """[RFC 9293 section 3.6]"""
        self.open()
        self.out(FIN | ACK, 1001, 9001)
        self.out(FIN | ACK, 1001, 9001)
        self.back(ACK, 9001, 1002)
        self.back(ACK, 9001, 1002, b"data for client 1")
        self.out(ACK, 1002, 9018)
        self.second_client_is_refused()
        self.back(ACK, 9018, 1002, b"more of it")
        self.back(FIN | ACK, 9028, 1002)
        self.out(ACK, 1002, 9029)
        self.assertEqual(self.state(), "TIME_WAIT")

    def test_the_server_first(self):
        self.open()
        self.back(FIN | ACK, 9001, 1001)
        self.back(FIN | ACK, 9001, 1001)
        self.out(ACK, 1001, 9002)
        self.second_client_is_refused()
        self.out(ACK, 1001, 9002, b"an answer all the same")

    def test_data_before_the_fin_was_lost(self):
        self.open()
        self.out(FIN | ACK, 1101, 9001, b"the end")
        self.back(FIN | ACK, 9001, 1001)
        self.out(ACK, 1109, 9002)
        self.back(ACK, 9002, 1001)
        self.second_client_is_refused()
        self.out(ACK, 1001, 9002, b"a" * 100)
        self.back(ACK, 9002, 1109)
        self.assertEqual(self.state(), "TIME_WAIT")

    def test_a_syn_does_not_end_a_half_closed_connection(self):
        self.open()
        self.out(FIN | ACK, 1001, 9001)
        self.back(ACK, 9001, 1002)
        self.out(SYN, 5_000_000)
        self.assertEqual(self.state(), "CLOSE_WAIT")
        self.second_client_is_refused()
        self.back(ACK, 9001, 1002, b"still here")

    def test_what_is_over_is_reused(self):
        """[field c]: so that the others are no tests of a gateway that reuses nothing."""
        self.open()
        self.close()
        self.out(SYN, 8_000_000, here=(self.INSIDE, 6666))
        self.back(SYN | ACK, 7_000_000, 8_000_001, to=(self.INSIDE, 6666))

    def test_after_a_reset(self):
        self.open()
        self.back(RST, 9001)
        self.assertEqual(self.state(), "CLOSE")
        self.second_client_is_refused()


class LiveTupleLiberal(LiveTuple, Talk):
    settings = {"rules": ONE_PORT}


class LiveTupleStrict(LiveTuple, Talk):
    settings = {"rules": ONE_PORT, "top": 'tcp_window = "strict"'}


class LiveTupleOff(LiveTuple, Talk):
    settings = {"rules": ONE_PORT, "top": 'tcp_window = "off"'}


class Forgotten:
    """Both ends have forgotten the connection; the client comes back from its port."""

    def test_the_new_connection_works(self):
        """[RFC 9293 section 3.5.1]"""
        self.open()
        self.out(SYN, 0x50000000)
        self.back(SYN | ACK, 0xa0000000, 0x50000001)
        self.out(ACK, 0x50000001, 0xa0000001)
        self.out(ACK, 0x50000001, 0xa0000001, b"question")
        self.back(ACK, 0xa0000001, 0x50000009, b"answer")
        self.assertEqual(self.state(), "ESTABLISHED")
        self.back(RST, 0xa0000007)
        self.assertEqual(self.state(), "CLOSE")

    def test_a_server_that_refuses(self):
        self.open()
        self.out(SYN, 0x50000000)
        self.back(RST | ACK, 0, 0x50000001)
        self.assertEqual(self.state(), "CLOSE")

    def test_a_half_closed_connection(self):
        self.open()
        self.out(FIN | ACK, 1001, 9001)
        self.out(SYN, 0x50000000)
        self.back(SYN | ACK, 0xa0000000, 0x50000001)
        self.out(ACK, 0x50000001, 0xa0000001)
        self.assertEqual(self.state(), "ESTABLISHED")
        self.out(FIN | ACK, 0x50000001, 0xa0000001)
        self.back(FIN | ACK, 0xa0000001, 0x50000002)
        self.out(ACK, 0x50000002, 0xa0000002)
        self.assertEqual(self.state(), "TIME_WAIT")

    def test_syns_alone_renew_nothing(self):
        """[RFC 5961 section 4]"""
        self.open()
        before = self.flow(self.here[1])["timeout_s"]
        self.wait_until(lambda: self.flow(self.here[1])["timeout_s"] < before, "time passes")
        for _ in range(3):
            self.out(SYN, 0x50000000)
        self.assertLess(self.flow(self.here[1])["timeout_s"], before)
        self.out(ACK, 1001, 9001, b"alive")  # so it was somebody else's SYN


class ForgottenLiberal(Forgotten, Talk):
    settings = {"rules": ONE_PORT}


class ForgottenStrict(Forgotten, Talk):
    settings = {"rules": ONE_PORT, "top": 'tcp_window = "strict"'}


class RoleSwitch(Talk):
    """Who was the server opens the next connection, between the same ports."""

    settings = {"rules": THROUGH}

    def switches(self):
        self.back(SYN, 7_000_000)
        self.out(SYN | ACK, 4_000_000, 7_000_001)
        self.back(ACK, 7_000_001, 4_000_001)
        self.out(ACK, 4_000_001, 7_000_001, b"hello")

    def test_after_an_orderly_end(self):
        self.open()
        self.close()
        self.switches()

    def test_after_a_reset(self):
        self.open()
        self.out(RST, 1001)
        self.switches()

    def test_not_while_it_lives(self):
        self.open()
        self.is_dropped(self.outside, self.inside, self.tcp(
            self.there, self.here, SYN, sequence=7_000_000), "tcp_invalid")


class RoleSwitchToMapping(RoleSwitch):
    """To an endpoint-independent mapping, which must not end in between."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb",
                              mapping="endpoint-independent", filtering="endpoint-independent")}

    def tcp(self, source, destination, flags, **options):
        if destination == self.here:  # what the server sends goes to the outside endpoint
            destination = self.end
        return super().tcp(source, destination, flags, **options)


class Unanswered(Talk):
    """A client that always comes from the same port, and a target that is dead."""

    settings = {"rules": rule("service", "dnat", protocol="tcp", to="10.1.0.1", to_port=30080,
                              target=["10.2.0.50:7000", "10.2.0.51:7000"], source="masquerade"),
                "extra": "[timeouts]\nbelow_rfc_floor = true\ntcp_syn_sent_s = 2\n"}

    def test_later_syns_choose_again(self):
        """As kube-proxy users met it: the client never left the dead target."""
        asked = set()
        other = self.outside_host("10.2.0.51")
        syn = self.tcp(self.here, ("10.1.0.1", 30080), SYN, sequence=1000)

        def both():
            self.inside.send(syn)
            for host in (self.outside, other):
                packet = host.receive(timeout_s=0.3)
                if packet is not None:
                    asked.add(packet.destination)
            return len(asked) == 2
        self.wait_until(both, "a SYN reaches the other target", 50)


if __name__ == "__main__":
    main()
