#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Has Spin search all states of the models, and compares what it says with what is expected.

    check.py                  every scenario that takes seconds
    check.py --all            and those that take minutes
    check.py NAME...          these
    check.py --trail NAME     one that is expected to fail, and how it does, as a Markdown table
"""

import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

Scenario = collections.namedtuple("Scenario", "name model flags expected slow", defaults=(False,))

PASSES = "passes"
NO_END = "invalid end state"  # somebody waits for ever
CYCLE = "non-progress cycle"  # somebody runs for ever
TERMINATES = "terminates"  # passes, and no execution is infinite; expects CYCLE's absence


def violates(name):
    """One of the variables of the models that must never become true does."""
    return f"assertion violated !({name})"


# The expected result of a scenario is a part of Spin's message, or PASSES, or TERMINATES.
SCENARIOS = [
    Scenario("netfilter-tcp", "netfilter", "", violates("first_packet_lost")),
    Scenario("netfilter-tcp-one-cpu", "netfilter", "-DCPUS=1", PASSES),
    Scenario("netfilter-udp-clash", "netfilter", "-DRESOLVE=INSERT", violates("first_packet_lost")),
    Scenario("netfilter-dns-drop", "netfilter", "-DSAME_ORIGINAL", violates("first_packet_lost")),
    Scenario("netfilter-dns-adopt", "netfilter", "-DSAME_ORIGINAL -DRESOLVE=ADOPT",
             violates("first_packet_lost")),
    Scenario("netfilter-dns-adopt-one-backend", "netfilter",
             "-DSAME_ORIGINAL -DRESOLVE=ADOPT -DTUPLES=1", PASSES),
    Scenario("netfilter-dns-insert", "netfilter", "-DSAME_ORIGINAL -DRESOLVE=INSERT",
             violates("sent_to_different_backends")),

    Scenario("same-original", "noclash", "-DABORTS=1 -DSTALLS=1", PASSES),
    Scenario("same-original-ends", "noclash", "-DABORTS=1 -DREPLIES=1", TERMINATES),
    Scenario("contention-3-for-3", "noclash", "-DORIGINALS=3 -DREPLIES=3", PASSES),
    Scenario("contention-3-for-2", "noclash", "-DORIGINALS=3 -DABORTS=1 -DSTALLS=1", PASSES),
    Scenario("contention-3-for-1", "noclash", "-DORIGINALS=3 -DREPLIES=1 -DABORTS=2 -DSTALLS=2",
             PASSES),
    Scenario("contention-ends", "noclash", "-DORIGINALS=3 -DABORTS=1", TERMINATES),
    Scenario("release", "noclash",
             "-DORIGINALS=2 -DFLOWS=2 -DRELEASERS=1 -DABORTS=1 -DSTALLS=1", PASSES),
    Scenario("release-contention", "noclash",
             "-DORIGINALS=3 -DREPLIES=1 -DRELEASERS=1 -DABORTS=1 -DSTALLS=1", PASSES),
    Scenario("release-twice", "noclash", "-DWORKERS=2 -DRELEASERS=2 -DSTALLS=1", PASSES),
    Scenario("release-ends", "noclash", "-DORIGINALS=2 -DFLOWS=2 -DRELEASERS=1", TERMINATES),
    Scenario("map", "noclash", "-DMAP -DORIGINALS=3", PASSES),
    Scenario("map-release", "noclash", "-DMAP -DORIGINALS=3 -DRELEASERS=1 -DSTALLS=1", PASSES),
    # The one port left is in the hand of a worker that stalls just then: others say `exhausted`.
    Scenario("map-in-hand", "noclash",
             "-DMAP -DHAND_COUNTS_AS_FREE -DWORKERS=2 -DORIGINALS=2 -DREPLIES=1 -DSTALLS=1",
             violates("exhausted_while_free")),
    Scenario("opposite", "noclash",
             "-DOPPOSITE -DWORKERS=2 -DORIGINALS=2 -DFLOWS=4 -DABORTS=1 -DSTALLS=1", PASSES),
    # Both may collide again at each visit, in the model for ever; in life chance separates them.
    Scenario("opposite-ends", "noclash", "-DOPPOSITE -DWORKERS=2 -DORIGINALS=2", CYCLE),

    Scenario("reaches-exhausted", "noclash", "-DORIGINALS=3 -DREACH=exhausted",
             violates("reached")),
    Scenario("reaches-park-timeout", "noclash", "-DSTALLS=1 -DREACH=park_timeout",
             violates("reached")),
    Scenario("publish-before-fill", "noclash", "-DPUBLISH_BEFORE_FILL",
             violates("incomplete_flow_used")),
    Scenario("no-rollback", "noclash", "-DNO_ROLLBACK -DWORKERS=2 -DORIGINALS=2 -DABORTS=1",
             violates("record_leaked")),
    Scenario("no-rollback-same-original", "noclash", "-DNO_ROLLBACK -DABORTS=1", NO_END),
    Scenario("release-before-quiescence", "noclash",
             "-DRELEASE_BEFORE_QUIESCENCE -DORIGINALS=2 -DFLOWS=2 -DRELEASERS=1",
             violates("foreign_flow_used")),
    Scenario("release-not-exclusive", "noclash",
             "-DRELEASE_NOT_EXCLUSIVE -DWORKERS=1 -DRELEASERS=2",
             violates("removed_what_another_owns")),
    Scenario("drop-instead-of-park", "noclash", "-DDROP_INSTEAD_OF_PARK",
             violates("first_packet_lost")),
    Scenario("map-give-before-remove", "noclash",
             "-DGIVE_BEFORE_REMOVE -DMAP -DORIGINALS=2 -DREPLIES=1 -DWORKERS=2 -DRELEASERS=1",
             violates("exhausted_while_free")),

    Scenario("bucket", "bucket", "-DWORKERS=3 -DCOUNT_SCANS", PASSES),
    Scenario("bucket-3-slots", "bucket", "-DSLOTS=3 -DCOUNT_SCANS", PASSES),
    Scenario("bucket-3-workers-3-slots", "bucket", "-DWORKERS=3 -DFINDERS=1 -DSLOTS=3", PASSES,
             slow=True),
    Scenario("bucket-no-grace-find", "bucket", "-DNO_GRACE", violates("foreign_record")),
    Scenario("bucket-no-grace-insert", "bucket", "-DNO_GRACE -DINSERTS_ONLY",
             violates("key_shown_twice")),
    Scenario("bucket-blind-cas", "bucket", "-DBLIND_CAS", violates("key_shown_twice")),
    Scenario("bucket-show-before-write", "bucket", "-DSHOW_BEFORE_WRITE",
             violates("removed_what_is_not_shown")),

    Scenario("closing", "closing", "-DDATA=3 -DWINDOW=3", PASSES),
    Scenario("closing-window-off", "closing", "-DRULE=LATE", PASSES),
    Scenario("closing-flags", "closing", "-DRULE=FLAGS", violates("live_tuple_given_away")),
    Scenario("closing-sides", "closing", "-DRULE=SIDES", violates("live_tuple_given_away")),
    Scenario("closing-window-too-small", "closing", "-DKNOWN=0",
             violates("closed_but_never_over")),
    Scenario("reaches-closing-over", "closing", "-DREACH", violates("reached")),
]

HERE = pathlib.Path(__file__).resolve().parent
MEGABYTES = {False: 2000, True: 16000}  # by `slow`
DEPTH = {False: 3_000_000, True: 30_000_000}


class Broken(Exception):
    """Spin or the compiler did not get as far as a result."""


def command(*arguments, cwd):
    done = subprocess.run(arguments, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"{' '.join(arguments)}:\n{done.stdout}")
    return done.stdout


def search(scenario, directory):
    """Compiles the model and has it searched; Spin's report."""
    for model in HERE.glob("*.pml"):
        shutil.copy(model, directory)
    command("spin", *scenario.flags.split(), "-a", f"{scenario.model}.pml", cwd=directory)
    if scenario.expected in (TERMINATES, CYCLE):
        compiled, run = ["-DNP", "-DCOLLAPSE"], ["-l"]
    elif scenario.expected == PASSES:
        compiled, run = ["-DSAFETY", "-DCOLLAPSE"], []
    else:  # breadth first: the first violation is a shortest one
        compiled, run = ["-DSAFETY", "-DBFS"], []
    command("gcc", "-O1", "-w", *compiled, f"-DMEMLIM={MEGABYTES[scenario.slow]}", "-o", "pan",
            "pan.c", cwd=directory)
    return command("./pan", *run, f"-m{DEPTH[scenario.slow]}", cwd=directory)


def verdict(report):
    """Spin's finding, in its own words; PASSES only when it has seen everything."""
    error = re.search(r"^pan:\d+: (.*?)(?: \(at depth \d+\))?$", report, re.MULTILINE)
    if error:
        return re.sub(r"\s+", " ", error[1])
    for trouble in ("max search depth too small", "out of memory", "-DMEMLIM bound",
                    "Search not completed"):
        if trouble in report:
            return f"not searched to the end: {trouble}"
    return PASSES if re.search(r"errors: 0$", report, re.MULTILINE) else "no result"


def number(pattern, report):
    found = re.search(pattern, report)
    return int(found[1]) if found else 0


def judge(scenario):
    """Runs a scenario and prints its line; whether all is as expected."""
    began = time.monotonic()
    states = depth = 0
    try:
        with tempfile.TemporaryDirectory() as directory:
            report = search(scenario, directory)
        found = verdict(report)
        states = number(r"(\d+) states, stored", report)
        depth = number(r"depth reached (\d+)", report)
    except Broken as broken:
        found = str(broken)
    wanted = PASSES if scenario.expected == TERMINATES else scenario.expected
    good = wanted in found
    print(f"{scenario.name:32} {states:>10,} {depth:>10,} {time.monotonic() - began:8.1f}  "
          f"{'as expected: ' + scenario.expected if good else 'WRONG: ' + found}", flush=True)
    if not good:
        print(f"    expected: {scenario.expected}", flush=True)
    return good


def trail(scenario):
    """Prints the counterexample, a column for each actor."""
    with tempfile.TemporaryDirectory() as directory:
        found = verdict(search(scenario, directory))
        if found == PASSES:
            sys.exit(f"{scenario.name} passes: there is no counterexample")
        replay = command("spin", *scenario.flags.split(), "-T", "-t", f"{scenario.model}.pml",
                         cwd=directory)
    steps = [line[1:].split("|") for line in replay.splitlines() if line.startswith("@")]
    actors = sorted({step[0] for step in steps})
    with_table = any(len(step) > 2 for step in steps)
    header = ["step", *actors, *(["table"] if with_table else [])]
    print(f"{scenario.name}: {found}\n")
    print("| " + " | ".join(header) + " |")
    print("| ---: |" + " --- |" * (len(header) - 1))
    for count, (actor, what, *table) in enumerate(steps, 1):
        # In netfilter.pml an entry is named by its CPU, and 255 is none.
        shown = [re.sub(r"(t\d): (\d+)", lambda match: match[1] + (
            " free" if match[2] == "255" else f" of CPU {match[2]}"), text) for text in table]
        cells = [what if actor == column else "" for column in actors] + shown
        print(f"| {count} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--trail", action="store_true")
    arguments = parser.parse_args()
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    unknown = [name for name in arguments.names if name not in by_name]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are: {', '.join(by_name)}")
    chosen = ([by_name[name] for name in arguments.names] or
              [scenario for scenario in SCENARIOS if arguments.all or not scenario.slow])
    if arguments.trail:
        for scenario in chosen:
            trail(scenario)
        return 0
    print(f"{'scenario':32} {'states':>10} {'depth':>10} {'seconds':>8}  result")
    results = [judge(scenario) for scenario in chosen]
    print(f"{sum(results)} of {len(results)} as expected")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
