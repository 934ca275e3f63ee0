# SPDX-License-Identifier: Apache-2.0
"""tools/bench engine: the flow engine beside other concurrent tables; port allocation."""

import json
import os
import subprocess
import tempfile

from .bench_report import Report, Row
from .bench_samples import MILLION, Samples, count_words
from .process import LabError, run

SUMMARY = "the flow table beside rte_hash, TBB, libcuckoo and netfilter's; port allocation"

HELP = """\
The flow engine beside what one would use instead, with the same keys, in the same process, on the
same kind of pages:

  rte_hash    DPDK's, lock-free readers; lookup and insert of both tuples under one lock, since its
              insert overwrites; bulk lookups
  netfilter   a userspace model of nf_conntrack's table: chains, 1,024 locks, RCU lookups
  libcuckoo   cuckoo hashing with striped locks
  tbb         tbb::concurrent_hash_map

Each holds flows that are found by both their tuples and have a record of 128 bytes. Operations:

  set_up      claim, reserve, publish: both tuples inserted if absent, record filled in. For noclash
              the timer is armed too; the others have none, in their favour
  find        in bursts of 32, all of them hits or all misses; noclash and rte_hash prefetch a burst,
              the others have no bulk lookup
  churn       a full table in steady state: flows are set up, and as many of the oldest end. With
              noclash they expire, after a simulated lifetime of 4 s
  release     flows ended on request, their records reclaimed

The tables take turns at each operation, three times over (--quick: two or three); figures are
medians, and ratios are those of the same turn. Every answer is checked. cpu_share in the details is how much of its CPU a
measurement got: below 1 something else was running, and the figure says little. Of `two workers /
one worker` turns count in which each got 98 % of it, as long as there are three.

Rows that begin with `limit` have no target. They tell what the machine allows, on the same keys, in
the same turns, in lines and records as many as noclash's:

  least set-up   two random lines prefetched and changed by locked swaps, a record written: no
                 search for the key, no free records, no timers. With one swap in each line (2), and
                 with noclash's two, one for the slot and one to show it (4); two workers on lines
                 that both change, and each on lines of its own
  a table each   noclash, two workers that share nothing
  least lookup   a lookup whose hash tells it the slot
  random reads, arithmetic   what two workers read, and compute in registers, beside one

The full run takes all four sizes, 64 k to 16 M flows, in two orders, with one and two workers; it
needs some 10 GB of memory, and time. --quick measures what the table of targets needs: noclash alone
with two workers; tbb and libcuckoo, never the fastest, once at 1 M flows and not at 4 M.
"""

# Title, operation, flows, target: millions a second.
RATES = (
    ("claim + reserve + publish, 1 M flows", "set_up", MILLION, 8),
    ("claim + reserve + publish, 4 M flows", "set_up", 4 * MILLION, 8),
    ("find hit, 1 M flows, batched", "find_hit", MILLION, 25),
    ("churn at 4 M flows", "churn", 4 * MILLION, 4),
)
# Title, operation, flows, whom noclash is compared with (None: the best), target: times.
RATIOS = (
    ("claim + reserve + publish / best other table, 1 M flows", "set_up", MILLION, None, 3),
    ("claim + reserve + publish / best other table, 4 M flows", "set_up", 4 * MILLION, None, 3),
    ("find hit / rte_hash bulk lookup, 1 M flows", "find_hit", MILLION, "rte_hash", 2),
)
# Title, operation, flows, target: times.
SPEED_UPS = (
    ("two workers / one worker, disjoint keys, set-up", "set_up", 4 * MILLION, 1.9),
    ("two workers / one worker, disjoint keys, find", "find_hit", 4 * MILLION, 1.9),
)
MOST_BYTES_PER_FLOW = 160

PAIRED = 4 * MILLION  # flows of the turns of one worker and of two


def _programs(build):
    """The measuring programs that this tree has: name and path, relative to the build directory."""
    listed = json.loads(run(["meson", "introspect", build.directory, "--targets"]).stdout)
    return {target["name"]: os.path.relpath(target["filename"][0], build.directory)
            for target in listed if target["name"] in ("engine_bench", "port_bench")}


def targets(build):
    """The targets that ninja has to build."""
    return sorted(_programs(build).values())


def measure(build, options, console):
    """Runs all of it. LabError when a program fails otherwise than by wrong answers."""
    report = Report()
    programs = _programs(build)
    with tempfile.TemporaryDirectory(prefix="noclash-bench-") as directory:
        samples = _run_engine_bench(os.path.join(build.directory, programs["engine_bench"]),
                                    directory, options.quick, console)
        report.wrong += samples.errors
        report.rows += engine_rows(samples)
        limits = limit_rows(samples)
        report.details += samples.details()
        _compare(samples, console)
        if "port_bench" in programs:
            _run_port_bench(os.path.join(build.directory, programs["port_bench"]), directory,
                            options.quick, console, report)
    report.rows += limits
    _remark(samples, report)
    return report


def engine_rows(samples):
    """The rows that have targets, out of what was sampled."""
    rows = [Row(title, samples.rate(operation, flows), "M/s", target)
            for title, operation, flows, target in RATES]
    rows += [Row(title, samples.ratio(operation, flows, other), "x", target)
             for title, operation, flows, other, target in RATIOS]
    rows += [Row(title, samples.speed_up(operation, flows), "x", target)
             for title, operation, flows, target in SPEED_UPS]
    rows.append(Row("memory per IPv4 flow, 1 M flows", samples.bytes_per_flow("noclash"), "B",
                    MOST_BYTES_PER_FLOW, at_most=True))
    return rows


def limit_rows(samples):
    """The machine's limits: rows without targets, to hold those that fall short against."""
    rows = []
    for flows in (MILLION, 4 * MILLION):
        for swaps in (2, 4):
            name, title = _least_set_up(flows, swaps), \
                f"limit: least set-up, {swaps} locked swaps, {count_words(flows)} flows"
            rows += [Row(title, samples.limit(name), "M/s"),
                     Row(f"{title} / best other table",
                         samples.limit_ratio(name, "set_up", flows), "x")]
    least = samples.limit("least_lookup")
    rte_hash = samples.rate("find_hit", MILLION, "rte_hash")
    shared, own = (_least_set_up(PAIRED, 4, lines) for lines in ("shared", "own"))
    return rows + [
        Row("limit: least lookup, 1 M flows", least, "M/s"),
        Row("limit: least lookup, 1 M flows / rte_hash bulk lookup",
            least / rte_hash if least and rte_hash else None, "x"),
        Row("limit: two workers / one worker, least set-up, shared lines",
            samples.limit_speed_up(shared), "x"),
        Row("limit: two workers / one worker, least set-up, lines of their own",
            samples.limit_speed_up(own, one=shared), "x"),
        Row("limit: two workers with a table each / one worker, set-up",
            samples.limit_over_one(f"set_up_apart/flows:{PAIRED}", "set_up", PAIRED), "x"),
        Row("limit: two workers / one worker, random reads",
            samples.limit_speed_up("random_reads"), "x"),
        Row("limit: two workers / one worker, arithmetic",
            samples.limit_speed_up("arithmetic"), "x"),
    ]


def _least_set_up(flows, swaps, lines="shared"):
    """The limit's name in engine_bench."""
    return f"least_set_up/flows:{flows}/swaps:{swaps}/lines:{lines}"


def _run_engine_bench(program, directory, quick, console):
    argv = [program, *(["--quick"] if quick else [])]
    total = len(run([*argv, "--benchmark_list_tests"]).stdout.splitlines())
    out = os.path.join(directory, "engine.json")
    with console.step("flow tables") as step, \
            open(os.path.join(directory, "log"), "w+", encoding="utf-8") as log, \
            subprocess.Popen([*argv, "--benchmark_out_format=json", f"--benchmark_out={out}",
                              "--benchmark_color=false"],
                             stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            done = 0
            for line in process.stdout:
                if "/manual_time" not in line:
                    continue
                done += 1
                words = f"{done}/{total} {line.split('/iterations')[0]}"
                step.show(words)
                if not console.is_terminal and done % (total // 10 + 1) == 0:
                    console.say(f"    {words}")
        except BaseException:
            process.terminate()
            raise
        status = process.wait()
        if status not in (0, 1) or done < total:
            log.seek(0)
            raise LabError(f"engine_bench failed ({status}) after {done} of {total}: "
                           f"{log.read()[-2000:].strip()}")
    with open(out, encoding="utf-8") as handle:
        return Samples(json.load(handle)["benchmarks"])


def _run_port_bench(program, directory, quick, console, report):
    out = os.path.join(directory, "ports.json")
    with console.step("port allocation"):
        run([program, "--json", out, *(["--quick"] if quick else [])], timeout_s=3600)
    with open(out, encoding="utf-8") as handle:
        result = json.load(handle)
    report.rows += [Row(row["name"], row["value"], row["unit"], row["target"], at_most=True)
                    for row in result["rows"]]
    report.details += [{"benchmark": "ports"} | detail for detail in result["details"]]


def _compare(samples, console):
    """All tables side by side."""
    tables = samples.tables()
    console.say()
    lines = []
    for case in samples.cases():
        rates = {table: samples.median(case, table) for table in tables}
        others = [rate for table, rate in rates.items() if table != "noclash" and rate]
        lines.append((
            f"{case.operation}, {count_words(case.flows)}, {case.order} order, {case.workers} "
            f"worker{'s' if case.workers > 1 else ''}",
            *("-" if rates[table] is None else f"{rates[table]:.2f}" for table in tables),
            f"{rates['noclash'] / max(others):.2f}" if others and rates.get("noclash") else "-"))
    lines.append(("memory, bytes per flow", *(
        "-" if samples.bytes_per_flow(table) is None else f"{samples.bytes_per_flow(table):.0f}"
        for table in tables), ""))
    console.table(("million a second", *tables, "/ best other"), lines)


def _remark(samples, report):
    if (share := samples.least_cpu_share()) is not None and share < 0.95:
        report.remarks.append(f"something else was running: measurements got {share:.0%} of their "
                              "CPU (median of the worst case). Run it again on an idle machine.")
