#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`meson install` puts the programs that people run where a shell finds them, and nothing else.

    tests/docs/check_install.py BUILD"""

import json
import subprocess
import sys

PROGRAMS = {"noclash", "noclashctl", "noclash-health", "cpsload", "storm"}


def main(argv: list[str]) -> int:
    build, = argv
    output = subprocess.run(["meson", "introspect", "--installed", "--buildoptions", build],
                            check=True, capture_output=True, text=True).stdout
    answer = json.loads(output)
    options = {option["name"]: option["value"] for option in answer["buildoptions"]}
    directory = f"{options['prefix']}/{options['bindir']}/"
    expected = {directory + name for name in PROGRAMS}
    installed = set(answer["installed"].values())
    for path in sorted(expected - installed):
        print(f"not installed: {path}")
    for path in sorted(installed - expected):
        print(f"not meant to be installed: {path}")
    return int(installed != expected)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
