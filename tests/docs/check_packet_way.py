#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The picture of a packet's way, docs/packet-way.svg, is drawn from the code and is up to date; and
a first packet's way to its place in the index is at most seven calls deep.

    check_packet_way.py          checks both
    check_packet_way.py --draw   draws the picture anew (needs Debian's package graphviz)
    check_packet_way.py --text   prints the calls, indented

The code is read as text, which its fixed format allows: a function begins where a line of its
indentation opens a brace, and ends where a line of the same indentation closes one. Calls are
resolved by the types of members (`slow_path_.set_up(`), else within the class, else among free
functions.
"""

import argparse
import hashlib
import itertools
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "packet-way.svg"
DEEPEST = 7
FIRST_PACKET = ["Pipeline::process", "SlowPath::create_flow", "PortAllocator::reserve_from",
                "TupleIndex::insert"]

# The files of the way, in a packet's order; each is a box of the picture.
FILES = ["dpdk/datapath/worker.cpp", "nat/pipeline.hpp", "nat/packet/parse.hpp",
         "nat/untracked.hpp", "nat/conntrack/track_fast.hpp", "nat/conntrack/conntrack.hpp",
         "nat/reuse/incarnations.hpp", "nat/slow_path.hpp", "nat/flow_plan.hpp",
         "nat/source_translation.hpp", "nat/mapped_source.hpp", "nat/mapping/mappings.hpp",
         "nat/ports/port_allocator.hpp", "nat/ports/address_allocator.hpp",
         "nat/reuse/time_wait_reuse.hpp", "engine/reservation.hpp", "engine/tuple_index.hpp", "engine/tuple_index_impl.hpp",
         "nat/forwarding.hpp", "nat/packet/rewrite.hpp", "dpdk/datapath/egress.cpp",
         "dpdk/datapath/egress.hpp"]
# The stages: all of their functions are shown. Of other files, those that other files call.
STAGES = FILES[:2] + ["nat/slow_path.hpp", "nat/source_translation.hpp"]
# Functions between bursts, and functions that only ask, compare or count.
LEFT_OUT = re.compile(r"^(Worker::(run|idle|hold|take_port_states|announce|begin|end|round|trimmed)|"
                      r"TupleIndex::(?!(insert|candidates)$)\w+|Reservation::(?!(reserve|publish)$)\w+|"
                      r"(\w+::)?(is|was|may|comes|has|note|over|can)_\w+|"
                      r"(\w+::)?(end_step|profile|maintain|gone|decided|drop|undecided|random|mark|"
                      r"refresh|expiry|fits|gives_way|mappings|bounded|in_use|refused|revive)|"
                      r"Egress::(drop|ask|flush|begin|key|recent\w*|take_link|revisit|hold))$")

CLASS = re.compile(r"^(?:class|struct)\s+(?:alignas\(\d+\) )?(\w+)", re.MULTILINE)
MEMBER = re.compile(
    r"^    (?:const )?([A-Z]\w*)(?:<[^;()]*>)?[&*]? (\w+_)(?:;|\{| =)", re.MULTILINE)
NAME = re.compile(r"([\w:~]+)\(")
CALL = re.compile(r"(?:(\w+|\))(?:\.|->))?\b(\w+)(?:<[\w:, ]*>)?\(")
KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof", "static_cast", "assert",
            "catch", "constexpr", "decltype", "noexcept", "operator"}


class Function:
    def __init__(self, name: str, file: str, body: str):
        self.name, self.file, self.body = name, file, body
        self.calls: list[str] = []

    def outcomes(self) -> list[str]:
        """The verdicts on packets that the function itself gives."""
        found = set(re.findall(r"(?:Verdict::|Outcome::)(park|reject|reset|fragment|transmit)",
                               self.body))
        if re.search(r"Verdict::drop|\bdrop\(context|verdict\.reason = ", self.body):
            found.add("drop")
        return sorted(found)


def functions_of(file: str) -> tuple[list[Function], dict[str, str]]:
    text = re.sub(r"//.*", "", (ROOT / file).read_text())
    lines = text.splitlines()
    members = {name: kind for kind, name in MEMBER.findall(text)}
    found, owner = [], ""
    i = 0
    while i < len(lines):
        line = lines[i]
        named = CLASS.match(line)
        if named and not line.rstrip().endswith(";"):
            owner = named.group(1)
        elif line.startswith("};"):
            owner = ""
        indent = len(line) - len(line.lstrip())
        starts = (indent == 4 and owner or indent ==
                  0) and line.strip() and line[indent] not in "#}"
        if not starts or line.lstrip().startswith(("template", "requires", "class ", "struct ",
                                                   "namespace", "public", "using", "enum")):
            i += 1
            continue
        head = line
        j = i
        while not head.rstrip().endswith(("{", ";", "}")) and j + 1 < len(lines):
            j += 1
            head += " " + lines[j].strip()
        head = re.sub(r"\[\[.*?\]\]|(?<=\w)<[\w, ]*>(?=::)", "", head)
        name = NAME.search(head)
        if not head.rstrip().endswith("{") and not head.rstrip().endswith("}") or not name:
            i = j + 1
            continue
        end = j
        if head.rstrip().endswith("{"):
            while end + 1 < len(lines) and lines[end].rstrip() != " " * indent + "}":
                end += 1
        body = head[head.index(name.group(0)) + len(name.group(0)):] + "\n" + \
            "\n".join(lines[j + 1:end + 1])
        full = name.group(1)
        if owner and "::" not in full:
            full = f"{owner}::{full}"
        if "~" not in full and not (owner and full == f"{owner}::{owner}"):
            found.append(Function(full, file, body))
        i = end + 1
    return found, members


def graph() -> dict[str, Function]:
    """All functions of the way by name; overloads are one."""
    functions: dict[str, Function] = {}
    members: dict[str, str] = {}
    for file in FILES:
        found, of_file = functions_of(file)
        members |= of_file
        for function in found:
            if function.name in functions:
                functions[function.name].body += function.body
            else:
                functions[function.name] = function
    kinds = members | {"claim": "Reservation", "index": "TupleIndex", "mappings": "Mappings",
                       "proposals_": "PortAllocator", "pipeline_": "Pipeline",
                       "egress_": "Egress"}
    for function in functions.values():
        owner = function.name.rpartition("::")[0]
        for receiver, called in CALL.findall(function.body):
            if called in KEYWORDS:
                continue
            own, free = f"{owner}::{called}", called
            by_type = f"{kinds.get(receiver, '')}::{called}"
            if receiver:
                name = by_type if by_type in functions else f"TupleIndex::{called}"
            else:
                name = own if owner and own in functions else free
            if name in functions and name not in function.calls and not LEFT_OUT.match(name) \
                    and name != function.name:
                function.calls.append(name)
    return functions


def shown(functions: dict[str, Function]) -> dict[str, list[str]]:
    """The functions of the picture in a packet's order, each with those that it calls, be it by way
    of functions that are not shown."""
    entered = {called for function in functions.values() for called in function.calls
               if functions[called].file != function.file}

    def calls_of(name: str, seen: set[str]) -> list[str]:
        found: list[str] = []
        for called in functions[name].calls:
            if called in seen:
                continue
            if functions[called].file in STAGES or called in entered:
                found.append(called)
            else:
                found += calls_of(called, seen | {called})
        return list(dict.fromkeys(call for call in found if call != name))

    picture: dict[str, list[str]] = {}

    def visit(name: str) -> None:
        if name in picture:
            return
        picture[name] = calls_of(name, {name})
        for called in picture[name]:
            visit(called)

    visit("Worker::receive")
    return picture


def depth(functions: dict[str, Function], first: str, last: str) -> list[str]:
    """The shortest chain of calls from one to the other."""
    chains = [[first]]
    seen = {first}
    while chains:
        chain = chains.pop(0)
        if chain[-1] == last:
            return chain
        for called in functions[chain[-1]].calls:
            if called not in seen:
                seen.add(called)
                chains.append(chain + [called])
    return []


def text(functions: dict[str, Function]) -> list[str]:
    picture, seen, lines = shown(functions), set(), []

    def visit(name: str, indent: int) -> None:
        outcomes = ", ".join(functions[name].outcomes())
        again = name in seen and picture[name]
        lines.append(f"{'  ' * indent}{name}{f'  [{outcomes}]' if outcomes else ''}"
                     f"{' ...' if again else ''}")
        if name not in seen:
            seen.add(name)
            for called in picture[name]:
                visit(called, indent + 1)

    visit("Worker::receive", 0)
    return lines


def dot(functions: dict[str, Function]) -> str:
    """The picture in Graphviz's language."""
    picture = shown(functions)
    lines = ["digraph way {", "  rankdir=LR; nodesep=0.12; ranksep=0.5; compound=true;",
             '  node [shape=box, style="filled,rounded", fillcolor=white, fontname="Helvetica", '
             "fontsize=11, height=0.3, margin=\"0.08,0.04\"];",
             '  edge [arrowsize=0.6, color="#555555"];']
    for number, file in enumerate(FILES):
        of_file = [name for name in picture if functions[name].file == file]
        if not of_file:
            continue
        lines += [f"  subgraph cluster_{number} {{",
                  f'    label="{file}"; fontname="Helvetica"; fontsize=10; style="filled,rounded"; '
                  'color="#dddddd"; fillcolor="#f4f6f8";']
        for name in of_file:
            label = name.rpartition("::")[2] if "::" in name else name
            outcomes = functions[name].outcomes()
            if outcomes:
                label += f"\\n{', '.join(outcomes)}"
            lines.append(f'    "{name}" [label="{label}"];')
        lines.append("  }")
    for name, calls in picture.items():
        for called in calls:
            lines.append(f'  "{name}" -> "{called}";')
    return "\n".join(lines + ["}"]) + "\n"


def draw(source: str) -> None:
    drawn = subprocess.run(["dot", "-Tsvg"], input=source, capture_output=True, text=True,
                           check=True).stdout
    mark = f"<!-- {hashlib.sha256(source.encode()).hexdigest()} -->\n"
    PICTURE.write_text("<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
                       "<!-- Drawn by tests/docs/check_packet_way.py from the code: -->\n" + mark
                       + drawn[drawn.index("<svg"):])


def problems(functions: dict[str, Function]) -> list[str]:
    found = []
    mark = hashlib.sha256(dot(functions).encode()).hexdigest()
    if not PICTURE.exists() or mark not in PICTURE.read_text():
        found.append(f"docs/{PICTURE.name}: is older than the code; draw it anew: "
                     f"{Path(__file__).relative_to(ROOT)} --draw (needs the package graphviz)")
    parts = [depth(functions, *pair) for pair in itertools.pairwise(FIRST_PACKET)]
    if not all(parts):
        found.append(f"no way was found by {' and '.join(FIRST_PACKET)}")
    chain = FIRST_PACKET[:1] + [name for part in parts for name in part[1:]]
    if len(chain) - 1 > DEEPEST:
        found.append(f"a first packet's way is {len(chain) - 1} calls deep, more than {DEEPEST}: "
                     + " -> ".join(chain))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="draw the picture anew")
    parser.add_argument("--text", action="store_true", help="print the calls, indented")
    arguments = parser.parse_args()
    functions = graph()
    if arguments.text:
        print("\n".join(text(functions)))
    if arguments.draw:
        draw(dot(functions))
    for problem in (bad := problems(functions)):
        print(problem, file=sys.stderr)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
