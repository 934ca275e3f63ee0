#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets of a build for a while each, from seeds made of the golden packets.

    run.py BUILD                              20 seconds each; what they find is not kept
    run.py BUILD --seconds 36000 --keep DIR   a soak: inputs collect in DIR/TARGET, crashes in DIR
    run.py BUILD --target packet              one of them
"""

import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


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
    """Of fuzz_tcp: a mode, then segments."""
    fin, syn, rst, ack = 1, 2, 4, 16
    opening = [segment(0, 1, 0, syn), segment(1, 9, 2, syn | ack), segment(0, 2, 10, ack)]
    closing = [segment(0, 2, 10, fin | ack), segment(1, 10, 3, fin | ack), segment(0, 3, 11, ack)]
    half = [segment(1, 10, 2, fin | ack), segment(0, 2, 11, ack), segment(0, 2, 11, fin | ack),
            segment(1, 11, 3, ack)]
    for mode in range(3):
        for tail in (closing, half, closing[:1] * 2 + closing[1:], [segment(1, 10, 2, rst)],
                     [segment(0, 1, 0, syn)]):
            yield bytes([mode]) + b"".join(opening + tail)


def requests():
    """Of fuzz_control: each command of docs/json.md, alone and with all that it knows."""
    every = {"source": "10.1.0.0/16", "destination": "10.2.0.2", "address": "10.1.0.2",
             "source_port": 1024, "destination_port": 443, "port": 80, "protocol": "TCP",
             "state": "ESTABLISHED"}
    for command in ("list", "count", "flush"):
        for keys in ({}, {"filter": {}}, {"filter": every}, {"filter": {"state": "MAPPING"}}):
            yield {"command": f"flows {command}", **keys}
    yield {"command": "flows list", "format": "text"}
    for command in ("stats", "ports", "neighbors", "rules", "memory", "version"):
        yield {"command": command}
    yield {"command": "subscribers", "top": 3}


def seeds(target):
    if target == "packet":
        return [bytes([checked]) + packet for packet in golden(arp=False) for checked in (0, 1)]
    if target == "arp":
        return [packet for whole in golden(arp=True) for packet in (whole, whole[14:])]
    if target == "tcp":
        return list(connections())
    if target == "control":
        lines = [json.dumps(request).encode() + b"\n" for request in requests()]
        return [*lines, b"".join(lines)]
    if target == "config":
        return [file.read_bytes() for file in sorted(ROOT.glob("**/examples/**/*.toml"))]
    return []


def run(program, seconds, corpus, crashes):
    """Whether the target found no fault."""
    target = program.name.removeprefix("fuzz_")
    with tempfile.TemporaryDirectory() as directory:
        for number, seed in enumerate(seeds(target)):
            (pathlib.Path(directory) / f"seed{number:04}").write_bytes(seed)
        collected = corpus or pathlib.Path(directory) / "found"
        collected.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [program, f"-max_total_time={seconds}", "-timeout=25", "-rss_limit_mb=4096",
             "-print_final_stats=1", f"-artifact_prefix={crashes}/{target}-", collected, directory],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            check=False)
    words = done.stdout.splitlines()
    inputs = [line.split()[-1] for line in words if "number_of_executed_units" in line]
    print(f"{target:12} {inputs[0] if inputs else '?':>12} inputs  "
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
