#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/rfc.md says which clause is kept by which code, and which test shows it.

It is made of tests/rfc/clauses.toml and of the annotations in code and tests:

    tests/docs/check_rfc.py --write   makes it
    tests/docs/check_rfc.py           fails when it is not what would be made, when a clause that is
                                      met lacks code or a test, when an annotation names an unknown
                                      clause, or stands in no test that is run"""

import argparse
import sys
import tomllib
from collections import Counter
from pathlib import Path

from rfc_annotations import Place, code_places, test_places

ROOT = Path(__file__).resolve().parents[2]
STATES = ("met", "partly", "not met", "later")
CLAUSES = "tests/rfc/clauses.toml"
PAGE = "docs/rfc.md"

INTRODUCTION = """\
<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Made by tests/docs/check_rfc.py --write; edit tests/rfc/clauses.toml and the annotations. -->

# What the RFCs ask, and what is there

Each row is a statement about the gateway that a test can show, made of a clause of an RFC or of a
failure that users of other gateways met. *Met*: the code that keeps it and a test that fails when
it does not are named. *Partly* and *not met* say what is missing; *later* belongs to a part that is
not built yet. Code and tests name the clauses that they are about, as `[RFC 4787 REQ-5]`; this page
is made of these annotations and of [the statements](../tests/rfc/clauses.toml), and
`meson test` fails when it is not up to date.

Of the failures in the field, the column *netfilter* says what Linux 6.18's own NAT does in the same
tests, or in those of `tests/gateway/test_baseline.py`, which run on whatever kernel is there.
"""


def source_of(clause_id: str) -> str:
    words = clause_id.split()
    return "field" if words[0] == "field" else " ".join(words[:2])


def read_clauses(root: Path) -> tuple[dict, dict, list[str]]:
    """The sources, the clauses by id, and what is wrong with them."""
    with open(root / CLAUSES, "rb") as handle:
        document = tomllib.load(handle)
    sources, clauses, problems = document["sources"], {}, []
    for clause in document["clause"]:
        name = clause.get("id", "?")
        if unknown := clause.keys() - {"id", "says", "state", "lacks", "netfilter"}:
            problems.append(f"{CLAUSES}: {name}: no such key: {', '.join(sorted(unknown))}")
        if missing := {"id", "says", "state"} - clause.keys():
            problems.append(f"{CLAUSES}: {name}: lacks {', '.join(sorted(missing))}")
            continue
        if name in clauses:
            problems.append(f"{CLAUSES}: {name} stands there twice")
        if source_of(name) not in sources:
            problems.append(f"{CLAUSES}: {name}: [sources] does not know {source_of(name)!r}")
        if clause["state"] not in STATES:
            problems.append(f"{CLAUSES}: {name}: state is none of {', '.join(STATES)}")
        elif ("lacks" in clause) == (clause["state"] == "met"):
            problems.append(f"{CLAUSES}: {name}: `lacks` says what is missing, unless it is met")
        clauses[name] = clause
    return sources, clauses, problems


def compare(clauses: dict, code: list[Place], tests: list[Place]) -> list[str]:
    """Where the clauses and the annotations disagree."""
    problems = [f"{place} is no clause of {CLAUSES}" for place in code + tests
                if place.clause not in clauses]
    for kind, places in (("code", code), ("test", tests)):
        counts = Counter(place.clause for place in places)
        for name, clause in clauses.items():
            if clause["state"] in ("met", "partly") and not counts[name]:
                problems.append(f"{CLAUSES}: {name} is {clause['state']}, but no {kind} names it")
            if clause["state"] in ("not met", "later") and counts[name]:
                place = next(place for place in places if place.clause == name)
                problems.append(f"{place}: {CLAUSES} says {clause['state']}")
    return problems


def link(path: str) -> str:
    return f"[{path}](../{path})"


def code_cell(places: list[Place]) -> str:
    return "<br>".join(link(path) for path in sorted({place.path for place in places}))


def test_cell(places: list[Place]) -> str:
    names: dict[str, list[str]] = {}
    for place in sorted(places, key=lambda place: (place.path, place.line)):
        tests = names.setdefault(place.path, [])
        if place.test not in tests:
            tests.append(place.test)
    return "<br>".join(f"{link(path)}: " + ", ".join(f"`{test}`" for test in tests)
                       for path, tests in names.items())


def render(sources: dict, clauses: dict, code: list[Place], tests: list[Place]) -> str:
    counts = Counter(clause["state"] for clause in clauses.values())
    lines = [INTRODUCTION, "| " + " | ".join(STATES) + " |", "| ---: " * len(STATES) + "|",
             "| " + " | ".join(str(counts[state]) for state in STATES) + " |"]
    for source, title in sources.items():
        rows = {name: clause for name, clause in clauses.items() if source_of(name) == source}
        if not rows:
            continue
        heading = title.capitalize() if source == "field" else f"{source}: {title}"
        columns = ["clause", "the gateway", "state", "code", "shown by"]
        compares = any("netfilter" in clause for clause in rows.values())
        if compares:
            columns.insert(3, "netfilter")
        lines += ["", f"## {heading}", "", "| " + " | ".join(columns) + " |",
                  "| --- " * len(columns) + "|"]
        for name, clause in rows.items():
            state = f"**{clause['state']}**"
            if "lacks" in clause:
                state += f": {clause['lacks']}"
            cells = [name.removeprefix(source).strip() or "all of it", clause["says"], state,
                     code_cell([place for place in code if place.clause == name]),
                     test_cell([place for place in tests if place.clause == name])]
            if compares:
                cells.insert(3, clause.get("netfilter", ""))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(argv: list[str], root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"make {PAGE}")
    options = parser.parse_args(argv)

    sources, clauses, problems = read_clauses(root)
    code = code_places(root)
    tests, wrong = test_places(root)
    problems += wrong
    problems += compare(clauses, code, tests) if not problems else []
    if not problems:
        page = render(sources, clauses, code, tests)
        if options.write:
            (root / PAGE).write_text(page, encoding="utf-8")
        elif not (root / PAGE).exists() or (root / PAGE).read_text(encoding="utf-8") != page:
            problems.append(f"{PAGE} is out of date: run tests/docs/check_rfc.py --write")
    for problem in problems:
        print(problem, file=sys.stderr)
    states = Counter(clause["state"] for clause in clauses.values() if "state" in clause)
    print(f"{len(clauses)} clauses: " + ", ".join(f"{states[state]} {state}" for state in STATES)
          + f"; {len(code)} annotations in code, {len(tests)} in tests")
    return 1 if problems or not clauses else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
