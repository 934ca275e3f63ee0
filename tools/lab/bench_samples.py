# SPDX-License-Identifier: Apache-2.0
"""What engine_bench measured, one sample for each of its lines."""

import statistics
from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True)
class Case:
    """What all tables were put through alike."""

    operation: str
    flows: int
    order: str
    workers: int


def count_words(flows):
    """64 k, 4 M."""
    return f"{flows // MILLION} M" if flows >= MILLION else f"{flows // 1000} k"


class Samples:
    """Samples of the same turn (repetition) are compared with each other; medians are reported."""

    def __init__(self, benchmarks):
        """@param benchmarks  of Google Benchmark's JSON"""
        self.errors = []
        self._rates = {}   # case: {table: {repetition: million a second}}
        self._shares = {}  # case: [cpu_share]
        self._memory = {}  # table: bytes
        # What the machine allows: name: {workers: {repetition: million a second}}
        self._limits = {"random_reads": {}, "least_lookup": {}}
        for line in benchmarks:
            if line.get("error_occurred"):
                self.errors.append(f"{_plain(line['name'])}: {line['error_message']}")
            else:
                self._add(line)

    def _add(self, line):
        operation, *words = _plain(line["name"]).split("/")
        labels = dict(word.split(":", 1) for word in words)
        if operation == "memory":
            self._memory[labels["table"]] = line["bytes_per_flow"]
            return
        rate = line["items_per_second"] / MILLION
        turn = int(labels["repetition"])
        if operation in self._limits:
            self._limits[operation].setdefault(int(labels["workers"]), {})[turn] = rate
            return
        case = Case(operation, int(labels["flows"]), labels["order"], int(labels["workers"]))
        self._rates.setdefault(case, {}).setdefault(labels["table"], {})[turn] = rate
        self._shares.setdefault(case, []).append(line["cpu_share"])

    def tables(self):
        """In the order in which they took turns, noclash first."""
        names = {table: None for tables in self._rates.values() for table in tables}
        return list(names | {table: None for table in self._memory})

    def cases(self):
        return list(self._rates)

    def median(self, case, table):
        """Million a second; None when it was not measured."""
        return _median(self._turns(case, table).values())

    def rate(self, operation, flows, table="noclash"):
        """Of one worker, keys in random order."""
        return self.median(Case(operation, flows, "random", 1), table)

    def ratio(self, operation, flows, other=None):
        """noclash's rate over that of `other`, or of the best other table of the same turn."""
        case = Case(operation, flows, "random", 1)
        others = [other] if other else [t for t in self.tables() if t != "noclash"]
        ratios = []
        for turn, rate in self._turns(case, "noclash").items():
            rivals = [self._turns(case, table)[turn] for table in others
                      if turn in self._turns(case, table)]
            if rivals:
                ratios.append(rate / max(rivals))
        return _median(ratios)

    def speed_up(self, operation, flows):
        """noclash's, of two workers over one."""
        one = self._turns(Case(operation, flows, "random", 1), "noclash")
        two = self._turns(Case(operation, flows, "random", 2), "noclash")
        return _median(two[turn] / one[turn] for turn in two.keys() & one.keys())

    def bytes_per_flow(self, table):
        return self._memory.get(table)

    def least_lookup(self):
        """Million a second of the least lookup that compares a key, one worker."""
        return _median(self._limits["least_lookup"].get(1, {}).values())

    def random_reads(self):
        """What two workers read at random beside one."""
        reads = self._limits["random_reads"]
        one, two = reads.get(1, {}), reads.get(2, {})
        return _median(two[turn] / one[turn] for turn in two.keys() & one.keys())

    def least_cpu_share(self):
        """The median of the case that got least of its CPUs."""
        return min(map(statistics.median, self._shares.values()), default=None)

    def details(self):
        """All of it as JSON objects."""
        found = [{"benchmark": "engine", "operation": case.operation, "flows": case.flows,
                  "order": case.order, "workers": case.workers, "table": table, "unit": "M/s",
                  "median": _median(turns.values()), "turns": [turns[turn] for turn in sorted(turns)],
                  "cpu_share": statistics.median(self._shares[case])}
                 for case, tables in self._rates.items() for table, turns in tables.items()]
        found += [{"benchmark": "memory", "table": table, "unit": "B", "bytes_per_flow": value}
                  for table, value in self._memory.items()]
        found += [{"benchmark": name, "workers": workers, "unit": "M/s",
                   "median": _median(turns.values())}
                  for name, limit in self._limits.items() for workers, turns in limit.items()]
        return found

    def _turns(self, case, table):
        return self._rates.get(case, {}).get(table, {})


def _plain(name):
    return name.removesuffix("/manual_time").removesuffix("/iterations:1")


def _median(values):
    values = list(values)
    return statistics.median(values) if values else None
