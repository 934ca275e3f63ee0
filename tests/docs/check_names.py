#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails where the docs name a file, or a `Class::member`, that is not there.

docs/history/ tells of the past, with the names of the past."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP = "engine|nat|dpdk|bench|tests|tools|docs"
FILE = re.compile(rf"(?<![\w./-])((?:{TOP})/[\w./-]*\w\.(?:hpp|cpp|py|toml|pml|md|build))\b")
MEMBER = re.compile(r"`(\w+)::(\w+)")
SOURCES = [path for layer in ("engine", "nat", "dpdk", "bench", "tests", "tools")
           for path in (ROOT / layer).rglob("*.[hc]pp")]
# Namespaces of others, in whose headers we do not look.
OTHERS = {"std", "tbb"}


def has_member(texts: list[str], name: str, member: str) -> bool:
    """Whether a file that defines the class or namespace `name` has the word `member`."""
    defines = re.compile(rf"\b(class|struct|namespace)\s+(\w+::)*{name}\b")
    word = re.compile(rf"\b{member}\b")
    return any(defines.search(text) and word.search(text) for text in texts)


def main() -> int:
    texts = [path.read_text() for path in SOURCES]
    problems = []
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    for document in sorted(documents):
        for number, line in enumerate(document.read_text().splitlines(), 1):
            place = f"{document.relative_to(ROOT)}:{number}"
            problems += [f"{place}: there is no file {name}" for name in FILE.findall(line)
                         if not (ROOT / name).exists()]
            problems += [f"{place}: there is no {name}::{member}"
                         for name, member in MEMBER.findall(line)
                         if name not in OTHERS and not has_member(texts, name, member)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems or not documents else 0


if __name__ == "__main__":
    sys.exit(main())
