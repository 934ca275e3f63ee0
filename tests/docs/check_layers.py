#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The order of layers and rooms: a file includes files of its own room and of rooms before it only.
docs/architecture.md says what each room is for."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ["engine/base", "engine",
         "nat/packet", "nat/policy", "nat/conntrack", "nat/limits", "nat/ports", "nat/mapping",
         "nat/reuse", "nat/fragments", "nat/syn_proxy", "nat",
         "dpdk/config", "dpdk/device", "dpdk/state", "dpdk/datapath", "dpdk/control", "dpdk"]
INCLUDE = re.compile(r'^#include "(.*)/[^/]+"', re.MULTILINE)


def problems(root: Path = ROOT) -> list[str]:
    """Each include that runs back, and each folder that has no place in the order."""
    found = []
    for layer in ("engine", "nat", "dpdk"):
        for path in sorted((root / layer).rglob("*.[hc]pp")):
            room = str(path.parent.relative_to(root))
            if room not in ROOMS:
                found.append(f"{room}: is in no order of rooms ({__file__})")
                continue
            later = ROOMS[ROOMS.index(room) + 1:]
            found += [f"{path.relative_to(root)}: {room} may not include {other}, a later room"
                      for other in INCLUDE.findall(path.read_text())
                      if other in later or other.split("/")[0] in ("tools", "bench", "tests")]
    return found


if __name__ == "__main__":
    for problem in (bad := problems()):
        print(problem, file=sys.stderr)
    sys.exit(bool(bad))
