# SPDX-License-Identifier: Apache-2.0
"""The measurements of engine_bench, one sample for each of its lines."""

import statistics
from dataclasses import dataclass
from typing import NamedTuple

MILLION = 1_000_000


@dataclass(frozen=True)
class Case:
    """One task, the same for all tables."""

    operation: str
    flows: int
    order: str
    workers: int


class Sample(NamedTuple):
    """One turn."""

    rate: float       # million a second
    cpu_share: float  # how much of its CPU the worker got that got least

    @property
    def undisturbed(self):
        return self.cpu_share >= 0.98


def count_words(flows):
    """64 k, 4 M."""
    return f"{flows // MILLION} M" if flows >= MILLION else f"{flows // 1000} k"


class Samples:
    """Samples of the same turn (repetition) are compared with each other; medians are reported."""

    def __init__(self, benchmarks):
        """@param benchmarks  of Google Benchmark's JSON"""
        self.errors = []
        self._cases = {}   # case: {table: {turn: Sample}}
        self._limits = {}  # what the machine allows: {(name, workers): {turn: Sample}}
        self._memory = {}  # table: bytes
        for line in benchmarks:
            if line.get("error_occurred"):
                self.errors.append(f"{_plain(line['name'])}: {line['error_message']}")
            else:
                self._add(line)

    def _add(self, line):
        name = _plain(line["name"])
        operation, *words = name.split("/")
        labels = dict(word.split(":", 1) for word in words)
        if operation == "memory":
            self._memory[labels["table"]] = line["bytes_per_flow"]
            return
        workers = int(labels["workers"])
        if "table" in labels:
            case = Case(operation, int(labels["flows"]), labels["order"], workers)
            turns = self._cases.setdefault(case, {}).setdefault(labels["table"], {})
        else:
            turns = self._limits.setdefault((name.split("/workers:")[0], workers), {})
        turns[int(labels["repetition"])] = Sample(line["items_per_second"] / MILLION,
                                                  line["cpu_share"])

    def tables(self):
        """In the order in which they took turns, noclash first."""
        names = {table: None for tables in self._cases.values() for table in tables}
        return list(names | {table: None for table in self._memory})

    def cases(self):
        return list(self._cases)

    def median(self, case, table):
        """Million a second; None when it was not measured."""
        return _median_rate(self._turns(case, table))

    def rate(self, operation, flows, table="noclash"):
        """The rate of one worker, keys in random order."""
        return self.median(Case(operation, flows, "random", 1), table)

    def ratio(self, operation, flows, other=None):
        """noclash's rate over that of `other`, or of the best other table of the same turn."""
        case = Case(operation, flows, "random", 1)
        return self._ratio(self._turns(case, "noclash"), case, other)

    def speed_up(self, operation, flows):
        """noclash's, of two workers over one."""
        one, two = (self._turns(Case(operation, flows, "random", workers), "noclash")
                    for workers in (1, 2))
        return _speed_up(one, two)

    def limit(self, name, workers=1):
        """Million a second that the machine allows."""
        return _median_rate(self._limit(name, workers))

    def limit_ratio(self, name, operation, flows):
        """The machine's limit over the best other table than noclash of the same turn."""
        return self._ratio(self._limit(name, 1), Case(operation, flows, "random", 1))

    def limit_speed_up(self, name, one=None):
        """The speed of two workers over one of the limit `one`, the same unless told."""
        return _speed_up(self._limit(one or name, 1), self._limit(name, 2))

    def limit_over_one(self, name, operation, flows):
        """The speed of two workers over one worker's `operation` on noclash's table."""
        return _speed_up(self._turns(Case(operation, flows, "random", 1), "noclash"),
                         self._limit(name, 2))

    def bytes_per_flow(self, table):
        return self._memory.get(table)

    def least_cpu_share(self):
        """The median of the case that got least of its CPUs."""
        return min(map(_median_share, self._cases.values()), default=None)

    def details(self):
        """All of it as JSON objects."""
        found = [{"benchmark": "engine", "operation": case.operation, "flows": case.flows,
                  "order": case.order, "workers": case.workers, "table": table, "unit": "M/s",
                  **_detail(turns)}
                 for case, tables in self._cases.items() for table, turns in tables.items()]
        found += [{"benchmark": "memory", "table": table, "unit": "B", "bytes_per_flow": value}
                  for table, value in self._memory.items()]
        found += [{"benchmark": name, "workers": workers, "unit": "M/s", **_detail(turns)}
                  for (name, workers), turns in self._limits.items()]
        return found

    def _ratio(self, turns, case, other=None):
        others = [other] if other else [t for t in self.tables() if t != "noclash"]
        ratios = []
        for turn, sample in turns.items():
            rivals = [self._turns(case, table)[turn].rate for table in others
                      if turn in self._turns(case, table)]
            if rivals:
                ratios.append(sample.rate / max(rivals))
        return _median(ratios)

    def _turns(self, case, table):
        return self._cases.get(case, {}).get(table, {})

    def _limit(self, name, workers):
        return self._limits.get((name, workers), {})


def _speed_up(one, two):
    """The speed of two workers over one. Other programs take their CPU from two workers, and leave
    one worker alone: turns in which that happened do not count, as long as three others do."""
    both = one.keys() & two.keys()
    undisturbed = {turn for turn in both if one[turn].undisturbed and two[turn].undisturbed}
    return _median(two[turn].rate / one[turn].rate
                   for turn in (undisturbed if len(undisturbed) >= 3 else both))


def _detail(turns):
    ordered = [turns[turn] for turn in sorted(turns)]
    return {"median": _median_rate(turns), "turns": [sample.rate for sample in ordered],
            "cpu_shares": [round(sample.cpu_share, 3) for sample in ordered]}


def _plain(name):
    return name.removesuffix("/manual_time").removesuffix("/iterations:1")


def _median(values):
    values = list(values)
    return statistics.median(values) if values else None


def _median_rate(turns):
    return _median(sample.rate for sample in turns.values())


def _median_share(tables):
    return statistics.median(s.cpu_share for turns in tables.values() for s in turns.values())
