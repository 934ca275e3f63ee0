# SPDX-License-Identifier: Apache-2.0
"""Replaces a running noclash by another release, which goes on with its flows.

    tools/upgrade --config FILE --old-noclashctl PATH --new-noclash PATH [--unit noclash@edge1]

Where records of both releases are laid out alike, the new daemon takes over the state file itself;
else the old noclashctl exports the flows, and the new one imports them. If anything fails, the old
daemon is started again on the state that it had.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import tomllib

from .process import LabError, run, wait_until
from .upgrade_daemons import Bare, Unit

FINE, FAILED, USAGE = 0, 1, 2
ASIDE = ".before-upgrade"


def say(text):
    print(f"upgrade: {text}", flush=True)


def control_socket(config):
    with open(config, "rb") as file:
        return tomllib.load(file).get("control_socket", "/run/noclash/control.sock")


class Client:
    """A noclashctl with the configuration of its daemon."""

    def __init__(self, program, config):
        self.program, self.config = program, config

    def answers(self):
        """Whether the daemon forwards: it answers from when its workers have begun."""
        argv = [self.program, "--timeout", 5, "--socket", control_socket(self.config), "version"]
        return run(argv, check=False).returncode == 0

    def flows(self):
        """How many connections the daemon has; None when it does not say."""
        # With a filter, flows are looked at one by one: those of former daemons count, too.
        argv = [self.program, "--json", "--socket", control_socket(self.config), "flows", "count",
                "--source", "0.0.0.0/0"]
        answer = run(argv, check=False, timeout_s=30)
        return json.loads(answer.stdout)[0]["count"] if answer.returncode == 0 else None

    def state(self):
        """What lies in the state file, as this release sees it."""
        answer = run([self.program, "--json", "state", "show", "--config", self.config],
                     check=False)
        try:
            return json.loads(answer.stdout)[0]
        except (ValueError, IndexError) as error:
            words = answer.stderr.strip() or answer.stdout.strip()
            raise LabError(f"`{self.program} state show` failed: {words}") from error


class Aside:
    """The old state file, out of the way of the new one until that is in use."""

    def __init__(self, path):
        self._names = [(path + end, path + ASIDE + end) for end in ("", ".policy")]
        self.path = path + ASIDE
        for _, aside in self._names:
            if os.path.lexists(aside):
                raise LabError(f"{aside} is left of an upgrade that was cut off; if the flows of "
                               "the running noclash are the ones to be kept, remove it")

    def move(self):
        for name, aside in self._names:
            os.rename(name, aside)

    def move_back(self):
        for name, aside in self._names:
            if os.path.lexists(aside):
                os.rename(aside, name)

    def remove(self):
        for _, aside in self._names:
            os.unlink(aside)


class Upgrade:
    """One upgrade, from what was looked at before anything is stopped."""

    def __init__(self, arguments):
        self._program = os.path.abspath(arguments.new_noclash)
        self._wait_s = arguments.wait
        config = os.path.abspath(arguments.config)
        self._new = Client(arguments.new_noclashctl or beside(self._program), config)
        for program in (arguments.old_noclashctl, self._new.program, self._program):
            if not os.access(program, os.X_OK) or os.path.isdir(program):
                raise LabError(f"{program} is no program")
        checked = run([self._new.program, "config", "check", config], check=False)
        if checked.returncode != 0:
            raise LabError(f"the new release refuses the configuration:\n{checked.stderr.strip()}")
        seen = self._new.state()
        self._daemon = daemon_of(arguments, seen)
        self._old = Client(arguments.old_noclashctl, self._daemon.config)
        self._state = seen["path"]
        self._by_stream = arguments.by_stream or seen["kind"] != "adoptable"
        self._aside = None
        self._made = None  # the state file of the import
        if self._by_stream:
            self._look_at_old_state()

    def _look_at_old_state(self):
        seen = self._old.state()
        if seen["kind"] != "adoptable" or not seen["in_use"]:
            raise LabError(f"{seen['path']}: the old noclashctl finds no flows of a running "
                           f"noclash there, but: {seen['kind']}")
        self._state = seen["path"]
        self._aside = Aside(self._state)

    def run(self):
        before = self._old.flows()
        begun = time.monotonic()
        try:
            self._daemon.stop_old()
            if self._by_stream:
                self._carry_over()
            else:
                say("both releases keep flows alike: nothing is exported or imported")
            self._daemon.start_new(self._program, self._new.config)
            self._wait(self._new)
        except BaseException as error:
            say(f"{str(error) or 'interrupted'}")
            self._go_back(begun)
            raise
        stood = time.monotonic() - begun
        if self._aside:
            self._aside.remove()
        after = self._new.flows()
        of_them = "" if before is None else f" of {before}"
        say(f"traffic stood for {stood:.2f} s; {after}{of_them} flows went over")
        say(f"the new noclash runs ({self._daemon.name()})")

    def _carry_over(self):
        """Old noclashctl | new noclashctl."""
        self._aside.move()
        with subprocess.Popen([self._old.program, "state", "export", "--path", self._aside.path,
                               "-"], stdout=subprocess.PIPE) as exporting:
            imported = subprocess.run([self._new.program, "--json", "state", "import", "--config",
                                       self._new.config, "-"], stdin=exporting.stdout, text=True,
                                      stdout=subprocess.PIPE, check=False)
            exporting.stdout.close()
        if imported.returncode == 0:
            row, = json.loads(imported.stdout)
            self._made = row["path"]
        if exporting.returncode != 0 or imported.returncode != 0:
            raise LabError("the flows could not be carried over")
        say(f"{row['flows']} records exported and imported")

    def _wait(self, client):
        def ready_or_ended():
            if (why := self._daemon.has_ended()) is not None:
                raise LabError(f"it does not start: {why}; its log says more")
            return client.answers()
        wait_until(ready_or_ended, timeout_s=self._wait_s, what="the daemon forwards",
                   interval_s=0.01)

    def _go_back(self, begun):
        """The old daemon, on the state that it had. Nothing may interrupt it."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        say("going back to the old noclash")
        self._daemon.stop_old()  # it may be about to end
        self._daemon.stop_started()
        if self._aside:
            self._remove_import()
            self._aside.move_back()
        self._daemon.start_old()
        self._wait(self._old)
        say(f"the old noclash runs again, with {self._old.flows()} flows; traffic stood for "
            f"{time.monotonic() - begun:.2f} s")

    def _remove_import(self):
        if self._made:
            for end in ("", ".policy"):
                if os.path.lexists(self._made + end):
                    os.unlink(self._made + end)


def beside(program):
    """The noclashctl of a noclash: installed, or in a tree where both were built."""
    directory = os.path.dirname(program)
    installed = os.path.join(directory, "noclashctl")
    built = os.path.join(os.path.dirname(directory), "tools", "noclashctl", "noclashctl")
    return built if os.path.exists(built) and not os.path.exists(installed) else installed


def daemon_of(arguments, seen):
    """Who runs: as the line says, or as the state file says."""
    if arguments.unit:
        return Unit(arguments.unit)
    if arguments.pidfile:
        try:
            with open(arguments.pidfile, encoding="utf-8") as file:
                return Bare(int(file.read()), arguments.pidfile)
        except (OSError, ValueError) as error:
            raise LabError(f"{arguments.pidfile}: {error}") from error
    pid = arguments.pid or seen["pid"]
    if pid is None:
        raise LabError(f"no noclash uses {seen['path']}; start one, or name it by --pid")
    return Bare(pid)


def arguments_of(argv):
    parser = argparse.ArgumentParser(
        prog="tools/upgrade", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status: 0 the new daemon forwards; 1 it does not, and the old one runs, or runs "
        "again; 2 usage.")
    parser.add_argument("--config", metavar="FILE", required=True,
                        help="the configuration of the new daemon")
    parser.add_argument("--old-noclashctl", metavar="PATH", required=True)
    parser.add_argument("--new-noclash", metavar="PATH", required=True)
    parser.add_argument("--new-noclashctl", metavar="PATH", help="default: the one beside noclash")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--unit", help="the unit of systemd that runs, such as noclash@edge1")
    who.add_argument("--pid", type=int, help="default: the one that uses the state file")
    who.add_argument("--pidfile", metavar="FILE", help="has the pid, and gets the new one")
    parser.add_argument("--by-stream", action="store_true",
                        help="export and import even where the state file would do")
    parser.add_argument("--wait", type=float, default=60, metavar="SECONDS",
                        help="so long may a daemon take to start; default: 60")
    return parser.parse_args(argv)


def interrupted(_number, _frame):
    raise KeyboardInterrupt


def main(argv=None):
    arguments = arguments_of(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        upgrade = Upgrade(arguments)
    except (LabError, OSError, ValueError) as error:
        say(f"{error}; nothing was stopped")
        return FAILED
    try:
        upgrade.run()
    except KeyboardInterrupt:
        return FAILED
    except (LabError, OSError, ValueError) as error:
        say(f"failed: {error}")
        return FAILED
    return FINE


if __name__ == "__main__":
    sys.exit(main())
