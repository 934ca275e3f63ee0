# SPDX-License-Identifier: Apache-2.0
"""Hosts without a stack of their own: they send what a test says, and nothing else but ARP."""

import socket
import struct
import time

import packets
from gateway_case import GatewayCase
from lab.netfilter import Netfilter
from lab.topology import GATEWAY_LB, GATEWAY_POD

ETHER_IPV4, ETHER_ARP = 0x0800, 0x0806
ARP_REQUEST, ARP_REPLY = 1, 2
BROADCAST = b"\xff" * 6
FIN, SYN, RST, ACK = 1, 2, 4, 16


class RawHost:
    """An address on the link of a namespace's interface that the namespace's kernel has not."""

    def __init__(self, namespace, interface, address, *, gateway, gateway_mac):
        """`gateway` is the address that the gateway has on this link, `gateway_mac` its MAC."""
        self.address = address
        self._bytes = socket.inet_aton(address)
        self._mac = b"\x02\x00" + self._bytes
        self._gateway_mac = gateway_mac
        self._socket = namespace.packet_socket(interface)
        # Introduces itself: from then on the gateway knows it without asking.
        self._send_arp(BROADCAST, ARP_REQUEST, bytes(6), socket.inet_aton(gateway))

    def close(self):
        self._socket.close()

    def _send_arp(self, to_mac, operation, target_mac, target):
        message = struct.pack("!HHBBH", 1, ETHER_IPV4, 6, 4, operation)
        message += self._mac + self._bytes + target_mac + target
        self._socket.send(packets.frame(to_mac, self._mac, message, ETHER_ARP))

    def send(self, packet):
        """An IP packet, to the gateway."""
        self._socket.send(packets.frame(self._gateway_mac, self._mac, packet))

    def receive(self, wanted=lambda packet: True, timeout_s=2):
        """The next IP packet for this host that is `wanted`, or None when there is none in time."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                frame = self._socket.recv(65535)
            except TimeoutError:
                return None
            kind, = struct.unpack("!H", frame[12:14])
            if kind == ETHER_ARP and frame[20:22] == b"\0\1" and frame[38:42] == self._bytes:
                self._send_arp(frame[6:12], ARP_REPLY, frame[22:28], frame[28:32])
            elif kind == ETHER_IPV4 and frame[30:34] == self._bytes:
                packet = packets.Packet(frame[14:])
                if wanted(packet):
                    return packet
        return None


class RawHosts(GatewayCase):
    """A raw host on either side, which see what the gateway makes of each packet, byte for byte."""

    INSIDE, OUTSIDE = "10.1.0.50", "10.2.0.50"

    def setUp(self):
        super().setUp()
        self.start_other_gateway()
        self.inside = self.inside_host(self.INSIDE)
        self.outside = self.outside_host(self.OUTSIDE)

    def start_other_gateway(self):
        """For those that have another one than noclash."""

    def inside_host(self, address):
        return self._host(self.lb, "lb0", address, GATEWAY_LB, "gw-lb")

    def outside_host(self, address):
        return self._host(self.pod, "pod0", address, GATEWAY_POD, "gw-pod")

    def _host(self, namespace, interface, address, gateway, gateway_interface):
        host = RawHost(namespace, interface, address, gateway=gateway,
                       gateway_mac=self.gateway_mac(gateway_interface))
        self.addCleanup(host.close)
        self.wait_until(lambda: self.gateway_knows(address), f"the gateway knows {address}")
        return host

    def gateway_knows(self, address):
        """Whether the gateway has the link-layer address of a host."""
        raise NotImplementedError

    def udp(self, source, destination, **options):
        """A datagram between two ends, each (address, port)."""
        return packets.ip(source[0], destination[0], packets.UDP, packets.udp(
            source[0], destination[0], source[1], destination[1], **options))

    def tcp(self, source, destination, flags, **options):
        return packets.ip(source[0], destination[0], packets.TCP, packets.tcp(
            source[0], destination[0], source[1], destination[1], flags=flags, **options))

    def icmp(self, source, destination, kind, **options):
        """`kind`: type and code."""
        return packets.ip(source, destination, packets.ICMP, packets.icmp(*kind, **options))

    def arrives(self, host, protocol, timeout_s=5):
        """The next packet of a protocol that gets to a host, whole; None when there is none."""
        packet = host.receive(lambda packet: packet.protocol == protocol, timeout_s)
        if packet is not None:
            self.assertTrue(packet.checksums_are_right(), packet.data.hex())
        return packet

    def crosses(self, sender, receiver, packet):
        """Sends a packet that the other side has to get; returns it as it got there."""
        sender.send(packet)
        arrived = self.arrives(receiver, packet[9])
        self.assertIsNotNone(arrived, f"nothing arrived; drops: {self.drops()}")
        return arrived

    def drops(self):
        """The packets that the gateway has dropped, in its own words."""
        return "not known"

    def establish(self, here, there):
        """A TCP connection from the inside host; returns its outside end."""
        outside = self.crosses(self.inside, self.outside, self.tcp(here, there, SYN)).ends[0]
        self.crosses(self.outside, self.inside,
                     self.tcp(there, outside, SYN | ACK, acknowledgment=2))
        self.crosses(self.inside, self.outside,
                     self.tcp(here, there, ACK, sequence=2, acknowledgment=2))
        return outside


class RawCase(RawHosts):
    """With noclash between them."""

    def gateway_knows(self, address):
        return any(row["address"] == address and row["state"] == "reachable"
                   for row in self.gateway.json("neighbors"))

    def drops(self):
        return self.gateway.drops()

    def is_dropped(self, sender, receiver, packet, reason):
        """Sends a packet that goes no further, and is counted by `reason`."""
        before = self.gateway.drops().get(reason, 0)
        sender.send(packet)
        self.wait_until(lambda: self.gateway.drops().get(reason, 0) > before,
                        f"it is counted as {reason} (now {self.gateway.drops()})", 5)
        self.assertIsNone(receiver.receive(timeout_s=0.2))

    def flow(self, source_port):
        """The only flow of the inside host from a port."""
        row, = self.gateway.json("flows", "list", "--source", self.INSIDE,
                                 "--source-port", source_port)
        return row


class KernelRawCase(RawHosts):
    """With the machine's own netfilter between them, which masquerades."""

    starts_gateway = False

    def start_other_gateway(self):
        self.kernel = Netfilter("masquerade")
        self.kernel.start(self.topology)

    def gateway_knows(self, address):
        return " lladdr " in self.topology.gateway.run("ip", "neighbor", "show", address).stdout

    def tracked(self):
        """netfilter's connections, as conntrack lists them."""
        return self.topology.gateway.run("conntrack", "-L").stdout
