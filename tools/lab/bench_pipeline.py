# SPDX-License-Identifier: Apache-2.0
"""tools/bench pipeline: the daemon's workers, from RX burst to TX burst."""

import json
import os
import subprocess
import tempfile

from .bench_report import Report, Row
from .process import LabError

SUMMARY = "what a packet costs a worker, from RX burst to TX burst, new flows and established ones"

HELP = """\
The daemon's own worker code, on ports that are rings in memory: receive, parse, look up, decide,
rewrite, transmit, and what is done between bursts. Frames have 64 bytes. 4,096 of them are written
into packet buffers before the worker gets the first, out of a pool several times as large, so that
it finds headers where a NIC leaves them: in L2 or L3, not in L1.

What the rings cost is measured with a worker that only moves frames from RX ring to TX ring, and
is taken out. Figures are medians of parts of 256 packets; those of new flows, of batches of 4,096,
which have their share of what comes once in a while. Before each batch and after it, a microsecond
of additions tells whether the worker has its core to itself: on a shared machine, a neighbour on
the core's other thread takes up to half of it. Only batches in which it had count, as long as there
are some; rows that have few are named at the end. Every packet of a separate pass over the same
flows is looked at: addresses, ports, checksums, lengths, time to live, and that answers reach their
clients; of new flows, every packet that was timed as well.

  new         the first packet of a flow: rule, route, port, claim, reserve, publish
  churn       a table in steady state: as many flows expire as begin
  established packets of flows drawn at random
  workers     two workers on the same flows, for both directions, beside one worker
  destination one pool address and one server: what a new flow costs, the fuller its ports are
  latency     from when a packet is due in the RX ring to when it is seen behind the TX ring; at
              seven tenths of what the worker can do, one packet of eight opens a flow
  routes      100,000 routes: how long they take to load, and what packets to 64 k servers cost
              beside six routes
  reloads     established flows while another thread replaces the policy every few milliseconds
  limit       the same traffic, and the least that a gateway can do with it: read headers, hash,
              fetch a line of an index and a flow's record, compare, rewrite, send; no gateway on
              this machine exceeds it. "share of the limit": of that, what noclash does. Before
              each pair of one worker and two: what two CPUs do that share nothing

Targets are several times what FD.io VPP's nat44-ed does in a like set-up (docs/vpp.md).
"""


def add_options(parser):
    parser.add_argument("--profile", action="store_true",
                        help="cycles a packet, by step of the pipeline, too")
    parser.add_argument("--huge", action="store_true",
                        help="a hundred million flows instead: 18 GiB of memory, some minutes")


def targets(_build):
    return ["bench/pipeline/pipeline_bench"]


def measure(build, options, console):
    """Runs it; LabError when it fails otherwise than by a wrong answer."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="noclash-bench-") as directory:
        out = os.path.join(directory, "pipeline.json")
        argv = [os.path.join(build.directory, targets(build)[0]), "--json", out,
                *(["--quick"] if options.quick else []),
                *(["--profile"] if options.profile else []),
                *(["--huge"] if options.huge else [])]
        status, said, complaint = _run(argv, console)
        if status == 1:
            report.wrong.append(complaint)
            return report
        if status != 0:
            raise LabError(f"pipeline_bench failed ({status}): {complaint or said}")
        with open(out, encoding="utf-8") as handle:
            result = json.load(handle)
    report.rows += [Row(row["name"], row["value"], row["unit"], row["target"], row["at_most"])
                    for row in result["rows"]]
    report.details += [{"benchmark": "pipeline"} | detail for detail in result["details"]]
    report.remarks += result["remarks"]
    return report


def _run(argv, console):
    """Shows what the program is at. Returns its status, its last line and its complaint."""
    said = ""
    with console.step("pipeline") as step, tempfile.TemporaryFile("w+", encoding="utf-8") as log, \
            subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            for line in process.stdout:
                said = line.strip()
                if said.startswith("... "):
                    step.show(said[4:])
                if "cycles a packet" in said or not console.is_terminal:
                    console.say(f"    {said}")
        except BaseException:
            process.terminate()
            raise
        status = process.wait()
        log.seek(0)
        return status, said, log.read()[-2000:].strip()
