# SPDX-License-Identifier: Apache-2.0
"""tools/test: installs, builds, and runs every test."""

import argparse
import os
import sys
import time

from . import builds, interrupts, laboratory
from .checks import (GATEWAY_PROGRAMS, HEALTH_TEST, all_gateway_tests, command, compile_build,
                     compile_tests, gateway_test, laboratory_test, meson_tests)
from .console import Console
from .namespaces import require_privilege
from .parts import PASSED, Kind, Part, Schedule
from .process import LabError, run
from .tidy import clang_tidy

FINE, FAILED, USAGE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 130

# Tests of the gateway that --quick and the sanitized daemon run: a file, and the classes or tests
# in it where not all. Else all files run.
QUICK_GATEWAY_TESTS = ("services", "rules", "router Router", "control Flows",
                       "balancing Choice", "backend_life Datagrams",
                       "storm Instrument Storm.test_in_step",
                       "cpsload OverMemif.test_mix OtherGateways.test_the_kernels_nat")
SANITIZED_GATEWAY_TESTS = ("services", "rules", "router", "malformed", "control",
                           "control_clients", "noclashctl", "json_fields", "mappings", "field",
                           "protocols", "limits", "tcp_window",
                           "lifecycle Ends Configuration Expiry", "untracked Untracked", "reload",
                           "balancing", "backend_life", "service_ports", "service_reuse",
                           "services_kept", "vip", "syn_proxy_segments", "syn_proxy_life",
                           "restart Changed Clock Limits Pairs GoesOn.test_after_kill")
# Counted to the last packet at rates that need the machine, or with workers that poll and huge pages
# of the whole machine: no other test of the gateway beside.
GATEWAY_TESTS_ALONE = ("million_flows", "storm", "service_storm", "reload_storm", "restart_storm",
                       "syn_flood", "cpsload", "baseline", "devices")
# Some minutes each: started first, so that none of them is left over at the end.
LONG_GATEWAY_TESTS = ("behavior", "rolling_update", "restart", "reuse", "limits", "pools",
                      "mappings", "static", "syn_proxy_life", "tcp_window")

# Minutes that a part may take, others beside it, where not the two that a part has by default: a
# third more than it was seen to take.
BUDGETS_MIN = {
    "build (release): programs": 3, "build (release): tests, benchmarks": 22,
    "build (ASan, UBSan): programs": 8, "build (ASan, UBSan): tests, fuzz targets": 20,
    "build (clang): mutants": 6,
    "unit and stress tests": 3, "unit and stress tests (ASan, UBSan)": 16,
    "engine tests (TSan)": 1, "fuzz targets": 4, "clang-tidy": 8,
    "models (Spin)": 7, "mutants of the engine": 10,
    "gateway: closing": 3, "gateway: control_clients": 3, "gateway: fragments": 5,
    "gateway: restart": 6, "gateway: service_reuse": 3,
    "gateway: syn_proxy": 4, "gateway: syn_proxy_life": 5,
    "gateway (ASan, UBSan): control": 3, "gateway (ASan, UBSan): control_clients": 5,
    "gateway (ASan, UBSan): malformed": 3, "gateway (ASan, UBSan): protocols": 3,
    "gateway (ASan, UBSan): router": 3, "gateway (ASan, UBSan): rules": 3,
    "gateway (ASan, UBSan): limits": 3, "gateway (ASan, UBSan): tcp_window": 3,
    "gateway (ASan, UBSan): reload": 3, "gateway (ASan, UBSan): restart": 5,
    "gateway (ASan, UBSan): service_reuse": 4,
    "gateway (ASan, UBSan): syn_proxy_segments": 4, "gateway (ASan, UBSan): services_kept": 4,
    "gateway (ASan, UBSan): syn_proxy_life": 6,
}

# Suite of the unit and stress tests whose threads race on purpose.
TSAN_SUITES = ("tsan",)
# Suites of the longer proofs, which --quick leaves out.
PROOFS = ("model", "mutants", "closing")
NO_PROOFS = [f"--no-suite={name}" for name in PROOFS]

# Files of a target are compiled together, in a third of the time. Reports of sanitizers need no more
# than lines of the debugger's information.
TOGETHER = ["-Dunity=on", "-Dunity_size=20", "-Ddebug=false", "-Dcpp_args=-g1"]

DESCRIPTION = """\
Installs what is missing, builds, and runs the tests: unit and stress tests, then tests of the
running gateway in network namespaces of its own, against real hosts (curl, dig, ping, iperf3).
Parts run side by side: a test of the gateway waits for a part of its time, so builds and other
tests run beside them, at the lowest priority.
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


def parse_arguments(argv):
    parser = argparse.ArgumentParser(prog="tools/test", description=DESCRIPTION, epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--quick", action="store_true", help="the main tests only")
    scope.add_argument("--all", action="store_true", help="every build and every check as well")
    return parser.parse_args(argv)


def gateway_parts(label, build, names, programs):
    """Tests of the gateway, each file a part: those that run alone, then the longest, first."""
    def rank(name):
        file = name.split()[0]
        order = GATEWAY_TESTS_ALONE + LONG_GATEWAY_TESTS
        return order.index(file) if file in order else len(order)

    return [Part(f"{label}: {name.split()[0]}", gateway_test(build, name),
                 Kind.ALONE if name.split()[0] in GATEWAY_TESTS_ALONE else Kind.WAITS, (programs,))
            for name in sorted(names, key=rank)]


RELEASE_PROGRAMS = "build (release): programs"
RELEASE_REST = "build (release): tests, benchmarks"


def release_parts(gateway_names):
    """The release build and its tests. The programs come first: the tests of the gateway need no
    more."""
    build = builds.release()
    programs, rest = RELEASE_PROGRAMS, RELEASE_REST
    parts = [Part(programs, compile_build(build, GATEWAY_PROGRAMS), Kind.FIRST),
             Part(rest, compile_build(build), needs=(programs,))]
    parts += gateway_parts("gateway", build, gateway_names, programs)
    parts.append(Part("health checks", laboratory_test(build, HEALTH_TEST), Kind.WAITS,
                      (programs,)))
    parts.append(Part("unit and stress tests", meson_tests(build, *NO_PROOFS, patience=20),
                      needs=(rest,)))
    return parts


def proof_parts():
    """The longer proofs. Mutants are compiled by clang, unoptimized: each runs for a moment."""
    release = builds.release()
    mutants = builds.Build("build-mutants", compiler="clang++", options=["--buildtype=release"])
    mutants_build = "build (clang): mutants"
    return [
        Part("models (Spin)", meson_tests(release, "--suite=model", patience=20),
             needs=(RELEASE_REST,)),
        Part(mutants_build, compile_build(mutants, ("mutants",))),
        Part("mutants of the engine", meson_tests(mutants, "--suite=mutants", patience=20),
             needs=(mutants_build,)),
        Part("closing (10^6 schedules)", meson_tests(release, "--suite=closing", patience=20),
             needs=(RELEASE_REST,)),
    ]


def sanitized_parts():
    """Clang builds the sanitized programs: it shows what g++ does not, and takes a fraction of
    g++'s time for them. One build has the tests and the fuzz targets, each of which runs for 20
    seconds."""
    options = ["--buildtype=debug", "--optimization=1", "-Db_lundef=false", *TOGETHER]
    asan = builds.Build("build-asan", compiler="clang++", testers="build",
                        options=[*options, "-Db_sanitize=address,undefined", "-Dfuzz=true"])
    tsan = builds.Build("build-tsan", compiler="clang++",
                        options=[*options, "-Db_sanitize=thread"])
    programs, rest = "build (ASan, UBSan): programs", "build (ASan, UBSan): tests, fuzz targets"
    tsan_build = "build (TSan)"
    fuzz = os.path.join(builds.ROOT, "tests", "fuzz", "run.py")
    # `random` judges distributions: it computes for long and shows sanitizers nothing new.
    left_out = ("random", *PROOFS)
    return [
        Part(programs, compile_build(asan, builds.GATEWAY + builds.HEALTH)),
        Part(rest, compile_tests(asan, without=left_out, also=("fuzz",)), needs=(programs,)),
        Part(tsan_build, compile_tests(tsan, suites=TSAN_SUITES)),
        *gateway_parts("gateway (ASan, UBSan)", asan, SANITIZED_GATEWAY_TESTS, programs),
        Part("health checks (ASan, UBSan)", laboratory_test(asan, HEALTH_TEST), Kind.WAITS,
             (programs,)),
        Part("unit and stress tests (ASan, UBSan)",
             meson_tests(asan, *(f"--no-suite={name}" for name in left_out), patience=40),
             needs=(rest,)),
        Part("fuzz targets", command([sys.executable, "-B", fuzz, asan.directory]), needs=(rest,)),
        Part("engine tests (TSan)",
             meson_tests(tsan, *(f"--suite={name}" for name in TSAN_SUITES), patience=80),
             needs=(tsan_build,)),
    ]


def plan(options):
    """All parts, in the order in which they start where nothing hinders them."""
    if options.quick:
        return release_parts(QUICK_GATEWAY_TESTS)
    first, *others = release_parts(all_gateway_tests())
    if not options.all:
        return [first, *others, *proof_parts()]
    return [first,
            Part("format", command([os.path.join(builds.ROOT, "tools", "format"), "--check"])),
            *others,
            *sanitized_parts(),
            *proof_parts(),
            # The computing that is left while the last tests of the gateway wait.
            Part("clang-tidy", clang_tidy())]


def style_of(outcome):
    """Over its budget is no failure: the machine may be busy, or the part has grown."""
    if outcome.result != PASSED:
        return "red"
    return "yellow" if outcome.seconds > outcome.budget_s else "green"


def report(console, outcomes, seconds):
    """The table; returns the exit status."""
    console.heading("Summary")
    bad = [outcome for outcome in outcomes if outcome.result != PASSED]
    console.table(("part", "result", "seconds", "budget"),
                  [(outcome.name, outcome.result, outcome.seconds, outcome.budget_s)
                   for outcome in outcomes],
                  [style_of(outcome) for outcome in outcomes])
    console.say()
    verdict = f"{len(bad)} of {len(outcomes)} failed" if bad else "all passed"
    console.say(console.style(verdict, "red" if bad else "green")
                + f" in {seconds / 60:.1f} minutes; parts ran side by side")
    return FAILED if bad else FINE


def prepare(console):
    """Installs what is missing; raises LabError where this machine does not let us test."""
    console.heading("Preparing")
    with console.step("packages") as step:
        run([os.path.join(builds.ROOT, "tools", "setup")], timeout_s=1800)
        step.conclude("all there")
    with console.step("privilege") as step:
        require_privilege()
        laboratory.clean_up_after_the_dead()
        step.conclude("network namespaces work")


def main(argv):
    options = parse_arguments(argv)
    console = Console()
    interrupts.raise_on_signals()
    begun = time.monotonic()
    try:
        prepare(console)
        console.heading("Testing")
        parts = plan(options)
        for part in parts:
            part.budget_min = BUDGETS_MIN.get(part.name, part.budget_min)
        outcomes = Schedule(console, parts).run()
        return report(console, outcomes, time.monotonic() - begun)
    except LabError as error:
        print(f"test: {error}", file=sys.stderr)
        return ENVIRONMENT
    except (KeyboardInterrupt, interrupts.Interrupted):
        print("test: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
