#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gdb prints tuples and flows as tools/gdb/noclash.py promises."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = {
    "address": "192.0.2.80",
    "original": "tcp 10.1.0.7:40000 -> 192.0.2.80:80",
    "six": "udp [2001:db8::7]:5000 -> [2001:db8::80]:53 zone 3 (mapping)",
    "flow": "live established replied assured, original = tcp 10.1.0.7:40000 -> 192.0.2.80:80, "
            "reply = tcp 192.0.2.80:80 -> 10.1.0.7:40000, rule 7, worker 0, packets 1 + 0",
}


def main(probe: str) -> int:
    commands = [f"source {ROOT}/tools/gdb/noclash.py", "break look", "run", "up"]
    commands += [f'printf "{name}: "\nprint {name}' for name in EXPECTED]
    arguments = [word for command in "\n".join(commands).splitlines() for word in ("-ex", command)]
    done = subprocess.run(["gdb", "-nx", "-batch", *arguments, probe], capture_output=True,
                          text=True, check=False, timeout=120)
    # gdb prints type and address of a reference first.
    wrong = [name for name, text in EXPECTED.items()
             if not any(line.startswith(f"{name}: $") and line.endswith(text)
                        for line in done.stdout.splitlines())]
    if wrong:
        print(f"not printed as promised: {', '.join(wrong)}\n{done.stdout}{done.stderr}",
              file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
