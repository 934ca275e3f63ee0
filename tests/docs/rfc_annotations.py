# SPDX-License-Identifier: Apache-2.0
"""Finds the annotations that name a clause of tests/rfc/clauses.toml, in code and in tests.

An annotation is a clause's id in brackets, as [RFC 4787 REQ-5] or [field a]. In code it stands in a
comment beside what does it. In a test it stands in the test: in its body, or in the comment or
docstring that belongs to it; in a golden packet, in its `about` line."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ANNOTATION = re.compile(
    r"\[((?:RFC \d+(?: (?:REQ-\d+(?: [a-z])?|section \d+(?:\.\d+)*))?|field [a-z]))\]")
CODE_DIRECTORIES = ("engine", "nat", "dpdk", "tools")
CODE_SUFFIXES = (".hpp", ".cpp", ".py")
TEST_SUFFIXES = (*CODE_SUFFIXES, ".txt")
# The checker, the clauses themselves, and what writes the golden packets.
NOT_TESTS = ("tests/docs/", "tests/rfc/", "tests/packets/generate.py")
CPP_TEST = re.compile(r"TEST(?:_F|_P)?\((\w+), *(\w+)\)")
GOLDEN_PREFIX = "about: "


@dataclass(frozen=True)
class Place:
    """Where an annotation stands."""

    clause: str
    path: str  # from the root of the tree
    line: int
    test: str = ""  # of tests: its name

    def __str__(self):
        return f"{self.path}:{self.line}: [{self.clause}]"


def files_of(root: Path, directories, suffixes):
    """Paths below some directories, from the root on, in a fixed order."""
    paths = (path for directory in directories for path in root.glob(f"{directory}/**/*")
             if path.suffix in suffixes and path.is_file())
    return sorted(path.relative_to(root).as_posix() for path in paths)


def annotated_lines(text: str):
    """(line number, clause id) of every annotation."""
    return [(number, clause) for number, line in enumerate(text.splitlines(), 1)
            for clause in ANNOTATION.findall(line)]


def code_places(root: Path) -> list[Place]:
    return [Place(clause, path, line)
            for path in files_of(root, CODE_DIRECTORIES, CODE_SUFFIXES)
            for line, clause in annotated_lines((root / path).read_text(encoding="utf-8"))]


def cpp_tests(text: str) -> list[tuple[range, str, str]]:
    """(lines, name, why it is not run) of every test, the comment right above it included."""
    lines = text.splitlines()
    tests = []
    for at, line in enumerate(lines):
        if not (match := CPP_TEST.match(line)):
            continue
        first = at
        while first > 0 and lines[first - 1].startswith("//"):
            first -= 1
        last = next((n for n in range(at, len(lines)) if lines[n].startswith("}")), len(lines))
        disabled = any(name.startswith("DISABLED_") for name in match.groups())
        tests.append((range(first + 1, last + 2), f"{match[1]}.{match[2]}",
                      "is disabled" if disabled else ""))
    return tests


def python_tests(text: str) -> list[tuple[range, str, str]]:
    """As above: test methods, and before them the head of each class that has any."""
    lines = text.splitlines()

    def begin(node):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        while first > 1 and lines[first - 2].lstrip().startswith("#"):
            first -= 1
        return first

    def skipped(node):
        words = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
        return "is skipped" if re.search(r"\b(skip\w*|expectedFailure)\b", words) else ""

    tests = []
    for node in ast.parse(text).body:
        if not isinstance(node, ast.ClassDef):
            continue
        methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
        cases = [method for method in methods if method.name.startswith("test_")]
        if not cases:
            continue
        head = range(begin(node), min(map(begin, methods)))
        tests.append((head, node.name, skipped(node)))
        for case in cases:
            tests.append((range(begin(case), case.end_lineno + 1), f"{node.name}.{case.name}",
                          skipped(node) or skipped(case)))
    return tests


def golden_tests(text: str) -> list[tuple[range, str, str]]:
    """As above: golden packets, each by what its `about` line says."""
    return [(range(number, number + 1), ANNOTATION.sub("", line[len(GOLDEN_PREFIX):]).strip(), "")
            for number, line in enumerate(text.splitlines(), 1) if line.startswith(GOLDEN_PREFIX)]


def tests_in(path: str, text: str) -> list[tuple[range, str, str]]:
    if path.endswith(".txt"):
        return golden_tests(text)
    return python_tests(text) if path.endswith(".py") else cpp_tests(text)


def is_run(root: Path, path: str) -> bool:
    """Whether somebody runs the tests of a file: tools/test those in tests/gateway, else meson."""
    file = root / path
    if re.fullmatch(r"tests/gateway/test_\w+\.py", path) or path.startswith("tests/packets/"):
        return True
    build = file.parent / "meson.build"
    return build.exists() and f"'{file.name}'" in build.read_text(encoding="utf-8")


def test_places(root: Path) -> tuple[list[Place], list[str]]:
    """The annotations in tests, and what is wrong with them."""
    places, problems = [], []
    for path in files_of(root, ["tests"], TEST_SUFFIXES):
        if path.startswith(NOT_TESTS):
            continue
        text = (root / path).read_text(encoding="utf-8")
        annotated = annotated_lines(text)
        if not annotated:
            continue
        tests = tests_in(path, text)
        if not is_run(root, path):
            problems.append(f"{path}: annotated, but no meson.build names it: its tests do not run")
        for line, clause in annotated:
            owner = next((test for test in tests if line in test[0]), None)
            place = Place(clause, path, line, owner[1] if owner else "")
            if owner is None:
                problems.append(f"{place} stands in no test")
            elif owner[2]:
                problems.append(f"{place}: the test {owner[1]} {owner[2]}")
            else:
                places.append(place)
    return places, problems
