# SPDX-License-Identifier: Apache-2.0
"""tools/test: installs, builds, and runs every test."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

from . import builds, interrupts, laboratory
from .console import Console
from .namespaces import require_privilege
from .process import LabError, NotAvailable, run

FINE, FAILED, USAGE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 130

GATEWAY_TESTS = os.path.join(builds.ROOT, "tests", "gateway")
# What --quick and the sanitized daemon run of the tests against real hosts: a file, and the classes
# or tests in it where not all. Else all files run.
QUICK_GATEWAY_TESTS = ("services", "rules", "router Router", "control Flows",
                       "storm Instrument Storm.test_in_step",
                       "cpsload OverMemif.test_mix OtherGateways.test_the_kernels_nat")
SANITIZED_GATEWAY_TESTS = ("services", "rules", "router", "malformed", "lifecycle", "control",
                           "mappings", "icmp", "field", "protocols", "behavior", "limits",
                           "tcp_window", "untracked Untracked")

# Suite of the unit and stress tests whose threads race on purpose.
TSAN_SUITES = ("tsan",)
# The longer proofs, which --quick leaves out.
PROOFS = {"models (Spin)": "model", "mutants of the engine": "mutants"}
NO_PROOFS = ["--no-suite=model", "--no-suite=mutants"]

DESCRIPTION = """\
Installs what is missing, builds, and runs the tests: unit and stress tests, then tests of the
running gateway in network namespaces of its own, against real hosts (curl, dig, ping, iperf3).
"""

EPILOG = """\
  --quick    the release build; unit and stress tests; the main tests of the gateway: some
             3 minutes after building
  (neither)  the release build; all tests, Spin's models, and mutants of the engine, each of which
             the schedule tests have to catch
  --all      also: a build with clang, AddressSanitizer and UndefinedBehaviorSanitizer (all unit and
             stress tests, the gateway's main tests), and one with ThreadSanitizer (the engine and
             whatever else threads share); the format of the sources, and clang-tidy

A single test of the gateway:   sudo tests/gateway/test_rules.py Order.test_order_and_hits
The unit tests alone:           meson test -C build

exit status: 0 all passed, 1 something failed, 2 usage, 3 this machine lacks something (network
namespaces need root: without it nothing is skipped, the run fails), 130 interrupted
"""


@dataclass
class Outcome:
    """How one part ended."""

    name: str
    result: str
    seconds: float
    words: str = field(default="", repr=False)  # of a failure


def parse_arguments(argv):
    parser = argparse.ArgumentParser(prog="tools/test", description=DESCRIPTION, epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--quick", action="store_true", help="the main tests only")
    scope.add_argument("--all", action="store_true", help="every build and every check as well")
    return parser.parse_args(argv)


class Suite:
    """Runs parts one after the other; one that fails does not keep the others from running."""

    def __init__(self, console):
        self._console = console
        self.outcomes = []

    def part(self, name, work):
        """Runs `work(step)`, which raises LabError when it fails; returns whether it passed."""
        begun = time.monotonic()
        try:
            with self._console.step(name) as step:
                work(step)
                step.conclude("passed")
        except NotAvailable:
            raise
        except LabError as error:
            self.outcomes.append(Outcome(name, "FAILED", time.monotonic() - begun, str(error)))
            self._console.say(str(error))
            return False
        self.outcomes.append(Outcome(name, "passed", time.monotonic() - begun))
        return True

    def blocked(self, name):
        """Notes a part that could not run because what it builds on failed."""
        self.outcomes.append(Outcome(name, "NOT RUN", 0.0))

    def report(self):
        """The table; returns the exit status."""
        self._console.heading("Summary")
        bad = [outcome for outcome in self.outcomes if outcome.result != "passed"]
        self._console.table(
            ("part", "result", "seconds"),
            [(outcome.name, outcome.result, outcome.seconds) for outcome in self.outcomes],
            ["green" if outcome.result == "passed" else "red" for outcome in self.outcomes])
        self._console.say()
        if bad:
            self._console.say(self._console.style(f"{len(bad)} of {len(self.outcomes)} failed",
                                                  "red"))
            return FAILED
        self._console.say(self._console.style("all passed", "green"))
        return FINE


def compile_build(build, targets=()):
    def work(step):
        build.configure()
        build.compile(step, targets)
    return work


def compile_suites(build, suites):
    """Compiles only what the tests of some suites need."""
    def work(step):
        build.configure()
        tests = json.loads(run(["meson", "introspect", build.directory, "--tests"]).stdout)
        targets = {os.path.relpath(test["cmd"][0], build.directory) for test in tests
                   if any(suite.endswith(f":{name}") for suite in test["suite"]
                          for name in suites)}
        build.compile(step, sorted(targets))
    return work


def meson_tests(build, *selection):
    """Runs the unit and stress tests of a build."""
    def work(step):
        step.show("meson test")
        result = run(["meson", "test", "-C", build.directory, "--no-rebuild", "--print-errorlogs",
                      *selection], timeout_s=1800, check=False, cwd=builds.ROOT)
        if result.returncode != 0:
            raise LabError(result.stdout[-8000:] + result.stderr[-2000:])
    return work


def gateway_tests(build, names):
    """Runs files of tests/gateway against a build, each in a process of its own."""
    def work(step):
        failures = []
        environment = os.environ | {"NOCLASH_BUILD": build.directory}
        for name in names:
            step.show(name)
            file, *selection = name.split()
            path = os.path.join(GATEWAY_TESTS, f"test_{file}.py")
            with subprocess.Popen([sys.executable, "-B", path, *selection],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env=environment) as test:
                try:
                    output = test.stdout.read()
                except BaseException:
                    test.terminate()  # it cleans up after itself
                    raise
            if test.returncode != 0:
                failures.append(f"--- {name} ({test.returncode})\n{output}")
        if failures:
            raise LabError("\n".join(failures))
    return work


def all_gateway_tests():
    return sorted(name.removeprefix("test_").removesuffix(".py")
                  for name in os.listdir(GATEWAY_TESTS) if name.startswith("test_"))


def check_format(_step):
    run([os.path.join(builds.ROOT, "tools", "format"), "--check"], timeout_s=300)


class ClangTidy:
    """clang-tidy over every file that a build compiles: half an hour's work, done at the lowest
    priority beside the gateway's tests, which wait more than they compute. It needs to know how
    files are compiled, for which a directory of its own is configured, and nothing built."""

    def __init__(self):
        self._build = builds.Build("build-tidy", compiler="clang++")
        self._sources = tempfile.TemporaryFile("w+")
        self._words = tempfile.TemporaryFile("w+")
        self._process = None

    def __enter__(self):
        self._build.configure()
        sources = []
        for top in ("engine", "nat", "dpdk", "tools", "bench", "tests"):
            for directory, _, names in os.walk(os.path.join(builds.ROOT, top)):
                sources += [os.path.join(directory, name) for name in names
                            if name.endswith(".cpp")
                            and "fuzz" not in directory]  # not in that build
        self._sources.write("\n".join(sources))
        self._sources.seek(0)
        self._process = subprocess.Popen(
            ["nice", "-n", "19", "xargs", "-P", str(os.cpu_count() or 1), "-n", "1", "clang-tidy",
             "--quiet", "-p", self._build.directory], stdin=self._sources, stdout=self._words,
            stderr=subprocess.DEVNULL, start_new_session=True)
        return self

    def finish(self, step):
        """Waits for the rest of it."""
        step.show("the rest of the files")
        if self._process.wait(3600) != 0:
            self._words.seek(0)
            raise LabError(self._words.read()[-8000:])

    def __exit__(self, *_):
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()
        self._sources.close()
        self._words.close()


def run_release(suite, scope, quick):
    """The release build and its tests; `scope` names the gateway's."""
    build = builds.release()
    if not suite.part("build (release)", compile_build(build)):
        suite.blocked("all tests")
        return
    suite.part("unit and stress tests", meson_tests(build, *NO_PROOFS))
    for name, proof in {} if quick else PROOFS.items():
        suite.part(name, meson_tests(build, f"--suite={proof}"))
    for name in scope:
        suite.part(f"gateway: {name.split()[0]}", gateway_tests(build, [name]))


def run_extra(suite, tidy):
    """What --all adds. Clang builds the sanitized programs: it shows what g++ does not, and takes a
    fraction of g++'s time for them."""
    suite.part("format", check_format)
    asan = builds.Build("build-asan", compiler="clang++", options=[
        "--buildtype=debug", "--optimization=1", "-Db_lundef=false",
        "-Db_sanitize=address,undefined"])
    if suite.part("build (clang, ASan, UBSan)", compile_build(asan)):
        suite.part("unit and stress tests (ASan, UBSan)",
                   meson_tests(asan, "--timeout-multiplier", "5", "--no-suite=random", *NO_PROOFS))
        suite.part("gateway (ASan, UBSan)", gateway_tests(asan, SANITIZED_GATEWAY_TESTS))
    tsan = builds.Build("build-tsan", compiler="clang++", options=[
        "--buildtype=debug", "--optimization=1", "-Db_lundef=false", "-Db_sanitize=thread"])
    if suite.part("build (clang, TSan)", compile_suites(tsan, TSAN_SUITES)):
        suite.part("engine tests (TSan)",
                   meson_tests(tsan, "--timeout-multiplier", "10",
                               *(f"--suite={name}" for name in TSAN_SUITES)))
    suite.part("clang-tidy", tidy.finish)


def main(argv):
    options = parse_arguments(argv)
    console = Console()
    interrupts.raise_on_signals()
    suite = Suite(console)
    try:
        console.heading("Preparing")
        with console.step("packages") as step:
            run([os.path.join(builds.ROOT, "tools", "setup")], timeout_s=1800)
            step.conclude("all there")
        with console.step("privilege") as step:
            require_privilege()
            laboratory.clean_up_after_the_dead()
            step.conclude("network namespaces work")
        console.heading("Testing")
        if options.all:
            with ClangTidy() as tidy:
                run_release(suite, all_gateway_tests(), quick=False)
                run_extra(suite, tidy)
        else:
            run_release(suite, QUICK_GATEWAY_TESTS if options.quick else all_gateway_tests(),
                        options.quick)
        return suite.report()
    except LabError as error:
        print(f"test: {error}", file=sys.stderr)
        return ENVIRONMENT
    except (KeyboardInterrupt, interrupts.Interrupted):
        print("test: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
