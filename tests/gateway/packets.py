# SPDX-License-Identifier: Apache-2.0
"""Builds packets byte by byte, wrong ones too, and takes them apart. A checksum given as None is
computed."""

import socket
import struct

TCP, UDP, ICMP, GRE, SCTP, UDP_LITE = 6, 17, 1, 47, 132, 136
SCTP_INIT = b"\1\0\0\x14" + b"\0\0\0\7" + b"\0\1\0\0" + b"\0\1\0\1" + b"\0\0\0\1"


def checksum(data):
    """The checksum of RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip(source, destination, protocol, payload, *, ttl=64, options=b"", length=None,
       header_words=None, version=4, identification=1, fragment=0x4000, check=None):
    words = 5 + len(options) // 4 if header_words is None else header_words
    length = 20 + len(options) + len(payload) if length is None else length

    def header(value):
        return struct.pack("!BBHHHBBH4s4s", version << 4 | words, 0, length, identification,
                           fragment, ttl, protocol, value, socket.inet_aton(source),
                           socket.inet_aton(destination)) + options
    return header(checksum(header(0)) if check is None else check) + payload


def _pseudo(source, destination, protocol, length):
    return socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack(
        "!BBH", 0, protocol, length)


def tcp(source, destination, sport, dport, *, flags=0x02, words=None, check=None, payload=b"",
        sequence=1, acknowledgment=0, window=1000, options=b""):
    """`options`: a multiple of four bytes."""
    words = 5 + len(options) // 4 if words is None else words

    def header(value):
        return struct.pack("!HHIIBBHHH", sport, dport, sequence, acknowledgment, words << 4, flags,
                           window, value, 0) + options
    if check is None:
        body = header(0) + payload
        check = checksum(_pseudo(source, destination, TCP, len(body)) + body)
    return header(check) + payload


def udp(source, destination, sport, dport, *, length=None, check=None, payload=b"data"):
    length = 8 + len(payload) if length is None else length

    def header(value):
        return struct.pack("!HHHH", sport, dport, length, value)
    if check is None:
        body = header(0) + payload
        check = checksum(_pseudo(source, destination, UDP, len(body)) + body) or 0xffff
    return header(check) + payload


def udp_lite(source, destination, sport, dport, *, coverage=0, check=None, payload=b"data"):
    """RFC 3828; a coverage of 0 is the whole datagram."""
    def header(value):
        return struct.pack("!HHHH", sport, dport, coverage, value)
    if check is None:
        body = header(0) + payload
        check = checksum(_pseudo(source, destination, UDP_LITE, len(body)) +
                         body[:coverage or len(body)]) or 0xffff
    return header(check) + payload


def crc32c(data):
    """Bit by bit, as RFC 9260 means it."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def sctp(sport, dport, chunks, *, tag=0, check=None):
    def header(value):
        return struct.pack("!HHI", sport, dport, tag) + struct.pack("<I", value)
    return header(crc32c(header(0) + chunks) if check is None else check) + chunks


def icmp(kind, code=0, *, rest=b"\0\1\0\1", payload=b"", check=None):
    def message(value):
        return struct.pack("!BBH", kind, code, value) + rest + payload
    return message(checksum(message(0)) if check is None else check)


MORE_FRAGMENTS, DONT_FRAGMENT, OFFSET = 0x2000, 0x4000, 0x1fff


def fragment(packet, begin, end):
    """The bytes from `begin` to `end` of an IP packet's payload, with its header but the options.

    Whether there is more behind them is told by the packet's length; `begin` is a multiple of 8.
    """
    header, payload = packet[:20], packet[packet[0] % 16 * 4:]
    word, = struct.unpack("!H", header[6:8])
    word |= begin // 8 | (MORE_FRAGMENTS if end < len(payload) else 0)
    part = payload[begin:end]
    header = struct.pack("!BBHHHBBH", 0x45, header[1], 20 + len(part),
                         *struct.unpack("!H", header[4:6]), word, header[8], header[9], 0) + \
        header[12:20]
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + part


def with_identification(packet, identification):
    """An IP packet without options, as it was but for its identification."""
    identified = packet[:4] + struct.pack("!H", identification)
    header = identified + packet[6:10] + bytes(2) + packet[12:20]
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + packet[20:]


def fragments(packet, mtu=1500):
    """An IP packet without options, cut as a router with this MTU would."""
    step = (mtu - 20) // 8 * 8
    length = len(packet) - 20
    return [fragment(packet, begin, min(begin + step, length))
            for begin in range(0, length, step)]


def reassembled(parts):
    """The IP packet whose fragments, each a Packet, these are; None while some are missing."""
    parts = sorted(parts, key=lambda part: part.offset)
    payload = b""
    for part in parts:
        if part.offset != len(payload):
            return None
        payload += part.segment
    if not parts or parts[-1].has_more:
        return None
    first = parts[0]
    return Packet(ip(first.source, first.destination, first.protocol, payload, ttl=first.ttl,
                     identification=first.identification,
                     fragment=DONT_FRAGMENT if first.dont_fragment else 0))


def frame(to_mac, from_mac, packet, ethertype=0x0800):
    return to_mac + from_mac + struct.pack("!H", ethertype) + packet


class Packet:
    """A packet that came out: IP without options, and its content."""

    def __init__(self, data):
        self.data = data[:struct.unpack("!H", data[2:4])[0]]  # without the link's padding
        self.source, self.destination = map(socket.inet_ntoa, (data[12:16], data[16:20]))
        self.ttl, self.protocol = data[8], data[9]
        self.identification, word = struct.unpack("!HH", data[4:8])
        self.dont_fragment, self.has_more = bool(word & DONT_FRAGMENT), bool(word & MORE_FRAGMENTS)
        self.offset = (word & OFFSET) * 8
        self.segment = self.data[20:]

    @property
    def ports(self):
        """The ports of source and destination, where the protocol has ports."""
        return struct.unpack("!HH", self.segment[:4])

    @property
    def ends(self):
        """As a server sees a client: ((address, port), (address, port))."""
        return (self.source, self.ports[0]), (self.destination, self.ports[1])

    @property
    def flags(self):
        return self.segment[13]

    @property
    def sequence(self):
        """TCP's sequence number."""
        return struct.unpack("!I", self.segment[4:8])[0]

    @property
    def acknowledgment(self):
        """TCP's acknowledgment number."""
        return struct.unpack("!I", self.segment[8:12])[0]

    @property
    def window(self):
        """TCP's window, as it stands there."""
        return struct.unpack("!H", self.segment[14:16])[0]

    @property
    def options(self):
        """TCP's options that have a value, or none: by kind, without kind and length."""
        found, options = {}, self.segment[20:self.segment[12] // 16 * 4]
        while options and options[0] != 0:
            if options[0] == 1:
                options = options[1:]
                continue
            found[options[0]] = options[2:options[1]]
            options = options[options[1]:]
        return found

    @property
    def timestamps(self):
        """TCP's TSval and TSecr; None when the segment has none."""
        value = self.options.get(8)
        return struct.unpack("!II", value) if value else None

    @property
    def payload(self):
        """The payload of TCP or UDP."""
        return self.segment[8 if self.protocol in (UDP, UDP_LITE) else self.segment[12] // 16 * 4:]

    @property
    def kind(self):
        """ICMP's type and code."""
        return self.segment[0], self.segment[1]

    @property
    def quoted(self):
        """The packet that an ICMP error is about, as far as it is quoted."""
        return Packet(self.segment[8:])

    def checksums_are_right(self):
        """IP's and the transport's, where there is one."""
        if checksum(self.data[:20]) != 0:
            return False
        if self.protocol == ICMP:
            return checksum(self.segment) == 0
        if self.protocol == SCTP:
            blank = self.segment[:8] + bytes(4) + self.segment[12:]
            return crc32c(blank) == struct.unpack("<I", self.segment[8:12])[0]
        if self.protocol == UDP_LITE:
            coverage = struct.unpack("!H", self.segment[4:6])[0] or len(self.segment)
            pseudo = _pseudo(self.source, self.destination, UDP_LITE, len(self.segment))
            return self.segment[6:8] != b"\0\0" and checksum(
                pseudo + self.segment[:coverage]) == 0
        if self.protocol not in (TCP, UDP):
            return True
        if self.protocol == UDP and self.segment[6:8] == b"\0\0":
            return True
        pseudo = _pseudo(self.source, self.destination, self.protocol, len(self.segment))
        return checksum(pseudo + self.segment) == 0
