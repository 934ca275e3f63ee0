# SPDX-License-Identifier: Apache-2.0
"""Two hosts on veth pairs around a gateway, and packets of flows that it knows already."""

import json
import select
import socket
import struct
import time

from .process import LabError

# As bench/pipeline/bed.cpp configures the gateway: routers of clients and of servers.
INSIDE, OUTSIDE = "192.168.0.2/24", "198.18.0.2/24"
ACK, PSH = 0x10, 0x08


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def segment(source, destination, number):
    """The IP packet of a TCP segment between two ends, each (address, port)."""
    tcp = struct.pack("!HHIIBBHHH", source[1], destination[1],
                      number, 1, 0x50, ACK | PSH, 512, 0, 0)
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    tcp = tcp[:16] + struct.pack("!H", checksum(addresses + struct.pack("!HH", 6, 20) + tcp)) \
        + tcp[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + addresses
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp


def ends_of(frame):
    """Source and destination of a frame with a TCP segment, or None; LabError: bad checksums."""
    if frame[12:14] != b"\x08\0" or frame[14] != 0x45 or frame[23] != 6:
        return None
    packet = frame[14:14 + struct.unpack("!H", frame[16:18])[0]]
    tcp = packet[20:]
    if checksum(packet[:20]) or checksum(packet[12:20] + struct.pack("!HH", 6, len(tcp)) + tcp):
        raise LabError("a packet came out with a wrong checksum")
    ports = struct.unpack("!HH", tcp[:4])
    return ((socket.inet_ntoa(packet[12:16]), ports[0]), (socket.inet_ntoa(packet[16:20]), ports[1]))


class Flow:
    """One that the gateway knows: who talks to whom, and what the server sees."""

    def __init__(self, row):
        self.number = row["number"]
        self.client = (row["source"], row["source_port"])
        self.server = (row["destination"], row["destination_port"])
        self.outside = (row["outside"], row["outside_port"])

    def packet(self, outward):
        if outward:
            return segment(self.client, self.server, self.number)
        return segment(self.server, self.outside, self.number)

    def arrives_as(self, outward):
        return (self.outside, self.server) if outward else (self.server, self.client)


class Hosts:
    """The namespaces, and a raw socket on either side."""

    def __init__(self, lab):
        self.gateway = lab.namespace("gateway")
        self._sides = [self._host(lab, "in", INSIDE), self._host(lab, "out", OUTSIDE)]

    def _host(self, lab, name, address):
        host = lab.namespace(name)
        lab.link((host, f"{name}0"), (self.gateway, f"gw-{name}"))
        host.ip("address", "add", address, "dev", f"{name}0")
        links = json.loads(self.gateway.run("ip", "-json", "link", "show", f"gw-{name}").stdout)
        raw = host.packet_socket(f"{name}0")
        raw.setblocking(False)
        mac = bytes.fromhex(links[0]["address"].replace(":", ""))
        return raw, mac

    def _send(self, packet, outward):
        raw, mac = self._sides[0 if outward else 1]
        try:
            raw.send(mac + b"\2\0\0\0\0\1" + b"\x08\0" + packet)
        except (BlockingIOError, OSError):
            pass  # its queue is full: it is sent again

    def _received(self, outward):
        """The ends of all segments that have come out."""
        raw = self._sides[1 if outward else 0][0]
        while True:
            try:
                frame, address = raw.recvfrom(2048)
            except BlockingIOError:
                return
            if address[2] != socket.PACKET_OUTGOING and (ends := ends_of(frame)):
                yield ends

    def forget(self):
        """What has come out and nobody has looked at: a former gateway sent it."""
        for outward in (True, False):
            for _ in self._received(outward):
                pass

    def first_packet_s(self, flow, begun_s, timeout_s):
        """Sends a packet of a flow until it comes out; how long that was after `begun_s`."""
        packet, receiver = flow.packet(True), self._sides[1][0]
        while (now := time.monotonic()) < begun_s + timeout_s:
            self._send(packet, True)
            select.select([receiver], [], [], 0.002)
            for ends in self._received(True):
                if ends != flow.arrives_as(True):
                    raise LabError(f"{flow.client} came out as {ends}, not as {flow.outside}")
                return now - begun_s
        raise LabError(f"no packet came out for {timeout_s:g} s")

    def untranslated(self, flows, outward, timeout_s=30):
        """Sends a packet of each flow; those that never came out as they should, in words."""
        missing = {flow.arrives_as(outward): flow for flow in flows}
        wrong = []
        end_s = time.monotonic() + timeout_s
        while missing and time.monotonic() < end_s:
            for flow in list(missing.values())[:100]:
                self._send(flow.packet(outward), outward)
            select.select([self._sides[1 if outward else 0][0]], [], [], 0.05)
            time.sleep(0.01)
            for ends in self._received(outward):
                if missing.pop(ends, None) is None and \
                        not any(ends == flow.arrives_as(outward) for flow in flows):
                    wrong.append(f"{ends} came out, which belongs to no flow")
        return wrong + [f"{flow.client} to {flow.server} was lost" for flow in missing.values()]
