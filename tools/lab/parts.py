# SPDX-License-Identifier: Apache-2.0
"""The parts of a test run: what each needs, and how many run side by side.

A part is work that passes or fails. Parts that compute run at the lowest priority, beside tests of
the gateway, each of which takes some three quarters of a CPU.
"""

import enum
import os
import queue
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

from .interrupts import signals_ignored
from .process import LabError

CPUS = os.cpu_count() or 1
BACKGROUND = os.path.join(os.path.dirname(os.path.abspath(__file__)), "background")
# From SIGTERM to SIGKILL: a test of the gateway removes its namespaces in between.
END_PATIENCE_S = 60
# Between two lines of progress where no terminal shows them moving.
REPORT_EVERY_S = 60

PASSED, FAILED, NOT_RUN = "passed", "FAILED", "NOT RUN"


class Kind(enum.Enum):
    """How a part uses the machine."""

    FIRST = "nothing runs beside it: the others need it"
    COMPUTES = "keeps every CPU busy, at the lowest priority"
    WAITS = "a test of the gateway: it waits for a part of its time"
    ALONE = "a test of the gateway under load: no other test of the gateway runs beside it"


# Two that compute: while one has a single process left, the other keeps the CPUs busy.
MOST_AT_ONCE = {Kind.FIRST: 1, Kind.COMPUTES: 2, Kind.WAITS: CPUS + 1, Kind.ALONE: 1}
# The kinds of parts beside which a part of a kind does not start.
APART = {Kind.FIRST: set(Kind), Kind.COMPUTES: {Kind.FIRST},
         Kind.WAITS: {Kind.FIRST, Kind.ALONE}, Kind.ALONE: {Kind.FIRST, Kind.WAITS}}


@dataclass
class Part:
    """`work(step)` raises LabError when it fails; it starts once all parts in `needs` passed."""

    name: str
    work: object
    kind: Kind = Kind.COMPUTES
    needs: tuple = ()
    budget_min: float = 2  # on a quiet machine with two CPUs, others beside it


@dataclass
class Outcome:
    """How one part ended."""

    name: str
    result: str
    seconds: float
    budget_s: float
    words: str = field(default="", repr=False)  # of a failure


class Stopped(LabError):
    """The run was interrupted before this process could start."""


class Step:
    """The means of a part's work: starts processes and says how far it is."""

    def __init__(self, part, children):
        self.name = part.name
        self.begun = time.monotonic()
        self.words = ""
        self.background = part.kind is Kind.COMPUTES
        self._children = children

    def show(self, words):
        """A few words of progress."""
        self.words = words

    def start(self, argv, **options):
        """subprocess.Popen, in a session of its own: Ctrl-C reaches only us."""
        if self.background:
            argv = [BACKGROUND, *argv]
        return self._children.start(argv, **options)

    def run(self, argv, *, line=None, env=None, cwd=None):
        """Runs a command to its end; (exit status, output). `line` is called with each line."""
        output = []
        with self.start(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                        stdin=subprocess.DEVNULL, text=True, errors="replace", env=env,
                        cwd=cwd) as process:
            for text in process.stdout:
                output.append(text)
                if line:
                    line(text.rstrip())
        return process.returncode, "".join(output)


class Children:
    """The processes that run, so that all of them can be ended."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running = []
        self._stopped = False

    def start(self, argv, **options):
        with self._lock:
            if self._stopped:
                raise Stopped("interrupted")
            process = subprocess.Popen(argv, start_new_session=True, **options)
            self._running = [other for other in self._running if other.poll() is None]
            self._running.append(process)
            return process

    def end(self):
        """SIGTERM to all, SIGKILL to those that do not heed it. No other can start any more."""
        with self._lock:
            self._stopped = True
            running = self._running
        for process in running:
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + END_PATIENCE_S
        for process in running:
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)
                process.wait()


def _signal_group(process, number):
    # Its group is ours to signal only while it is not waited for: the number may be another's then.
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass


class Schedule:
    """Runs parts side by side; one that fails does not keep the others from running."""

    def __init__(self, console, parts):
        self._console = console
        self._parts = list(parts)
        self._waiting = list(parts)
        self._running = {}  # name: (part, step, thread)
        self._ended = queue.SimpleQueue()
        self._children = Children()
        self._results = {}

    def run(self):
        """Returns the outcomes, in the order of the parts."""
        try:
            while self._waiting or self._running:
                self._give_up_blocked()
                while (part := self._next()) is not None:
                    self._start(part)
                self._wait_for_one()
        except BaseException:
            with signals_ignored():
                self._console.clear_progress()
                self._console.say("ending what runs: " + ", ".join(self._running))
                self._children.end()
                for _, _, thread in self._running.values():
                    thread.join()
            raise
        return [self._results[part.name] for part in self._parts]

    def _passed(self, name):
        return name in self._results and self._results[name].result == PASSED

    def _give_up_blocked(self):
        """Parts that build on something that failed cannot run."""
        for part in list(self._waiting):
            lost = [name for name in part.needs
                    if name in self._results and not self._passed(name)]
            if lost:
                self._waiting.remove(part)
                self._results[part.name] = Outcome(part.name, NOT_RUN, 0.0,
                                                   60 * part.budget_min)
                self._say(f"{part.name}: not run, as it needs {', '.join(lost)}")

    def _next(self):
        """The first part that may start now."""
        kinds = [part.kind for part, _, _ in self._running.values()]
        for part in self._waiting:
            if (all(map(self._passed, part.needs)) and not APART[part.kind] & set(kinds)
                    and kinds.count(part.kind) < MOST_AT_ONCE[part.kind]):
                return part
        return None

    def _start(self, part):
        self._waiting.remove(part)
        step = Step(part, self._children)
        thread = threading.Thread(target=self._work, args=(part, step), daemon=True)
        self._running[part.name] = part, step, thread
        if not self._console.is_terminal:
            self._say(f"{part.name} ...")
        thread.start()

    def _work(self, part, step):
        result, words = PASSED, ""
        try:
            part.work(step)
        except LabError as error:
            result, words = FAILED, str(error)
        except Exception as error:  # a fault of the suite itself must not look like a pass
            result, words = FAILED, f"{type(error).__name__}: {error}"
        self._ended.put(Outcome(part.name, result, time.monotonic() - step.begun,
                                60 * part.budget_min, words))

    def _wait_for_one(self):
        told = time.monotonic()
        while self._running:
            try:
                outcome = self._ended.get(timeout=0.2)
            except queue.Empty:
                self._console.show_progress(self._progress())
                if not self._console.is_terminal and time.monotonic() - told > REPORT_EVERY_S:
                    told = time.monotonic()
                    self._say(self._progress())
                continue
            self._running.pop(outcome.name)[2].join()
            self._results[outcome.name] = outcome
            style = "green" if outcome.result == PASSED else "red"
            self._say(f"{outcome.name}: {self._console.style(outcome.result, style)} "
                      + self._console.style(f"({outcome.seconds:.1f} s)", "dim"))
            if outcome.words:
                self._console.say(outcome.words)
            return

    def _progress(self):
        now = time.monotonic()
        return f"  {len(self._results)} of {len(self._parts)} done; " + "; ".join(
            f"{name} {now - step.begun:.0f} s {step.words}".rstrip()
            for name, (_, step, _) in self._running.items())

    def _say(self, text):
        self._console.clear_progress()
        self._console.say(f"  {text}")
