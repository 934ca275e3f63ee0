#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a SYN proxy makes of each segment: a client and a backend that send what a test says, and see
every number. The faults that others have had (dpvs#899, #835, #706) are among it."""

import struct

import packets
from gateway_case import main
from raw_host import ACK, RST, SYN, RawCase
from service_case import PORT, VIP, at, toml
from syn_proxy_case import OFFER, proxied

BACKEND = RawCase.OUTSIDE
CLIENT_SEQUENCE, SERVER_SEQUENCE = 4_294_967_000, 77_000  # the client's come round to 0 soon
CLOCK = 5000  # of the client
BACKEND_CLOCK = 90_000
MSS, SCALE, SACK_PERMITTED, SACK, TIMESTAMPS = 2, 3, 4, 5, 8


def options(mss=1400, scale=None, sack=False, timestamps=None):
    """Of a SYN or SYN-ACK; of another segment, without an MSS."""
    text = struct.pack("!BBH", MSS, 4, mss) if mss else b""
    if scale is not None:
        text += struct.pack("!BBBB", 1, SCALE, 3, scale)
    if sack:
        text += struct.pack("!BBBB", 1, 1, SACK_PERMITTED, 2)
    if timestamps:
        text += struct.pack("!BBBBII", 1, 1, TIMESTAMPS, 10, *timestamps)
    return text


def number(value):
    """A sequence number."""
    return value % (1 << 32)


class Segments(RawCase):
    """One connection after the other."""

    settings = {"workers": 2, "rules": toml(proxied(backends=[at(BACKEND)]))}
    HERE = (RawCase.INSIDE, 6000)
    LIKE_LINUX = {"scale": 3, "sack": True, "timestamps": (CLOCK, 0)}

    def client_sends(self, flags, here=None, **keys):
        self.inside.send(self.tcp(here or self.HERE, (VIP, PORT), flags, **keys))

    def backend_sends(self, flags, **keys):
        self.outside.send(self.tcp((BACKEND, PORT), self.HERE, flags, **keys))

    def client_gets(self):
        """The next segment of the service, whole."""
        return self.gets(self.inside)

    def backend_gets(self):
        return self.gets(self.outside)

    def gets(self, host):
        packet = self.arrives(host, packets.TCP)
        self.assertIsNotNone(packet, f"nothing arrived; drops: {self.drops()}")
        return packet

    def asked(self, **offered):
        """A client that has sent its SYN; its cookie, and the segment that brought it."""
        self.client_sends(SYN, sequence=CLIENT_SEQUENCE, window=60000,
                          options=options(**offered))
        answer = self.client_gets()
        self.assertEqual(answer.flags, SYN | ACK)
        self.assertEqual(answer.acknowledgment, CLIENT_SEQUENCE + 1)
        return answer

    def shown(self, answer, window=1000):
        """It has shown the cookie of that answer; returns the SYN that its backend gets."""
        stamps = answer.timestamps
        echo = options(mss=None, timestamps=(CLOCK + 1, stamps[0])) if stamps else b""
        self.client_sends(ACK, sequence=CLIENT_SEQUENCE + 1,
                          acknowledgment=answer.sequence + 1, window=window, options=echo)
        syn = self.backend_gets()
        self.assertEqual((syn.flags, syn.sequence, syn.ends[0]), (SYN, CLIENT_SEQUENCE, self.HERE))
        return syn

    def established(self, of_client, of_backend, window=5000):
        """Returns the cookie, and the segments that either side gets when the backend answers."""
        answer = self.asked(**of_client)
        self.shown(answer)
        self.backend_sends(SYN | ACK, sequence=SERVER_SEQUENCE, window=window,
                           acknowledgment=CLIENT_SEQUENCE + 1, options=options(**of_backend))
        return answer.sequence, self.client_gets(), self.backend_gets()


class Numbers(Segments):
    """What is translated."""

    def test_a_cookie_costs_nothing(self):
        answer = self.asked(**self.LIKE_LINUX)
        self.assertEqual(answer.window, 0, "the client sends nothing yet")
        self.assertEqual(answer.options[MSS], struct.pack("!H", OFFER["mss"]))
        self.assertEqual(answer.options[SCALE], bytes([OFFER["window_scale"]]))
        self.assertIn(SACK_PERMITTED, answer.options)
        self.assertEqual(answer.timestamps[1], CLOCK)
        self.assertEqual(self.gateway.flow_count(), 0)
        self.assertIsNone(self.outside.receive(lambda packet: packet.protocol == packets.TCP, 0.3))

    def test_the_backend_gets_the_clients_syn(self):
        syn = self.shown(self.asked(**self.LIKE_LINUX))
        self.assertEqual(set(syn.options), {MSS, SCALE, SACK_PERMITTED, TIMESTAMPS})
        self.assertEqual(syn.options[MSS], struct.pack("!H", 1400))
        self.assertEqual(syn.options[SCALE], bytes([3]))
        self.assertEqual(syn.window, 8000, "what it has shown, in bytes")

    def test_a_client_without_timestamps_is_offered_no_more(self):
        answer = self.asked(scale=3, sack=True)
        self.assertEqual(set(answer.options), {MSS})
        self.assertEqual(set(self.shown(answer).options), {MSS})

    def test_nobody_waits_for_data(self):
        """dpvs#835: the window is closed, so none can come."""
        cookie, to_client, to_backend = self.established(self.LIKE_LINUX, self.LIKE_LINUX)
        self.assertEqual((to_client.flags, to_client.sequence, to_client.acknowledgment),
                         (ACK, number(cookie + 1), CLIENT_SEQUENCE + 1))
        self.assertGreater(to_client.window, 0)
        self.assertEqual((to_backend.flags, to_backend.sequence, to_backend.acknowledgment),
                         (ACK, CLIENT_SEQUENCE + 1, SERVER_SEQUENCE + 1))

    def backend_shows(self, window, cookie):
        """A window in the backend's units; returns the one that the client sees."""
        self.backend_sends(ACK, sequence=SERVER_SEQUENCE + 1, window=window,
                           acknowledgment=CLIENT_SEQUENCE + 1)
        got = self.client_gets()
        self.assertEqual(got.sequence, number(cookie + 1))
        return got.window

    def client_shows(self, window, cookie):
        """And the other way."""
        self.client_sends(ACK, sequence=CLIENT_SEQUENCE + 1, window=window,
                          acknowledgment=number(cookie + 1))
        got = self.backend_gets()
        self.assertEqual(got.acknowledgment, SERVER_SEQUENCE + 1)
        return got.window

    def test_windows_of_a_backend_with_a_larger_scale(self):
        """dpvs#899: each end's windows, in the units that the other end was told."""
        cookie, to_client, _ = self.established(
            self.LIKE_LINUX, {"scale": 9, "timestamps": (BACKEND_CLOCK, CLOCK + 1)})
        self.assertEqual(to_client.window, 5000 >> 7, "a SYN-ACK's own is never scaled")
        self.assertEqual(self.backend_shows(100, cookie), 100 << 9 >> 7)
        self.assertEqual(self.backend_shows(60000, cookie), 65535, "as much as can be said")
        self.assertEqual(self.client_shows(1000, cookie), 1000, "it has its own scale")

    def test_windows_of_a_backend_with_a_smaller_scale(self):
        cookie, _, _ = self.established(self.LIKE_LINUX, {"scale": 2})
        self.assertEqual(self.backend_shows(1000, cookie), 1000 << 2 >> 7)
        self.assertEqual(self.client_shows(1000, cookie), 1000)

    def test_windows_of_a_backend_without_a_scale(self):
        cookie, _, to_backend = self.established(self.LIKE_LINUX, {})
        self.assertEqual(to_backend.window, 8000)
        self.assertEqual(self.backend_shows(10000, cookie), 10000 >> 7)
        self.assertEqual(self.client_shows(1000, cookie), 8000)
        self.assertEqual(self.client_shows(60000, cookie), 65535)

    def test_windows_of_a_client_without_a_scale(self):
        cookie, to_client, _ = self.established({"timestamps": (CLOCK, 0)}, {})
        self.assertEqual(to_client.window, 5000)
        self.assertEqual(self.backend_shows(10000, cookie), 10000)
        self.assertEqual(self.client_shows(1000, cookie), 1000)

    def test_sack_blocks(self):
        cookie, _, _ = self.established(self.LIKE_LINUX, self.LIKE_LINUX)
        self.backend_sends(ACK, sequence=SERVER_SEQUENCE + 1001, payload=b"later",
                           acknowledgment=CLIENT_SEQUENCE + 1)
        self.assertEqual(self.client_gets().sequence, number(cookie + 1001))
        # At an odd place, as no kernel writes them.
        block = struct.pack("!BBBII", 1, SACK, 10, number(cookie + 1001), number(cookie + 1006))
        self.client_sends(ACK, sequence=CLIENT_SEQUENCE + 1, options=block + bytes(1),
                          acknowledgment=number(cookie + 1))
        self.assertEqual(self.backend_gets().options[SACK],
                         struct.pack("!II", SERVER_SEQUENCE + 1001, SERVER_SEQUENCE + 1006))

    def test_timestamps(self):
        cookie, to_client, to_backend = self.established(
            self.LIKE_LINUX, {"timestamps": (BACKEND_CLOCK, CLOCK + 1)})
        self.assertEqual(to_client.timestamps[1], CLOCK + 1)
        self.assertEqual(to_backend.timestamps, (CLOCK + 1, BACKEND_CLOCK))
        first = to_client.timestamps[0]
        self.backend_sends(ACK, sequence=SERVER_SEQUENCE + 1, acknowledgment=CLIENT_SEQUENCE + 1,
                           options=options(mss=None, timestamps=(BACKEND_CLOCK + 30, CLOCK + 1)))
        self.assertEqual(self.client_gets().timestamps, (number(first + 30), CLOCK + 1))
        self.client_sends(ACK, sequence=CLIENT_SEQUENCE + 1, acknowledgment=number(cookie + 1),
                          options=options(mss=None, timestamps=(CLOCK + 9, number(first + 30))))
        self.assertEqual(self.backend_gets().timestamps, (CLOCK + 9, BACKEND_CLOCK + 30))

    def quotes(self, sender, source, to, packet, receiver):
        """A router behind `sender` says that a packet was too big; what its sender is told of it."""
        sender.send(self.icmp(source, to, (3, 4), rest=struct.pack("!HH", 0, 1300),
                              payload=packet.data))
        told = self.arrives(receiver, packets.ICMP)
        self.assertIsNotNone(told, self.drops())
        self.assertTrue(told.quoted.checksums_are_right())
        return told.quoted

    def test_errors_about_segments(self):
        """Each end knows what it has sent again, by its own numbers."""
        cookie, _, _ = self.established(self.LIKE_LINUX, self.LIKE_LINUX)
        self.client_sends(ACK, sequence=CLIENT_SEQUENCE + 1, payload=b"question",
                          acknowledgment=number(cookie + 1))
        quoted = self.quotes(self.outside, BACKEND, RawCase.INSIDE, self.backend_gets(),
                             self.inside)
        self.assertEqual((quoted.ends, quoted.sequence, quoted.acknowledgment),
                         ((self.HERE, (VIP, PORT)), CLIENT_SEQUENCE + 1, number(cookie + 1)))
        self.backend_sends(ACK, sequence=SERVER_SEQUENCE + 1, payload=b"answer",
                           acknowledgment=CLIENT_SEQUENCE + 9)
        quoted = self.quotes(self.inside, RawCase.INSIDE, VIP, self.client_gets(), self.outside)
        self.assertEqual((quoted.ends, quoted.sequence, quoted.acknowledgment),
                         (((BACKEND, PORT), self.HERE), SERVER_SEQUENCE + 1, CLIENT_SEQUENCE + 9))


class Doubts(Segments):
    """Cookies that are none, and others."""

    FORGED = 300

    def dropped(self):
        return self.drops().get("syn_cookie", 0)

    def test_a_wrong_cookie_gets_a_reset(self):
        """dpvs#706: a client of a connection that nobody has must not wait."""
        self.client_sends(ACK, sequence=500, acknowledgment=1234)
        answer = self.client_gets()
        self.assertEqual((answer.flags & RST, answer.sequence), (RST, 1234))
        self.wait_until(lambda: self.dropped() == 1, "it is counted")
        self.client_sends(RST | ACK, sequence=500, acknowledgment=1234)
        self.wait_until(lambda: self.dropped() == 2, "it is counted")
        self.assertIsNone(self.inside.receive(lambda packet: packet.protocol == packets.TCP, 0.3),
                          "no RST answers a RST")

    def test_cookies_of_others(self):
        """It holds for one port, one sequence number, and its options."""
        answer = self.asked(**self.LIKE_LINUX)
        right = {"sequence": CLIENT_SEQUENCE + 1, "acknowledgment": answer.sequence + 1,
                 "options": options(mss=None, timestamps=(CLOCK + 1, answer.timestamps[0]))}
        for count, wrong in enumerate((
                {"here": (RawCase.INSIDE, 6001)}, {"sequence": CLIENT_SEQUENCE + 2},
                {"acknowledgment": answer.sequence + 2}, {"options": b""},
                {"options": options(mss=None, timestamps=(1, answer.timestamps[0] ^ 1))}), 1):
            self.client_sends(ACK, **{**right, **wrong})
            self.assertEqual(self.client_gets().flags & RST, RST, wrong)
            self.wait_until(lambda count=count: self.dropped() == count, "it is counted")
        self.assertEqual(self.gateway.flow_count(), 0)
        self.shown(answer)

    def test_many_forged_acknowledgments(self):
        for port in range(self.FORGED):
            self.client_sends(ACK, (RawCase.INSIDE, 7000 + port), sequence=port,
                              acknowledgment=port * 7919)
        self.wait_until(lambda: self.dropped() == self.FORGED, "all are counted")
        told = sum(worker["datapath"][name] for worker in self.gateway.json("stats")
                   for name in ("tcp_resets_sent", "tcp_resets_suppressed"))
        self.assertEqual(told, self.FORGED)
        self.assertEqual(self.gateway.flow_count(), 0)

    def test_the_same_cookie_twice(self):
        answer = self.asked(**self.LIKE_LINUX)
        self.shown(answer)
        self.client_sends(ACK, sequence=CLIENT_SEQUENCE + 1, acknowledgment=answer.sequence + 1,
                          options=options(mss=None, timestamps=(CLOCK + 2, answer.timestamps[0])))
        self.wait_until(lambda: self.waiting() == 1, "it is counted")
        self.assertEqual(self.gateway.flow_count(), 1)

    def waiting(self):
        return sum(worker["datapath"]["syn_proxy_waiting"]
                   for worker in self.gateway.json("stats"))

    def test_a_probe_of_the_closed_window(self):
        """The acknowledgment was lost; what the client sends next has one number less."""
        answer = self.asked(**self.LIKE_LINUX)
        self.client_sends(ACK, sequence=CLIENT_SEQUENCE, acknowledgment=answer.sequence + 1,
                          options=options(mss=None, timestamps=(CLOCK + 1, answer.timestamps[0])))
        self.assertEqual(self.backend_gets().sequence, CLIENT_SEQUENCE)

    def test_a_backend_that_refuses(self):
        answer = self.asked(**self.LIKE_LINUX)
        self.shown(answer)
        self.backend_sends(RST | ACK, acknowledgment=CLIENT_SEQUENCE + 1)
        reset = self.client_gets()
        self.assertEqual((reset.flags & RST, reset.sequence), (RST, number(answer.sequence + 1)))

    def test_a_client_that_gives_up(self):
        """The backend hears of it, in a number that it believes, with no other beside it: it has
        never sent what the client has acknowledged."""
        answer = self.asked(**self.LIKE_LINUX)
        self.shown(answer)
        self.client_sends(RST | ACK, sequence=CLIENT_SEQUENCE + 1,
                          acknowledgment=number(answer.sequence + 1))
        reset = self.backend_gets()
        self.assertEqual((reset.flags, reset.sequence), (RST, CLIENT_SEQUENCE + 1))


if __name__ == "__main__":
    main()
