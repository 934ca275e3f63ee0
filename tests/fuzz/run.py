#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets of a build for a while each, from seeds made of the golden packets.

    run.py BUILD                              20 seconds each; what they find is not kept
    run.py BUILD --seconds 36000 --keep DIR   a soak: inputs collect in DIR/TARGET, crashes in DIR
    run.py BUILD --target packet              one of them
"""

import argparse
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VARIANTS = {"worker": 8}  # configurations of a gateway, a process each
LEAST_SECONDS = 4


def golden(*, arp):
    """The packets of tests/packets that go in or come out."""
    for file in sorted((ROOT / "tests" / "packets").glob("*.txt")):
        if (file.stem == "arp") != arp:
            continue
        for line in file.read_text().splitlines():
            key, _, text = line.partition(": ")
            if key in ("in", "out"):
                try:
                    yield bytes.fromhex(text)
                except ValueError:
                    continue  # words: "no timestamps"


def segment(direction, sequence, acknowledgment, flags, window=255, options=bytes(8)):
    """An input of fuzz_tcp: numbers of two bytes, which stand for their top and bottom byte."""
    return struct.pack("!BHHBH", direction, sequence, acknowledgment, flags, window) + options


def connections():
    """Inputs of fuzz_tcp: a mode, then segments."""
    fin, syn, rst, ack = 1, 2, 4, 16
    opening = [segment(0, 1, 0, syn), segment(1, 9, 2, syn | ack), segment(0, 2, 10, ack)]
    closing = [segment(0, 2, 10, fin | ack), segment(1, 10, 3, fin | ack), segment(0, 3, 11, ack)]
    half = [segment(1, 10, 2, fin | ack), segment(0, 2, 11, ack), segment(0, 2, 11, fin | ack),
            segment(1, 11, 3, ack)]
    for mode in range(3):
        for tail in (closing, half, closing[:1] * 2 + closing[1:], [segment(1, 10, 2, rst)],
                     [segment(0, 1, 0, syn)]):
            yield bytes([mode]) + b"".join(opening + tail)


def journeys():
    """Inputs of fuzz_worker: steps, each a kind with a port (8: outside) and a worker (16), and its
    arguments."""
    fin, syn, rst, ack, timestamps, data = 1, 2, 4, 16, 64, 128
    opening, answer, report, fragment, time, outside, other = 3, 4, 5, 6, 7, 8, 16
    tcp, udp, icmp, others = 0x01, 0x11, 0x21, 0x31

    def first(kind, *more, port=0, source=20, target=101, client=0, service=0):
        return bytes([opening | port, kind, source, target, client, service, *more])

    def to_service(kind, service, *more):  # of the gateway's own address
        kind += (3 - kind % 3) % 3
        return bytes([opening | outside, kind, 101, 0, 0, service, *more])

    def reply(index, flags, *more):
        return bytes([answer | other, index, flags, *more, 0])

    handshake = [first(tcp, syn, 1, 0), reply(0, syn | ack), reply(1, ack)]
    closing = [reply(2, fin | ack), reply(3, fin | ack), reply(4, ack)]
    yield from (
        handshake + closing, handshake + [reply(2, data | ack, 200), reply(3, rst)] + closing,
        [first(tcp, syn | timestamps, 1, 0, 9, 9), reply(0, syn | ack | timestamps, 5, 9)],
        [to_service(tcp, 0, syn, 1, 0), reply(0, syn | ack), reply(1, ack)] + closing,
        [first(udp, 30), reply(0, 40), bytes([report | outside, 0, 0, 2, 88, 101])],
        [to_service(udp, 1, 30), reply(0, 180), bytes([report, 0, 1, 0, 0, 20])],
        [first(icmp), reply(0, 0)], [first(others, 132, 4, 1, 2, 3, 4), reply(0, 0)],
        [first(others, 47, 4, 1, 2, 3, 4), reply(0, 0)],
        [first(udp, 30, source=8), reply(0, 40)], [first(udp, 30, source=4), reply(0, 40)],
        [first(tcp, syn, 1, 0, target=250), bytes([time, 12])] * 4,
        [bytes([fragment, 50, begin, 31]) for begin in (0, 32, 64, 96)],
        [bytes([fragment, 50, begin, 31]) for begin in (96, 0, 0, 64, 32)],
        [bytes([2 | port, flags, 30, 40]) for port in (0, 8) for flags in range(16)])


def remains():
    """Inputs of fuzz_adoption: how the gateway is, records, then packets and time."""
    live, ending = 96, 64
    mapping, permission, beside, inward, flow, noise = 0, 1, 2, 3, 4, 7

    def record(kind, *, ends=16, ports=9, spoilt=0, state=3, marks=0, rule=0, place=1):
        return bytes([place, kind, ends, ports, spoilt, 1, 244, state, marks, rule, *[1] * 7])

    source_mapped, quarantine, destination_mapped = 64, 32, 128
    packets = bytes([2 << 2 | 2, 0, 9, 130, 16, 9, 129, 16, 9, 0, 50, 0, 131, 17, 10])
    for variant in (0, 1, 2, 6, 64, 65, 66, 128):
        for records in (
                [record(live + flow), record(ending + flow, ports=10)],
                [record(live + flow), record(ending + flow), record(live + flow)],
                [record(live + flow, marks=source_mapped),
                 record(live + mapping, state=2 - variant % 3, marks=quarantine),
                 record(live + permission, state=0)],
                [record(live + inward, marks=destination_mapped),
                 record(ending + mapping, state=2)],
                [record(live + flow, ends=0), record(live + beside, ends=0, state=1)],
                [record(live + flow, spoilt=spoilt, rule=spoilt) for spoilt in range(6)],
                [bytes([1, noise]) + bytes(range(128)), record(live + flow)]):
            yield bytes([variant, len(records)]) + b"".join(records) + b"\x05" + packets


def seeds(target):
    if target == "packet":
        return [bytes([checked]) + packet for packet in golden(arp=False) for checked in (0, 1)]
    if target == "arp":
        return [packet for whole in golden(arp=True) for packet in (whole, whole[14:])]
    if target == "adoption":
        return list(remains()) + stored(target)
    if target == "tcp":
        return list(connections())
    if target == "worker":
        return [b"".join(steps) for steps in journeys()] + stored(target)
    if target == "flow_stream":
        streams = ROOT / "tests" / "unit" / "dpdk" / "streams"
        return [file.read_bytes() for file in sorted(streams.glob("*"))]
    if target == "config":
        return [file.read_bytes() for file in sorted(ROOT.glob("**/examples/**/*.toml"))]
    return stored(target)


def stored(target):
    """Seeds as they stand, and inputs that once showed a fault."""
    return [file.read_bytes() for file in sorted((HERE / "seeds" / target).glob("*"))]


def run(program, seconds, corpus, crashes):
    """Whether the target found no fault: each of its variants gets its part of the time."""
    target = program.name.removeprefix("fuzz_")
    variants = VARIANTS.get(target, 1)
    part = max(LEAST_SECONDS, seconds // variants)
    return all([run_variant(program, target, variant, part, corpus, crashes)
                for variant in range(variants)])


def run_variant(program, target, variant, seconds, corpus, crashes):
    with tempfile.TemporaryDirectory() as scratch:
        seeded, found, sockets = (pathlib.Path(scratch) / name
                                  for name in ("seeds", "found", "sockets"))
        for directory in (seeded, found, sockets):
            directory.mkdir()
        for number, seed in enumerate(seeds(target)):
            (seeded / f"{number:04}").write_bytes(seed)
        collected = corpus or found
        collected.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [program, f"-max_total_time={seconds}", "-timeout=25", "-rss_limit_mb=4096",
             "-print_final_stats=1", f"-artifact_prefix={crashes}/{target}-", collected, seeded],
            env=os.environ | {"NOCLASH_FUZZ_VARIANT": str(variant), "TMPDIR": str(sockets)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            check=False)
    words = done.stdout.splitlines()
    inputs = [line.split()[-1] for line in words if "number_of_executed_units" in line]
    name = f"{target} {variant}" if target in VARIANTS else target
    print(f"{name:12} {inputs[0] if inputs else '?':>12} inputs  "
          f"{'no fault' if done.returncode == 0 else 'FAULT'}", flush=True)
    if done.returncode != 0:
        print("\n".join(words[-60:]), flush=True)
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, metavar="BUILD")
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--target", action="append", metavar="NAME")
    arguments = parser.parse_args()
    programs = [path for path in sorted((arguments.build / "tests" / "fuzz").glob("fuzz_*"))
                if path.is_file() and (not arguments.target
                                       or path.name.removeprefix("fuzz_") in arguments.target)]
    if not programs:
        parser.error(f"{arguments.build} has no such fuzz targets: see docs/contributing.md")
    crashes = arguments.keep or pathlib.Path(tempfile.gettempdir())
    crashes.mkdir(parents=True, exist_ok=True)
    results = [run(program.resolve(), arguments.seconds,
                   arguments.keep and arguments.keep / program.name.removeprefix("fuzz_"), crashes)
               for program in programs]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
