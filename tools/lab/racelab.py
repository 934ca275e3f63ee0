# SPDX-License-Identifier: Apache-2.0
"""build/bench/racelab/racelab: the race laboratory against the build that it lies in."""

import argparse
import os
import sys

from . import bench, bench_racelab, builds, interrupts
from .console import Console
from .process import NotAvailable

EPILOG = """\
examples:
  sudo build/bench/racelab/racelab --quick                 some 2 minutes
  sudo build/bench/racelab/racelab --json FILE --html FILE

This takes the programs of its own build as they are. `tools/bench racelab` is the same, but first
installs and builds what is missing.

exit status:
""" + bench.EXIT_STATUS


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="racelab", description=bench_racelab.HELP, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    bench.add_shared_options(parser, bench_racelab)
    options = parser.parse_args(argv)
    bench.check_options(parser, options, bench_racelab)
    return options


def find_programs(build):
    """NotAvailable when one that is needed was not built."""
    for path in (build.daemon, build.control, build.storm):
        if not os.path.exists(path):
            raise NotAvailable(f"there is no {path}: build it with `ninja -C {build.directory}`, "
                               "or run tools/bench racelab")


def main(argv):
    options = parse_arguments(argv)
    build = builds.Build(os.environ.get("NOCLASH_BUILD", "build"))

    def work():
        find_programs(build)
        return bench.measure_and_report(bench_racelab, build, options, Console())
    return bench.guarded("racelab", work)


if __name__ == "__main__":
    interrupts.raise_on_signals()
    sys.exit(main(sys.argv[1:]))
