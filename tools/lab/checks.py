# SPDX-License-Identifier: Apache-2.0
"""The work of tools/test's parts: builds, meson's tests, tests of the gateway, checks of sources.

Each function here returns the work of a part: a function of its step that raises LabError when it
fails, with the words of the program that failed.
"""

import json
import os
import re
import sys

from . import builds
from .parts import BACKGROUND, CPUS
from .process import LabError, run

GATEWAY_TESTS = os.path.join(builds.ROOT, "tests", "gateway")
HEALTH_TEST = os.path.join(builds.ROOT, "tests", "health", "test_health.py")
# Limits of time are for a test of the gateway that has the machine for itself; here others run.
PATIENCE = "5"
# Programs that the tests of the gateway run.
GATEWAY_PROGRAMS = (*builds.PROGRAMS, "tests/gateway/libslow_interrupts.so")


def command(argv, *, env=None):
    """A program that has to end with exit status 0."""
    def work(step):
        status, output = step.run(argv, line=step.show, env=env, cwd=builds.ROOT)
        if status != 0:
            raise LabError(f"`{' '.join(map(str, argv))}` failed ({status}):\n{output[-8000:]}")
    return work


def compile_build(build, targets=()):
    """All of a build, or some targets of it."""
    def work(step):
        build.configure()
        build.compile(step, targets, jobs=CPUS, start=step.start)
    return work


def compile_tests(build, *, suites=(), without=(), also=()):
    """Builds the programs that the tests of some suites need (none named: all suites but those in
    `without`), and the targets `also`: nothing that no test runs."""
    def chosen(test):
        names = {name.rpartition(":")[2] for name in test["suite"]}
        return (not suites or names & set(suites)) and not names & set(without)

    def work(step):
        build.configure()
        listed = json.loads(run(["meson", "introspect", build.directory, "--tests"]).stdout)
        programs = {os.path.realpath(test["cmd"][0]) for test in listed if chosen(test)}
        root = os.path.realpath(build.directory)
        targets = {os.path.relpath(program, root) for program in programs
                   if program.startswith(root + os.sep)}  # others are scripts
        build.compile(step, sorted(targets | set(also)), jobs=CPUS, start=step.start)
    return work


def meson_tests(build, *selection, patience):
    """Tests that meson knows. `patience` multiplies their time limits, which are for a machine that
    does nothing else."""
    def work(step):
        show = re.compile(r"\s*(\d+/\d+) (.*?)\s{2,}")

        def line(text):
            if match := show.match(text):
                step.show(f"[{match[1]}] {match[2]}")

        # meson gives each test a session of its own, so each is put into the background by itself.
        status, output = step.run(
            ["meson", "test", "-C", build.directory, "--no-rebuild", "--print-errorlogs",
             "--wrapper", BACKGROUND, "--timeout-multiplier", str(patience), *selection],
            line=line, cwd=builds.ROOT)
        if status != 0:
            raise LabError(output[-8000:])
    return work


def gateway_test(build, name):
    """A file of tests/gateway against a build: its name, and classes or tests where not all."""
    file, *selection = name.split()
    return laboratory_test(build, os.path.join(GATEWAY_TESTS, f"test_{file}.py"), *selection)


def laboratory_test(build, path, *selection):
    """A file of tests that make network namespaces, against a build; `selection` as in
    gateway_test."""
    def work(step):
        def line(text):
            if text.startswith("test_"):  # how unittest names a test that starts
                step.show(text.split()[0])

        status, output = step.run([sys.executable, "-B", path, *selection], line=line,
                                  env=os.environ | {"NOCLASH_BUILD": build.directory,
                                                    "NOCLASH_TESTERS": build.testers,
                                                    "NOCLASH_PATIENCE": PATIENCE})
        if status != 0:
            words = " ".join([os.path.basename(path), *selection])
            raise LabError(f"--- {words} ({status})\n{output}")
    return work


def all_gateway_tests():
    return sorted(name.removeprefix("test_").removesuffix(".py")
                  for name in os.listdir(GATEWAY_TESTS) if name.startswith("test_"))
