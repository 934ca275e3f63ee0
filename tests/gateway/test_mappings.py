#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long mappings live, who may use them, and what happens to what is in the packets."""

import time

from gateway_case import main, rule
from lab.process import PYTHON
from lab.topology import GATEWAY_POD
from raw_host import ACK, FIN, RST, SYN, RawCase

import packets


class Mappings(RawCase):
    """With the timeouts that the gateway has when nobody says anything."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb")}

    def setUp(self):
        super().setUp()
        self.here, self.there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)

    def assert_lives_for(self, timeout_s):
        """An idle flow has so long to live, less what has gone by since its last packet."""
        left = self.flow(self.here[1])["timeout_s"]
        self.assertLessEqual(left, timeout_s)
        self.assertGreater(left, timeout_s - 30)

    def test_udp(self):
        """[RFC 4787 REQ-5]"""
        end = self.crosses(self.inside, self.outside, self.udp(self.here, self.there)).ends[0]
        self.assert_lives_for(300)
        self.crosses(self.outside, self.inside, self.udp(self.there, end))
        self.assert_lives_for(300)

    def test_outbound_packets_refresh(self):
        """[RFC 4787 REQ-6]"""
        first = self.crosses(self.inside, self.outside, self.udp(self.here, self.there))
        time.sleep(4)
        aged = self.flow(5555)["timeout_s"]
        self.assertLess(aged, 299)
        again = self.crosses(self.inside, self.outside, self.udp(self.here, self.there))
        self.assertEqual(again.ends, first.ends)
        self.assertGreater(self.flow(5555)["timeout_s"], aged)

    def test_tcp(self):
        """[RFC 5382 REQ-5]"""
        self.crosses(self.inside, self.outside, self.tcp(self.here, self.there, SYN))
        self.assertEqual(self.flow(5555)["state"], "SYN_SENT")
        self.assert_lives_for(240)
        end = self.establish(self.here, self.there)
        self.assertEqual(self.flow(5555)["state"], "ESTABLISHED")
        self.assertGreaterEqual(self.flow(5555)["timeout_s"], 7440)
        self.crosses(self.outside, self.inside, self.tcp(self.there, end, FIN | ACK))
        self.assert_lives_for(240)
        self.crosses(self.inside, self.outside, self.tcp(self.here, self.there, FIN | ACK))
        self.crosses(self.outside, self.inside, self.tcp(self.there, end, ACK))
        self.assertEqual(self.flow(5555)["state"], "TIME_WAIT")
        self.assert_lives_for(240)

    def test_ping(self):
        """[RFC 5508 REQ-2]"""
        self.crosses(self.inside, self.outside, self.icmp(
            self.INSIDE, self.OUTSIDE, (8, 0), rest=b"\x15\xb3\0\1"))
        self.assert_lives_for(60)

    def test_reset_is_translated_and_the_flow_stays(self):
        """[RFC 7857 section 2.2]"""
        end = self.establish(self.here, self.there)
        reset = self.crosses(self.outside, self.inside, self.tcp(
            self.there, end, RST | ACK, sequence=2, acknowledgment=2))
        self.assertEqual((reset.ends, reset.flags), ((self.there, self.here), RST | ACK))
        self.assertEqual(self.flow(5555)["state"], "CLOSE")
        self.assert_lives_for(240)

    def test_only_the_peer_gets_in(self):
        """[RFC 4787 REQ-8] [RFC 5382 REQ-3]: by address and port."""
        stranger = self.outside_host("10.2.0.51")
        for send, protocol in ((self.udp, packets.UDP), (self.syn, packets.TCP)):
            with self.subTest(protocol=protocol):
                end = self.crosses(self.inside, self.outside, send(self.here, self.there)).ends[0]
                for host, source in ((stranger, (stranger.address, self.there[1])),
                                     (self.outside, (self.OUTSIDE, self.there[1] + 1))):
                    self.is_dropped(host, self.inside, send(source, end), "unsolicited")
                # So it is the filter that kept them out.
                answer = self.crosses(self.outside, self.inside, send(self.there, end))
                self.assertEqual(answer.ends, (self.there, self.here))

    def syn(self, source, destination):
        return self.tcp(source, destination, SYN)

    def test_payloads_are_left_alone(self):
        """[RFC 4787 REQ-10]: not even what looks like an address of FTP or SIP is changed."""
        command = b"PORT 10,1,0,50,21,179\r\n"
        end = self.establish((self.INSIDE, 5556), (self.OUTSIDE, 21))
        self.assertEqual(end[0], GATEWAY_POD)
        sent = self.crosses(self.inside, self.outside, self.tcp(
            (self.INSIDE, 5556), (self.OUTSIDE, 21), ACK, sequence=2, acknowledgment=2,
            payload=command))
        self.assertEqual((sent.payload, sent.sequence), (command, 2))
        contact = b"Contact: <sip:alice@10.1.0.50:5060>\r\n"
        sent = self.crosses(self.inside, self.outside, self.udp(
            (self.INSIDE, 5060), (self.OUTSIDE, 5060), payload=contact))
        self.assertEqual(sent.payload, contact)


class Openings(RawCase):
    """TCP connections that are opened from outside, or from both sides, on the one port there is."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb", ports="40000-40000")}

    def setUp(self):
        super().setUp()
        self.here, self.there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)
        self.port = (GATEWAY_POD, 40000)

    def test_an_unsolicited_syn_gets_no_answer(self):
        """[RFC 5382 REQ-4]"""
        self.outside.send(self.tcp(self.there, self.port, SYN))
        self.assertIsNone(self.outside.receive(timeout_s=7))
        self.assertEqual(self.gateway.drops().get("unsolicited"), 1)

    def test_a_syn_from_inside_in_that_time_opens_the_connection(self):
        """[RFC 5382 REQ-4]"""
        self.outside.send(self.tcp(self.there, self.port, SYN))
        self.assertIsNone(self.outside.receive(timeout_s=2))
        opened = self.crosses(self.inside, self.outside, self.tcp(self.here, self.there, SYN))
        self.assertEqual(opened.ends, (self.port, self.there))
        # The unsolicited SYN comes again, and is a simultaneous open now.
        crossing = self.crosses(self.outside, self.inside, self.tcp(self.there, self.port, SYN))
        self.assertEqual(crossing.ends, (self.there, self.here))
        # Nothing else has been said to the outside meanwhile, no error about the first SYN either.
        self.assertIsNone(self.outside.receive(timeout_s=5))

    def test_simultaneous_open_with_a_real_host(self):
        """[RFC 5382 REQ-2]: the inside host's own stack sees its SYN crossed by the peer's."""
        script = ("import socket;s=socket.create_connection(('10.2.0.50',7000),8);"
                  "print(s.recv(100))")
        client = self.lb.start(*PYTHON, "-c", script, name="client")
        self.assertEqual(self.arrives(self.outside, packets.TCP, 5).flags & 0x3f, SYN)
        self.outside.send(self.tcp(self.there, self.port, SYN))
        both = self.outside.receive(lambda packet: packet.flags & 0x3f == SYN | ACK, 5)
        self.assertIsNotNone(
            both, "the client's stack does not answer the SYN that crosses its own")
        self.assertEqual(both.ends, (self.port, self.there))
        self.outside.send(self.tcp(self.there, self.port, ACK, sequence=2,
                                   acknowledgment=both.sequence + 1, payload=b"well met"))
        self.wait_until(lambda: "well met" in client.log_tail(5), "the client has the data")


if __name__ == "__main__":
    main()
