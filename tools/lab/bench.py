# SPDX-License-Identifier: Apache-2.0
"""tools/bench: builds what measures, runs it, and says how the results stand to their targets."""

import argparse
import os
import sys

from . import (bench_cps, bench_engine, bench_pipeline, bench_racelab, bench_restart,
               bench_services, builds, interrupts)
from .bench_report import print_rows, read_baseline, write_json
from .console import Console
from .process import LabError, NotAvailable, run

FINE, WRONG, USAGE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 130

# Each is a module with SUMMARY, HELP, targets(build) and measure(build, options, console), which
# returns a Report; with options of its own, add_options(parser) and check_options(parser, options).
BENCHMARKS = {"engine": bench_engine, "racelab": bench_racelab, "cps": bench_cps,
              "pipeline": bench_pipeline, "restart": bench_restart, "services": bench_services}

DESCRIPTION = """\
Measures noclash on this machine. Nothing is installed but Debian packages, nothing outside the
build directory is touched; the answers of whatever is measured are checked. Timings are wall-clock:
leave the machine alone meanwhile.
"""

EXIT_STATUS = """\
  0  everything was measured and every answer was right; a row that falls short of its target is
     told, but is no error
  1  a wrong answer        2  usage        3  this machine lacks something: not all was measured
  130  interrupted
"""

EPILOG = """\
benchmarks:
{benchmarks}

examples:
  tools/bench                              list the benchmarks
  tools/bench engine --quick               the rows that have targets: 90 s after building
  tools/bench engine --json engine.json    everything; the rows, the machine and all details as JSON
  sudo tools/bench racelab --quick         who loses connections: some 2 minutes after building
  sudo tools/bench services --quick        backends are replaced under load: under 2 minutes
  tools/bench pipeline --baseline old.json what a change did: each row as ratio to an earlier --json
  tools/bench engine --help                what exactly is measured, and how to read it

exit status:
""" + EXIT_STATUS


def list_benchmarks():
    return "\n".join(f"  {name:<10} {module.SUMMARY}" for name, module in BENCHMARKS.items())


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="tools/bench", description=DESCRIPTION,
        epilog=EPILOG.format(benchmarks=list_benchmarks()),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    names = parser.add_subparsers(dest="name", metavar="NAME",
                                  title="what to measure", prog="tools/bench")
    for name, module in BENCHMARKS.items():
        one = names.add_parser(name, help=module.SUMMARY, description=module.HELP,
                               formatter_class=argparse.RawDescriptionHelpFormatter)
        add_shared_options(one, module)
    options = parser.parse_args(argv)
    if options.name:
        check_options(parser, options, BENCHMARKS[options.name])
    return options


def add_shared_options(parser, module):
    """Adds the options that every benchmark has, and those of this one."""
    parser.add_argument("--quick", action="store_true",
                        help="only what the table of targets needs")
    parser.add_argument("--json", metavar="FILE", help="write the results to FILE as well")
    parser.add_argument("--baseline", metavar="FILE",
                        help="compare with the FILE that an earlier --json has written")
    if hasattr(module, "add_options"):
        module.add_options(parser)


def check_options(parser, options, module):
    """Ends with a message when a file cannot be read, or could not be written in the end."""
    options.before = {}
    if options.baseline:
        try:
            options.before = read_baseline(options.baseline)
        except LabError as error:
            parser.error(f"--baseline: {error}")
    if options.json and not os.path.isdir(os.path.dirname(os.path.abspath(options.json))):
        parser.error(f"--json: there is no directory for {options.json}")
    if hasattr(module, "check_options"):
        module.check_options(parser, options)


def prepare(console):
    """Installs what is missing. Returns the build that is measured; NotAvailable if there is none."""
    with console.step("packages") as step:
        run([os.path.join(builds.ROOT, "tools", "setup")], timeout_s=1800)
        step.conclude("all there")
    build = builds.Build(os.environ.get("NOCLASH_BUILD", "build"),
                         options=["--buildtype=release"])
    with console.step("configuring"):
        build.configure()
    return build


def measure(options, console):
    """One benchmark from beginning to end; returns the exit status."""
    module = BENCHMARKS[options.name]
    console.heading("Preparing")
    try:
        build = prepare(console)
        with console.step("building") as step:
            build.compile(step, module.targets(build))
    except LabError as error:
        raise NotAvailable(str(error)) from error
    return measure_and_report(module, build, options, console)


def measure_and_report(module, build, options, console):
    """A benchmark whose programs are there; returns the exit status."""
    console.heading("Measuring")
    report = module.measure(build, options, console)
    console.heading("Targets")
    print_rows(report, console, options.before)
    if options.json:
        write_json(report, options.json)
    if report.wrong:
        return WRONG
    return FINE if all(row.measured for row in report.rows) else ENVIRONMENT


def main(argv):
    options = parse_arguments(argv)
    console = Console()
    if not options.name:
        console.say("benchmarks, each run as `tools/bench NAME` (--help tells more):\n\n" +
                    list_benchmarks())
        return FINE
    interrupts.raise_on_signals()
    return guarded("bench", lambda: measure(options, console))


def guarded(name, work):
    """Does `work()`, which returns an exit status; what it raises is told and gets its own."""
    try:
        return work()
    except NotAvailable as error:
        print(f"{name}: {error}", file=sys.stderr)
        return ENVIRONMENT
    except LabError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return WRONG
    except (KeyboardInterrupt, interrupts.Interrupted):
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
