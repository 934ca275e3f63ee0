# SPDX-License-Identifier: Apache-2.0
"""The result of a benchmark: rows with targets, and the machine it ran on."""

import json
import os
import platform
import re
from dataclasses import dataclass, field

from .process import LabError


@dataclass
class Row:
    """One result that counts."""

    name: str
    value: float | None  # None: could not be measured
    unit: str
    target: float | None = None
    at_most: bool = False  # the target is a limit, not a goal

    @property
    def measured(self):
        return self.value is not None

    @property
    def ok(self):
        if not self.measured or self.target is None:
            return self.measured
        return self.value <= self.target if self.at_most else self.value >= self.target

    def as_json(self):
        return {"name": self.name, "value": self.value, "unit": self.unit, "target": self.target,
                "at_most": self.at_most, "ok": self.ok}


@dataclass
class Report:
    """All of one benchmark."""

    rows: list = field(default_factory=list)
    details: list = field(default_factory=list)  # JSON objects
    wrong: list = field(default_factory=list)    # wrong answers, in words
    remarks: list = field(default_factory=list)  # what a reader should know about this run


def machine():
    """The facts about the machine that a reader needs to compare figures."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as handle:
        model = re.search(r"^model name\s*:\s*(.*)$", handle.read(), re.MULTILINE)
    with open("/proc/meminfo", encoding="ascii") as handle:
        memory_kib = int(re.search(r"^MemTotal:\s*(\d+)", handle.read(), re.MULTILINE)[1])
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as handle:
            huge_pages = re.search(r"\[(\w+)\]", handle.read())[1]
    except OSError:
        huge_pages = "never"
    return {"cpu": model[1] if model else platform.machine(),
            "cpus": len(os.sched_getaffinity(0)),
            "memory_gib": round(memory_kib / 1024 / 1024, 1),
            "kernel": platform.release(),
            "transparent_huge_pages": huge_pages}


def read_baseline(path):
    """The rows of a file that `--json` wrote: name and value."""
    try:
        with open(path, encoding="utf-8") as handle:
            rows = json.load(handle)["rows"]
        return {row["name"]: row["value"] for row in rows if row["value"]}
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"{path} is no file that --json has written") from error


def print_rows(report, console, before=None):
    """The table of targets, and what else there is to say; `before`: a baseline to compare with."""
    lines, styles = [], []
    for row in report.rows:
        target = "" if row.target is None else \
            f"{'<=' if row.at_most else '>='} {row.target:g} {row.unit}"
        if not row.measured:
            verdict, style = "not measured", "yellow"
        elif row.target is None:
            verdict, style = "", None
        else:
            verdict, style = ("pass", "green") if row.ok else ("falls short", "red")
        value = f"{_number(row.value)} {row.unit}" if row.measured else "-"
        ratio = ()
        if before:
            known = before.get(row.name)
            ratio = (f"{row.value / known:.2f} x" if row.measured and known else "-",)
        lines.append((row.name, value, *ratio, target, verdict))
        styles.append(style)
    compared = ("/ baseline",) if before else ()
    console.table(("row", "value", *compared, "target", "verdict"), lines, styles)
    for remark in report.remarks:
        console.say(f"\n  {remark}")
    for words in report.wrong:
        console.say(console.style(f"\n  WRONG: {words}", "red"))


def _number(value):
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def write_json(report, path):
    """As `--json` promises."""
    try:
        with open(path, "w", encoding="utf-8") as handle:
            json.dump({"rows": [row.as_json() for row in report.rows], "machine": machine(),
                       "wrong": report.wrong, "details": report.details}, handle, indent=2)
            handle.write("\n")
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}") from error
