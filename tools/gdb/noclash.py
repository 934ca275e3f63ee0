# SPDX-License-Identifier: Apache-2.0
"""gdb prints addresses, tuples and flow records as text.

    (gdb) source tools/gdb/noclash.py
    (gdb) print context.parsed.tuple
    $1 = tcp 10.1.0.7:40000 -> 192.0.2.80:80
    (gdb) print worker.record(7)
    $2 = live established, original = tcp ..., reply = tcp ..., rule 2, worker 0, packets 3 + 2

Whoever debugs a core dump or a stopped daemon of a build with `-Ddebug=true` can use it; `print /r`
shows the fields.
"""

import ipaddress
import re

import gdb

PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp", 136: "udplite"}
KINDS = {1: " (mapping)", 2: " (permission)", 3: " (incarnation)"}
MARKS = {1: "replied", 2: "assured"}


def swapped(value, size):
    """A number that is kept in network byte order."""
    return int.from_bytes(int(value).to_bytes(size, "little"), "big")


def loaded(atomic):
    """The value of a std::atomic."""
    for field in ("_M_i", "_M_base"):
        if field in [f.name for f in atomic.type.strip_typedefs().fields()]:
            return loaded(atomic[field]) if field == "_M_base" else atomic[field]
    return loaded(atomic[atomic.type.strip_typedefs().fields()[0]])


def address(value):
    if value.type.strip_typedefs().name.endswith("V4Address"):
        return str(ipaddress.IPv4Address(swapped(value["value"]["raw_"], 4)))
    elements = value["bytes"]["_M_elems"]
    return f"[{ipaddress.IPv6Address(bytes(int(elements[i]) for i in range(16)))}]"


def tuple_text(value):
    protocol = int(value["protocol"])
    ends = [f"{address(value[end])}:{swapped(value[end + '_port']['raw_'], 2)}"
            for end in ("source", "destination")]
    zone = int(value["zone"])
    return (f"{PROTOCOLS.get(protocol, protocol)} {' -> '.join(ends)}"
            f"{f' zone {zone}' if zone else ''}{KINDS.get(int(value['reserved']), '')}")


def enumerator(value, kind):
    """An enumerator's name without its scope; a number where there is none."""
    return str(value.cast(gdb.lookup_type(kind))).rpartition("::")[2]


def flow_text(flow):
    tuples = flow["tuples"]["_M_elems"]
    counters = flow["counters"]["_M_elems"]
    packets = [int(loaded(counters[i]["packets"])) for i in range(2)]
    marks = int(loaded(flow["marks"]))
    words = [str(loaded(flow["status"])).rpartition("::")[2]]
    if int(tuples[0]["protocol"]) == 6 and int(tuples[0]["reserved"]) in (0, 3):
        try:
            words.append(enumerator(loaded(flow["protocol_state"]) & 15, "noclash::nat::TcpState"))
        except gdb.error:
            pass  # the engine alone knows no states
    words += [word for bit, word in MARKS.items() if marks & bit]
    return (f"{' '.join(words)}, original = {tuple_text(tuples[0])}, "
            f"reply = {tuple_text(tuples[1])}, rule {int(flow['rule'])}, "
            f"worker {int(flow['owner'])}, packets {packets[0]} + {packets[1]}")


TEXTS = {r"noclash::V[46]Address": address,
         r"noclash::Tuple<.*>": tuple_text,
         r"noclash::Flow<.*>": flow_text}


class Printer:
    def __init__(self, value, text):
        self.value, self.text = value, text

    def to_string(self):
        return self.text(self.value)


def find(value):
    name = value.type.strip_typedefs().unqualified().name or ""
    for pattern, text in TEXTS.items():
        if re.fullmatch(pattern, name):
            return Printer(value, text)
    return None


gdb.pretty_printers.append(find)
