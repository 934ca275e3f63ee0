# SPDX-License-Identifier: Apache-2.0
"""clang-tidy over every file that a build compiles.

Reading the headers takes longer than checking a file. So files of a target are checked together,
by a file that includes them; clang's analyzer takes them for code of their own. Files that define
the same local names are kept apart.
"""

import json
import os
import re
import shlex
from concurrent.futures import ThreadPoolExecutor

from . import builds
from .parts import CPUS
from .process import LabError

# Directories with C++; fuzz targets are in no build but their own.
SOURCES = ("engine", "nat", "dpdk", "tools", "bench", "tests")
MOST_TOGETHER = 20
# clang-tidy's words where a file does not compile.
NO_CODE = "[clang-diagnostic-error]"


def clang_tidy():
    """The work of a part. It needs to know how files are compiled, for which a directory of its
    own is configured, and nothing built."""
    build = builds.Build("build-tidy", compiler="clang++", options=["-Dtogether=false"])

    def work(step):
        build.configure()
        directory, groups = _prepare(build)
        done, count = 0, sum(map(len, groups.values()))

        def check(name):
            nonlocal done
            words = _check(step, directory, name)
            if NO_CODE in words and len(groups[name]) > 1:
                words = "".join(_check(step, directory, file) for file in groups[name])
            done += len(groups[name])
            step.show(f"[{done}/{count}]")
            return words

        with ThreadPoolExecutor(CPUS) as pool:
            words = "".join(pool.map(check, groups))
        if words:
            raise LabError(words[-8000:])
    return work


def _check(step, directory, name):
    """The findings of clang-tidy; empty: none."""
    status, output = step.run(["clang-tidy", "--quiet", "-p", directory, name], cwd=builds.ROOT)
    if status == 0:
        return ""
    return f"{name}: clang-tidy ended with {status}\n{output}"


def _prepare(build):
    """A directory with a compile command for each file and for each group of files, and the groups:
    {file to check: [files in it]}, those with most to check first."""
    directory = os.path.join(build.directory, "tidy")
    os.makedirs(directory, exist_ok=True)
    commands, groups = [], {}
    for target, entries in _by_target(build).items():
        commands += entries
        for number, members in enumerate(group([entry["file"] for entry in entries])):
            if len(members) == 1:
                groups[members[0]] = members
                continue
            name = os.path.join(directory, f"{target.replace('/', '-')}-{number}.cpp")
            with open(name, "w", encoding="utf-8") as handle:
                handle.writelines(f'#include "{member}"\n' for member in members)
            groups[name] = members
            commands.append(entries[0] | {"file": name})
    with open(os.path.join(directory, "compile_commands.json"), "w", encoding="utf-8") as handle:
        json.dump(commands, handle)
    order = sorted(groups, key=lambda name: -sum(map(os.path.getsize, groups[name])))
    return directory, {name: groups[name] for name in order}


def group(files):
    """The files in groups of those that share no local name."""
    groups = []  # (files, their names)
    for file in files:
        with open(file, encoding="utf-8") as handle:
            names = names_of(handle.read())
        for members, taken in groups:
            if len(members) < MOST_TOGETHER and not names & taken:
                members.append(file)
                taken |= names
                break
        else:
            groups.append(([file], names))
    return [members for members, _ in groups]


def names_of(text):
    """The names that a file declares outside of classes and functions. In our format these stand at
    the beginning of a line; members of classes are known by their class."""
    names = set()
    # Files of unit tests have namespaces of their own.
    space = re.search(r"^namespace (\w+::)*(\w+_test) \{$", text, re.MULTILINE)
    for line in text.splitlines():
        if not re.match(r"[A-Za-z_]", line) or re.match(r"namespace |using namespace |extern ", line):
            continue
        if found := re.match(r"(?:template .*> )?(?:class|struct|enum class|enum|union|using)"
                             r"(?: alignas\(.*?\))? (\w+)", line):
            names.add(found[1])
        elif found := re.search(r"([\w:~]+)(?:\[.*?\])*(?:\(|\{| =|;)", line):
            names.add(found[1])
    prefix = space[2] + "::" if space else ""
    return {prefix + name for name in names if not name.isupper()}  # macros, as TEST of GoogleTest


def _by_target(build):
    """The commands of all files of ours, by target; one for each file, though several targets may
    compile it."""
    with open(os.path.join(build.directory, "compile_commands.json"), encoding="utf-8") as handle:
        entries = json.load(handle)
    tops = tuple(os.path.join(builds.ROOT, top) + os.sep for top in SOURCES)
    targets, seen = {}, set()
    for entry in entries:
        file = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
        if not file.startswith(tops) or file in seen:
            continue
        seen.add(file)
        arguments = shlex.split(entry["command"])
        if os.path.basename(arguments[0]) == "ccache":
            arguments = arguments[1:]
        target = arguments[arguments.index("-o") + 1].partition(".p/")[0]
        # Clang-tidy replaces the file of a command by the one that it checks.
        targets.setdefault(target, []).append(
            {"directory": entry["directory"], "file": file,
             "arguments": [word for word in arguments if word != entry["file"]] + [file]})
    return targets
