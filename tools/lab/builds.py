# SPDX-License-Identifier: Apache-2.0
"""Builds the tree with meson, showing how far it is."""

import os
import re
import subprocess

from .process import LabError, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Where the build directories are: elsewhere on a machine that several people share.
BUILDS = os.environ.get("NOCLASH_BUILDS", ROOT)

# Programs that people run; a demonstration's storm; and all that put the gateway under load.
GATEWAY = ("dpdk/noclash", "tools/noclashctl/noclashctl")
STORM = ("tools/storm/storm",)
HEALTH = ("tools/health/noclash-health",)
PROGRAMS = (*GATEWAY, *STORM, *HEALTH, "tools/cpsload/cpsload")


class Build:
    """A build directory and the programs in it."""

    def __init__(self, directory, *, options=(), compiler=None, testers=None):
        """`testers`: the build whose programs put a gateway under load, unless it is this one."""
        self.directory = os.path.join(BUILDS, directory)
        self.testers = os.path.join(BUILDS, testers or directory)
        self._options = list(options)
        self._compiler = compiler

    @property
    def daemon(self):
        return os.path.join(self.directory, "dpdk", "noclash")

    @property
    def control(self):
        return os.path.join(self.directory, "tools", "noclashctl", "noclashctl")

    @property
    def storm(self):
        return os.path.join(self.testers, "tools", "storm", "storm")

    @property
    def cpsload(self):
        return os.path.join(self.testers, "tools", "cpsload", "cpsload")

    def configure(self):
        if os.path.exists(os.path.join(self.directory, "build.ninja")):
            run(["meson", "configure", self.directory, *self._options], timeout_s=600, cwd=ROOT)
            return
        environment = dict(os.environ)
        if self._compiler:
            environment["CXX"] = self._compiler
        run(["meson", "setup", self.directory, *self._options], timeout_s=600, cwd=ROOT,
            env=environment)

    def compile(self, step, targets=(), *, jobs=None, start=subprocess.Popen):
        """Builds; shows ninja's count in `step`. LabError has the compiler's words. `start` starts
        ninja, as subprocess.Popen does; `jobs` are its processes."""
        output = []
        argv = ["ninja", "-C", self.directory, *([f"-j{jobs}"] if jobs else []), *targets]
        with start(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                   cwd=ROOT) as ninja:
            try:
                for line in ninja.stdout:
                    output.append(line)
                    if match := re.match(r"\[(\d+/\d+)\] (.*)", line):
                        step.show(f"[{match[1]}] {match[2]}")
            except BaseException:
                ninja.terminate()
                raise
        if ninja.returncode != 0:
            raise LabError("building failed:\n" + "".join(output[-60:]))


def release():
    """The build that people run; tools/demo and tools/test share it."""
    return Build("build", options=["--buildtype=release"])
