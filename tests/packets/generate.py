#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden packets beside it: `python3 generate.py`, with scapy installed.

Every packet, and every packet that must come out, is made by scapy from its fields, with all
checksums computed anew. A test is a block of lines: what it is about, what to do with the packet
(tests/unit/nat/golden_test.cpp knows the directives), the packet in hex from its IP header on, and
what must come out: hex, or words.
"""

import pathlib
import random
from socket import inet_aton

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_NOP, IPOption_RR
from scapy.layers.l2 import ARP, Ether
from scapy.layers.sctp import SCTP, SCTPChunkAbort, SCTPChunkData, SCTPChunkInit
from scapy.packet import Raw
from scapy.utils import checksum

INSIDE, OUTSIDE, SERVER, ROUTER = "10.1.2.3", "198.51.100.7", "203.0.113.9", "192.0.2.254"
UDP_LITE = 136
PAYLOAD = bytes(random.Random(1).randbytes(77))
TCP_OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (123456, 0)), ("NOP", None),
               ("WScale", 7)]
HOP_LESS = {"ttl": 60}  # than `ip` says: a packet that is translated goes a hop further


def ip(source, destination, **fields):
    return IP(src=source, dst=destination, id=fields.pop("id", 4711), ttl=fields.pop("ttl", 61),
              **fields)


def block(about, directive, packet, expected):
    out = expected if isinstance(expected, str) else bytes(expected).hex()
    return f"about: {about}\ndo: {directive}\nin: {bytes(packet).hex()}\nout: {out}\n"


def transports(source_port, destination_port):
    """The same segments with any ports, each with a name."""
    return {
        "TCP SYN with options": TCP(sport=source_port, dport=destination_port, flags="S",
                                    seq=0xDEADBEEF, options=TCP_OPTIONS),
        "TCP data of odd length": TCP(sport=source_port, dport=destination_port, flags="PA",
                                      seq=1, ack=2) / Raw(PAYLOAD),
        "UDP": UDP(sport=source_port, dport=destination_port) / Raw(PAYLOAD[:20]),
        "UDP without payload": UDP(sport=source_port, dport=destination_port),
        "UDP without checksum": UDP(sport=source_port, dport=destination_port, chksum=0)
        / Raw(PAYLOAD[:9]),
        "echo request": ICMP(type=8, id=source_port, seq=3) / Raw(PAYLOAD[:56]),
        "echo reply": ICMP(type=0, id=destination_port, seq=3) / Raw(PAYLOAD[:56]),
        "timestamp request": ICMP(type=13, id=source_port, seq=3, ts_ori=0x01020304, ts_rx=0,
                                  ts_tx=0),
        "timestamp reply": ICMP(type=14, id=destination_port, seq=3, ts_ori=0x01020304,
                                ts_rx=0x01020309, ts_tx=0x01020309),
    }


def udp_lite(source, destination, source_port, destination_port, coverage, payload, **fields):
    """scapy does not know it: UDP, with the coverage in place of the length (RFC 3828)."""
    body = bytes(UDP(sport=source_port, dport=destination_port, len=coverage, chksum=0)) + payload
    pseudo = (inet_aton(source) + inet_aton(destination)
              + UDP_LITE.to_bytes(2, "big") + len(body).to_bytes(2, "big"))
    check = checksum(pseudo + body[:coverage or len(body)]) or 0xffff
    return ip(source, destination, proto=UDP_LITE, flags="DF", **fields) / Raw(
        body[:6] + check.to_bytes(2, "big") + body[8:])


def associations(source_port, destination_port):
    """SCTP packets, each with a name."""
    ports = {"sport": source_port, "dport": destination_port}
    return {"SCTP INIT": SCTP(**ports, tag=0) / SCTPChunkInit(init_tag=7, a_rwnd=65536),
            "SCTP data": SCTP(**ports, tag=9) / SCTPChunkData(data=PAYLOAD[:13], tsn=5),
            "SCTP ABORT": SCTP(**ports, tag=9) / SCTPChunkAbort()}


def other_protocols():
    """Translated as `translations`, and reported about."""
    directive = f"translate {OUTSIDE}:61234 {SERVER}:80"
    for coverage, payload in ((0, PAYLOAD), (8, PAYLOAD), (19, PAYLOAD), (8 + len(PAYLOAD), PAYLOAD),
                              (8, b"")):
        yield block(f"UDP-Lite, {coverage or 'all'} bytes of {8 + len(payload)} covered", directive,
                    udp_lite(INSIDE, ROUTER, 40000, 8080, coverage, payload),
                    udp_lite(OUTSIDE, SERVER, 61234, 80, coverage, payload, **HOP_LESS))
    before, after = associations(40000, 8080), associations(61234, 80)
    for name in before:
        yield block(f"{name} to another source and destination", directive,
                    ip(INSIDE, ROUTER) / before[name], ip(OUTSIDE, SERVER, **HOP_LESS) / after[name])
    gre, esp = (bytes.fromhex("00000800") + PAYLOAD, b"\0\0\1\0\0\0\0\1" + PAYLOAD)
    for name, number, inside in (("GRE", 47, gre), ("ESP", 50, esp), ("protocol 200, empty", 200, b"")):
        yield block(f"{name}, by address", f"translate {OUTSIDE}:0 {SERVER}:0",
                    ip(INSIDE, ROUTER, proto=number) / Raw(inside),
                    ip(OUTSIDE, SERVER, proto=number, **HOP_LESS) / Raw(inside))
        sent, known = (bytes(ip(source, SERVER, proto=number) / Raw(inside))[:60]
                       for source in (OUTSIDE, INSIDE))
        yield block(f"time exceeded about {name}",
                    f"rewrite_error {INSIDE}:0 {SERVER}:0 from {ROUTER} to {INSIDE}",
                    ip(ROUTER, OUTSIDE) / ICMP(type=11) / Raw(sent),
                    ip(ROUTER, INSIDE) / ICMP(type=11) / Raw(known))
    for cut in (28, 200):
        for name in before:
            sent = bytes(ip(OUTSIDE, SERVER) / associations(61234, 80)[name])[:cut]
            known = bytes(ip(INSIDE, SERVER) / associations(40000, 80)[name])[:cut]
            yield block(f"unreachable about {name}, {cut} bytes quoted at most",
                        f"rewrite_error {INSIDE}:40000 {SERVER}:80 from {ROUTER} to {INSIDE}",
                        ip(ROUTER, OUTSIDE) / ICMP(type=3, code=2) / Raw(sent),
                        ip(ROUTER, INSIDE) / ICMP(type=3, code=2) / Raw(known))
    for name, segment in before.items():
        yield block(name, "parse", ip(INSIDE, SERVER) / segment,
                    f"sctp {INSIDE}:40000 {SERVER}:8080 checksum good")
    yield block("SCTP, damaged", "parse", bytes(ip(INSIDE, SERVER) / before["SCTP data"])[:-1] + b"x",
                f"sctp {INSIDE}:40000 {SERVER}:8080 checksum bad")
    yield block("UDP-Lite", "parse", udp_lite(INSIDE, SERVER, 1, 2, 12, PAYLOAD),
                f"udp_lite {INSIDE}:1 {SERVER}:2 checksum good")
    yield block("UDP-Lite, damaged where nothing covers it", "parse",
                bytes(udp_lite(INSIDE, SERVER, 1, 2, 12, PAYLOAD))[:-1] + b"x",
                f"udp_lite {INSIDE}:1 {SERVER}:2 checksum good")
    yield block("UDP-Lite with a coverage of 7", "parse",
                udp_lite(INSIDE, SERVER, 1, 2, 7, PAYLOAD), "drop bad_l4_header")
    yield block("GRE", "parse", ip(INSIDE, SERVER, proto=47) / Raw(gre),
                f"other {INSIDE}:0 {SERVER}:0 checksum good")
    yield block("IGMP", "parse", ip(INSIDE, SERVER, proto=2) / Raw(gre), "drop protocol")


def translations():
    before, after = transports(40000, 8080), transports(61234, 80)
    options = [IPOption_RR(length=7, pointer=4, routers=["0.0.0.0"]), IPOption_NOP()]
    for name in before:
        for with_options in (False, True):
            extra = {"options": options} if with_options else {}
            yield block(
                f"{name} to another source and destination"
                + (", with IP options" if with_options else ""),
                f"translate {OUTSIDE}:61234 {SERVER}:80",
                ip(INSIDE, ROUTER, flags="DF", **extra) / before[name],
                ip(OUTSIDE, SERVER, flags="DF", **HOP_LESS, **extra) / after[name])
    yield from clamps()
    yield from timestamps()
    yield block("one hop less", "ttl", ip(INSIDE, SERVER, ttl=64) / UDP() / b"x",
                ip(INSIDE, SERVER, ttl=63) / UDP() / b"x")
    yield block("the last hop", "ttl", ip(INSIDE, SERVER, ttl=1, id=0x1234) / UDP(),
                ip(INSIDE, SERVER, ttl=0, id=0x1234) / UDP())


def clamps():
    """SYNs whose maximum segment size is lowered, and some that stay as they are."""
    def syn(*options, **fields):
        return ip(INSIDE, SERVER, flags="DF") / TCP(sport=5, dport=80, flags="S", seq=7,
                                                    options=list(options), **fields)

    def mss(value):
        return ("MSS", value)

    nop, window = ("NOP", None), ("WScale", 7)
    for name, before, after in (
            ("MSS alone", syn(mss(1460)), syn(mss(1360))),
            ("SYN-ACK with options", syn(*TCP_OPTIONS),
             syn(mss(1360), *TCP_OPTIONS[1:])),
            ("MSS at an odd byte", syn(nop, mss(1460), window), syn(nop, mss(1360), window)),
            ("MSS at an even byte behind others", syn(nop, nop, mss(65535), nop, window),
             syn(nop, nop, mss(1360), nop, window)),
            ("MSS as the last bytes", syn(("Timestamp", (1, 0)), nop, nop, mss(1361)),
             syn(("Timestamp", (1, 0)), nop, nop, mss(1360)))):
        yield block(f"{name}, clamped", "clamp_mss 1360", before, after)
    for name, packet in (
            ("MSS as large as may be", syn(mss(1360))),
            ("MSS of a small host", syn(nop, mss(536))),
            ("no options", syn()),
            ("no MSS", syn(nop, nop, ("SAckOK", b""))),
            ("MSS behind the end of the list", syn(("EOL", None), mss(1460))),
            ("option of length 0 before the MSS",
             bytes(syn(("NOP", None), mss(1460))).replace(b"\x01\x02\x04", b"\xfd\x00\x04")),
            ("MSS option of 3 bytes",
             bytes(syn(mss(1460))).replace(b"\x02\x04\x05\xb4", b"\x02\x03\x05\x01"))):
        yield block(f"{name}, not clamped", "clamp_mss 1360", packet, packet)


def timestamps():
    """The option wherever hosts put it, with other values, or without it."""
    def segment(*options, payload=PAYLOAD):
        return ip(INSIDE, SERVER, flags="DF") / TCP(sport=5, dport=80, flags="PA", seq=7, ack=9,
                                                    options=list(options)) / Raw(payload)

    def stamp(value, echo):
        return ("Timestamp", (value, echo))

    nop, old, new = ("NOP", None), stamp(123456, 0xFFFFFFFE), stamp(4294967295, 65536)
    for name, place in (
            ("as usual", lambda *option: segment(nop, nop, *option)),
            ("in a SYN", lambda *option: segment(("MSS", 1460), ("SAckOK", b""), *option, nop,
                                                 ("WScale", 7))),
            ("at an odd byte", lambda *option: segment(nop, *option, nop)),
            ("behind selective acknowledgments",
             lambda *option: segment(nop, nop, ("SAck", (1, 2)), nop, nop, *option)),
            ("as the last bytes", lambda *option: segment(nop, nop, nop, ("WScale", 7), nop, nop,
                                                          *option, payload=b""))):
        yield block(f"timestamps {name}", "timestamps 4294967295 65536", place(old), place(new))
        yield block(f"timestamps {name}, stripped", "strip_timestamps", place(old),
                    place(*[nop] * 10))
    broken = bytes(segment(("WScale", 7), nop, old, nop, nop)).replace(b"\x03\x03\x07",
                                                                       b"\x03\x00\x07")
    for name, packet in (
            ("no options", segment()),
            ("no timestamps", segment(nop, nop, ("SAckOK", b""))),
            ("timestamps behind the end of the list", segment(("EOL", None), nop, old, nop)),
            ("timestamps behind an option of length 0", broken),
            ("timestamps of 8 bytes", bytes(segment(nop, nop, old)).replace(b"\x08\x0a\0",
                                                                            b"\x08\x08\0"))):
        yield block(name, "timestamps 1 2", packet, "no timestamps")
        yield block(f"{name}, not stripped", "strip_timestamps", packet, packet)


def icmp_errors():
    before, after = transports(61234, 80), transports(40000, 80)
    kinds = {"time exceeded": {"type": 11, "code": 0},
             "fragmentation needed": {"type": 3, "code": 4, "nexthopmtu": 1400},
             "parameter problem": {"type": 12, "code": 0, "ptr": 20}}
    for (kind, fields), cut in zip(kinds.items(), (28, 44, 200)):
        for name in before:
            quoted = bytes(ip(OUTSIDE, SERVER, ttl=1) / before[name])[:cut]
            expected = bytes(ip(INSIDE, SERVER, ttl=1) / after[name])[:cut]
            yield block(
                f"{kind} about {name}, {cut} bytes quoted at most",
                f"rewrite_error {INSIDE}:40000 {SERVER}:80 from {ROUTER} to {INSIDE}",
                ip(ROUTER, OUTSIDE) / ICMP(**fields) / Raw(quoted),
                ip(ROUTER, INSIDE) / ICMP(**fields) / Raw(expected))
    # RFC 4884: the quoted packet padded to 32 words, as the length field says, and an MPLS label.
    extension = bytes.fromhex("2000" "9cf1" "00080101" "000641ff")
    for kind, fields in (("time exceeded", {"type": 11, "length": 32}),
                         ("destination unreachable", {"type": 3, "code": 1, "length": 32})):
        quoted, expected = (bytes(ip(source, SERVER, ttl=1) / packets["UDP"]).ljust(128, b"\0")
                            for source, packets in ((OUTSIDE, before), (INSIDE, after)))
        yield block(f"{kind} with extensions [RFC 4884]",
                    f"rewrite_error {INSIDE}:40000 {SERVER}:80 from {ROUTER} to {INSIDE}",
                    ip(ROUTER, OUTSIDE) / ICMP(**fields) / Raw(quoted + extension),
                    ip(ROUTER, INSIDE) / ICMP(**fields) / Raw(expected + extension))
    offending = ip(INSIDE, SERVER, ttl=1, flags="DF") / TCP(sport=5, flags="S") / Raw(PAYLOAD)
    long = ip(INSIDE, SERVER, flags="DF") / UDP(dport=9) / Raw(PAYLOAD * 15)
    own = {"tos": 0xC0, "ttl": 64, "id": 0, "flags": "DF"}
    for kind, packet, fields, mtu in (
            ("time exceeded", offending, {"type": 11, "code": 0}, 0),
            ("host unreachable", offending, {"type": 3, "code": 1}, 0),
            ("fragmentation needed", long, {"type": 3, "code": 4, "nexthopmtu": 1006}, 1006)):
        yield block(f"our own {kind}",
                    f"make_error {fields['type']} {fields['code']} {mtu} from {ROUTER}", packet,
                    ip(ROUTER, INSIDE, **own) / ICMP(**fields) / Raw(bytes(packet)[:548]))
    yield block("no error about an error", f"make_error 11 0 0 from {ROUTER}",
                ip(SERVER, INSIDE) / ICMP(type=3, code=1) / Raw(bytes(offending)), "nothing")
    yield block("echo to ourselves", "echo_reply",
                ip(INSIDE, ROUTER) / ICMP(type=8, id=7, seq=9) / Raw(PAYLOAD),
                ip(ROUTER, INSIDE, ttl=64) / ICMP(type=0, id=7, seq=9) / Raw(PAYLOAD))


def parses():
    def case(about, packet, expected):
        return block(about, "parse", packet, expected)

    udp = UDP(sport=53, dport=5353) / Raw(PAYLOAD)
    good = ip(INSIDE, SERVER) / udp
    yield case("UDP", good, f"udp {INSIDE}:53 {SERVER}:5353 checksum good")
    yield case("UDP, damaged", bytes(good)[:-1] + b"\0",
               f"udp {INSIDE}:53 {SERVER}:5353 checksum bad")
    yield case("UDP, padded by Ethernet", bytes(ip(INSIDE, SERVER) / UDP(sport=1, dport=2)) + bytes(18),
               f"udp {INSIDE}:1 {SERVER}:2 checksum good")
    yield case("TCP", ip(INSIDE, SERVER) / TCP(sport=1, dport=2, flags="FA"),
               f"tcp {INSIDE}:1 {SERVER}:2 checksum good")
    yield case("TCP with ECN set-up", ip(INSIDE, SERVER) / TCP(sport=1, dport=2, flags="SEC"),
               f"tcp {INSIDE}:1 {SERVER}:2 checksum good")
    yield case("echo request", ip(INSIDE, SERVER) / ICMP(type=8, id=77),
               f"icmp_request {INSIDE}:77 {SERVER}:0 checksum good")
    yield case("echo reply", ip(SERVER, INSIDE) / ICMP(type=0, id=77),
               f"icmp_reply {SERVER}:0 {INSIDE}:77 checksum good")
    for kind, type_, ends in (("request", 13, (INSIDE, SERVER)), ("reply", 14, (SERVER, INSIDE))):
        stamps = ip(*ends) / ICMP(type=type_, id=77, ts_ori=1, ts_rx=2, ts_tx=3)
        ports = (77, 0) if type_ == 13 else (0, 77)
        yield case(f"timestamp {kind}", stamps,
                   f"icmp_{kind} {ends[0]}:{ports[0]} {ends[1]}:{ports[1]} checksum good")
        yield case(f"timestamp {kind}, cut short", ip(*ends, proto=1) / Raw(bytes(stamps[ICMP])[:19]),
                   "drop bad_l4_header")
    yield case("ICMP error", ip(ROUTER, INSIDE) / ICMP(type=3, code=3) / Raw(bytes(good)[:28]),
               f"icmp_error {INSIDE}:53 {SERVER}:5353 checksum good")
    yield case("loose source route",
               ip(INSIDE, SERVER, options=[IPOption_LSRR(routers=[ROUTER])]) / udp,
               "drop source_route")
    yield case("header checksum", ip(INSIDE, SERVER, chksum=0x1234) / udp, "drop bad_ip_checksum")
    yield case("version 6", ip(INSIDE, SERVER, version=6) / udp, "drop bad_ip_header")
    yield case("total length too long", ip(INSIDE, SERVER, len=1500) / udp, "drop truncated")
    yield case("first fragment", ip(INSIDE, SERVER, flags="MF") / udp, "drop fragment")
    yield case("later fragment", ip(INSIDE, SERVER, frag=8) / udp, "drop fragment")
    yield case("fragment to a multicast group", ip(INSIDE, "224.0.0.1", flags="MF") / udp,
               "drop bad_address")
    yield case("fragment from loopback", ip("127.0.0.1", SERVER, flags="MF") / udp,
               "drop bad_address")
    yield case("fragment from itself to itself", ip(SERVER, SERVER, flags="MF") / udp,
               "drop bad_address")
    yield case("TCP XMAS", ip(INSIDE, SERVER) / TCP(flags="FPU"), "drop bad_l4_header")
    yield case("TCP without flags", ip(INSIDE, SERVER) / TCP(flags=0), "drop bad_l4_header")
    yield case("TCP data offset", ip(INSIDE, SERVER) / TCP(dataofs=15), "drop bad_l4_header")
    yield case("UDP length", ip(INSIDE, SERVER) / UDP(len=2000) / Raw(PAYLOAD),
               "drop bad_l4_header")
    yield case("redirect", ip(ROUTER, INSIDE) / ICMP(type=5, code=1, gw=ROUTER) / Raw(bytes(good)),
               "drop icmp_unrelated")
    yield case("address mask request", ip(INSIDE, SERVER) / ICMP(type=17, addr_mask="0.0.0.0"),
               "drop protocol")


def arps():
    ours, theirs = "02:00:00:00:00:01", "02:00:00:00:00:02"
    request = ARP(op=1, hwsrc=theirs, psrc=INSIDE, hwdst="00:00:00:00:00:00", pdst=ROUTER)
    reply = Ether(src=ours, dst=theirs) / ARP(op=2, hwsrc=ours, psrc=ROUTER, hwdst=theirs,
                                              pdst=INSIDE)
    yield block("who has our address", f"arp_reply {ours}", request, bytes(reply).ljust(60, b"\0"))


def main():
    here = pathlib.Path(__file__).parent
    for name, blocks in (("translate", translations()), ("icmp", icmp_errors()), ("parse", parses()),
                         ("arp", arps()), ("protocols", other_protocols())):
        text = "# SPDX-License-Identifier: Apache-2.0\n# Made by generate.py.\n\n"
        (here / f"{name}.txt").write_text(text + "\n".join(blocks))


if __name__ == "__main__":
    main()
