# SPDX-License-Identifier: Apache-2.0
"""tools/bench restart: how soon a killed daemon's successor forwards packets of the same flows."""

import json
import os
import signal
import statistics
import time

from . import laboratory
from .bench_report import Report, Row
from .bench_samples import count_words
from .namespaces import require_privilege
from .process import LabError, run
from .restart_traffic import Flow, Hosts

SUMMARY = "from the start of a daemon to its first packet, with up to 16 M flows to be adopted"

HELP = """\
A state file is filled with established TCP flows by the daemon's own workers (bench/restart), each
packet of which is checked. Then the daemon is started on it, in a namespace between two veth pairs,
on two napping workers, and killed, several times over (--quick: once). Figures are medians.

  first packet  from the start of the process until a packet of an adopted flow, which is sent every
                2 ms, comes out on the other side translated as before. ARP for the next hop is in it
  CPU time      of all threads of the daemon, up to then: what a busy machine does not change
  adoption      from the first record to the last, as `noclashctl stats` says it
  reload        with so many rules more than before, as `noclashctl reload` says it; in it is a sweep
                over all flows, which asks of each what becomes of it

After each start, 2,000 flows spread over all are asked in both directions: each packet has to come
out as it was translated before the restart. 16 M flows need some 6 GiB of free memory.
"""

THOUSAND, MILLION = 1 << 10, 1 << 20
# Flows, target: seconds to the first packet.
SIZES = ((1, None), (64 * THOUSAND, None), (MILLION, None), (4 * MILLION, 2), (16 * MILLION, 6))
RULES = (10, 1000, 10_000)
RELOADED = 64 * THOUSAND  # flows, when more and more rules are added
SWEPT_S = 2 / 10_000_000  # target: for each flow, of a sweep that asks what becomes of it
FIRST_OF_ALL = ("chrt", "--fifo", "1")
BYTES_OF_A_FLOW = 400  # of the tables, of the helper that fills them, and of what it checks with


def add_options(parser):
    parser.add_argument("--most-flows", type=int, default=16 * MILLION, metavar="N",
                        help="leave out rows with more flows than so many")

    parser.add_argument("--realtime", action="store_true",
                        help="start the daemon at a real-time priority (chrt), so that other "
                             "programs take no CPU from it")


def targets(_build):
    """The targets that ninja has to build."""
    return ["dpdk/noclash", "tools/noclashctl/noclashctl", "bench/restart/leave_flows"]


def measure(build, options, console):
    """Runs all of it."""
    require_privilege()
    report = Report()
    for flows, target_s in SIZES:
        title = "1 flow" if flows == 1 else f"{_words(flows)} flows"
        if flows > options.most_flows:
            continue
        if flows * BYTES_OF_A_FLOW > _available_bytes():
            report.remarks.append(f"{title}: left out, for want of memory")
            report.rows.append(Row(f"first packet, {title}", None, "s", target_s, at_most=True))
            continue
        with console.step(title) as step, laboratory.Lab() as lab:
            restarts = Restarts(build, lab, flows, FIRST_OF_ALL if options.realtime else ())
            runs = restarts.measure(1 if options.quick else 3, step, report)
            reloads = []
            if flows >= RELOADED:
                step.show("reloads")
                reloads = restarts.reloads(RULES if flows == RELOADED else RULES[:1], title)
        report.rows.append(Row(f"first packet, {title}",
                               statistics.median(run["first_packet_s"] for run in runs), "s",
                               target_s, at_most=True))
        report.rows.append(Row(f"CPU time until then, {title}",
                               statistics.median(run["cpu_s"] for run in runs), "s"))
        if flows > 1:
            report.rows.append(Row(f"adoption, {title}",
                                   statistics.median(run["took_ms"] for run in runs) / 1000, "s"))
        report.rows += reloads
        report.details.append({"benchmark": "restart", "flows": flows, "runs": runs})
    return report


def _words(flows):
    """64 k, 4 M: of powers of two."""
    return count_words(flows // THOUSAND * 1000 if flows < MILLION else
                       flows // MILLION * 1_000_000)


def _available_bytes():
    with open("/proc/meminfo", encoding="ascii") as handle:
        fields = dict(line.split(":") for line in handle)
    return int(fields["MemAvailable"].split()[0]) * 1024


def _cpu_s(pid):
    """The CPU time that a process has had, of all its threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as handle:
        fields = handle.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Restarts:
    """A state file with so many flows, and daemons on it, one after the other."""

    def __init__(self, build, lab, flows, launcher=()):
        """`launcher` is the command that the daemon is started with, which it takes the place of."""
        self._launcher = launcher
        self._build, self._lab, self._flows = build, lab, flows
        self._hosts = Hosts(lab)
        self._config, self._socket = lab.path("gateway.toml"), lab.path("control.sock")

    def measure(self, times, step, report):
        """What each start took."""
        sample = self._leave_flows(step)
        runs = []
        for turn in range(times):
            step.show(f"start {turn + 1} of {times}")
            runs.append(self._restart(sample, report))
        step.conclude(", ".join(f"{run['first_packet_s']:.2f} s" for run in runs))
        return runs

    def reloads(self, rules, title):
        """Rows of how long it takes to put so many rules in force, and to see what becomes of each
        flow."""
        with open(self._config, encoding="utf-8") as handle:
            before = handle.read()
        daemon = self._start()
        daemon.wait_ready(lambda: self._ask("version", check=False).returncode == 0)
        rows = []
        for count in rules:
            with open(self._config, "w", encoding="utf-8") as handle:
                handle.write(before + "".join(
                    f'[[rule]]\nname = "r{number}"\naction = "drop"\nin = "outside"\n'
                    f'from = "172.16.{number // 256}.{number % 256}/32"\n'
                    for number in range(count)))
            outcome = json.loads(self._ask("reload").stdout)[-1]["outcome"]
            if not outcome["applied"] or outcome["flows"]["unchanged"] != self._flows:
                raise LabError(f"a reload went wrong: {outcome}")
            rows.append(Row(f"reload, {count:,} rules, {title}", outcome["took_ms"] / 1000, "s",
                            SWEPT_S * self._flows if self._flows >= MILLION else None,
                            at_most=True))
        daemon.stop(number=signal.SIGKILL)
        return rows

    def _start(self):
        return self._hosts.gateway.start(*self._launcher, self._build.daemon, "--config",
                                         self._config, name="noclash")

    def _ask(self, *command, **options):
        return run([self._build.control, "--socket", self._socket, "--json", *command], **options)

    def _leave_flows(self, step):
        step.show("filling the table")
        path = self._lab.path("sample.json")
        run([os.path.join(self._build.directory, "bench/restart/leave_flows"),
             "--flows", self._flows, "--state", self._lab.memory_path("bench.state"),
             "--config", self._config, "--control-socket", self._socket, "--sample", path,
             "--inside", "af_packet:gw-in", "--outside", "af_packet:gw-out"], timeout_s=900)
        with open(path, encoding="utf-8") as handle:
            return [Flow(row) for row in json.load(handle)]

    def _restart(self, sample, report):
        self._hosts.forget()
        begun_s = time.monotonic()
        daemon = self._start()
        try:
            first_s = self._hosts.first_packet_s(sample[len(sample) // 2], begun_s, timeout_s=60)
        except LabError as error:
            raise LabError(f"{error}; the daemon says:\n{daemon.log_tail()}") from None
        cpu_s = _cpu_s(daemon.pid)
        told = json.loads(self._ask("stats").stdout)[0]["adoption"]
        for outward in (True, False):
            report.wrong += self._hosts.untranslated(sample, outward)[:10]
        expected = {"flows": self._flows, "over": 0, "refused": 0, "live_on": 0, "ended": 0}
        if any(told[key] != value for key, value in expected.items()):
            report.wrong.append(f"of {self._flows} flows were adopted: {told}")
        daemon.stop(number=signal.SIGKILL)
        return {"first_packet_s": round(first_s, 3), "cpu_s": cpu_s, **told, "log": daemon.log().splitlines()}
