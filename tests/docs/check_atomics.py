#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every ordered atomic access of engine/, nat/ and dpdk/ carries a number, and docs/race.md explains it.

An access that is not relaxed must have `(n)` in a comment on its line or within two lines of it.
Each number must have a row in the table of docs/race.md, and each row a number in the code."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("engine", "nat", "dpdk")
ORDERED = re.compile(r"memory_order_(acquire|release|acq_rel|seq_cst)")
NUMBER = re.compile(r"(?<!\w)\((\d{1,2})\)")
ROW = re.compile(r"^\| \((\d+)\) ")


def numbers_in_code() -> tuple[dict[int, str], list[str]]:
    """Where each number stands first, and the ordered accesses that have none."""
    found: dict[int, str] = {}
    unnumbered = []
    sources = (path for layer in LAYERS for path in (ROOT / layer).rglob("*.[hc]pp"))
    for path in sorted(sources):
        lines = path.read_text().splitlines()
        numbered = {at: NUMBER.findall(line.partition("//")[2]) for at, line in enumerate(lines)}
        for at, line in enumerate(lines):
            place = f"{path.relative_to(ROOT)}:{at + 1}"
            for number in numbered[at]:
                found.setdefault(int(number), place)
            near = range(max(0, at - 2), min(len(lines), at + 3))
            if ORDERED.search(line.split("//")[0]) and not any(numbered[n] for n in near):
                unnumbered.append(place)
    return found, unnumbered


def main() -> int:
    code, unnumbered = numbers_in_code()
    text = (ROOT / "docs/race.md").read_text().splitlines()
    rows = {int(match[1]) for line in text if (match := ROW.match(line))}
    problems = [f"{place}: an ordered access without a number" for place in unnumbered]
    problems += [f"{code[n]}: ({n}) has no row in docs/race.md" for n in sorted(code.keys() - rows)]
    problems += [f"docs/race.md: ({n}) is nowhere in the code" for n in sorted(rows - code.keys())]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(code)} ordered atomics, {len(rows)} rows")
    return 1 if problems or not code else 0


if __name__ == "__main__":
    sys.exit(main())
