# SPDX-License-Identifier: Apache-2.0
"""The daemon that tools/upgrade replaces: how it is stopped, and how the old and the new program are
started, by themselves or as a unit of systemd."""

import os
import select
import signal
import subprocess

from .process import LabError, run

STOP_S = 30  # a daemon that has not ended by then is killed: its flows are kept all the same


def end(handle):
    """Ends the process of a pidfd, politely at first; returns when it has ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return
        if select.select([handle], [], [], STOP_S)[0]:
            return
    raise LabError("the process does not end")


def words_of(pid, what):
    with open(f"/proc/{pid}/{what}", "rb") as file:
        return [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]


def config_of(words):
    """The place of the configuration file in a command line: (word's number, what stands before
    the file in it)."""
    for number, word in enumerate(words[1:], 1):
        if word in ("--config", "-c") and number + 1 < len(words):
            return number + 1, ""
        if word.startswith("--config="):
            return number, "--config="
    raise LabError(f"`{' '.join(words)}` names no --config")


class Bare:
    """A daemon that somebody has started by hand or from a script. The next one gets its arguments,
    environment, directory and output."""

    def __init__(self, pid, pidfile=None):
        self.pid = pid
        self._pidfile = pidfile
        try:
            self._handle = os.pidfd_open(pid)
            self._words = words_of(pid, "cmdline")
            self._environment = dict(word.partition("=")[::2] for word in words_of(pid, "environ"))
            self._directory = os.readlink(f"/proc/{pid}/cwd")
            # The old program can be started even if its file has been replaced.
            self._program = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
        except (OSError, ValueError) as error:
            raise LabError(f"the process with pid {pid} cannot be looked at: {error}") from error
        self._outputs = [self._output(number) for number in (1, 2)]
        number, before = config_of(self._words)
        self.config = os.path.join(self._directory, self._words[number][len(before):])
        self._child = None

    def _output(self, number):
        try:
            return os.open(f"/proc/{self.pid}/fd/{number}", os.O_WRONLY | os.O_APPEND)
        except OSError:  # a socket
            return subprocess.DEVNULL

    def stop_old(self):
        end(self._handle)

    def start_new(self, program, config):
        number, before = config_of(self._words)
        words = [program, *self._words[1:]]
        words[number] = before + config
        self._start(words, program)

    def start_old(self):
        self._start(self._words, f"/proc/self/fd/{self._program}", keep=(self._program,))

    def _start(self, words, program, keep=()):
        self._child = subprocess.Popen(
            words, executable=program, env=self._environment, cwd=self._directory, pass_fds=keep,
            stdin=subprocess.DEVNULL, stdout=self._outputs[0], stderr=self._outputs[1],
            start_new_session=True)
        if self._pidfile:
            with open(self._pidfile, "w", encoding="utf-8") as file:
                file.write(f"{self._child.pid}\n")

    def has_ended(self):
        """Why the started one is not there any more; None: it is."""
        status = self._child.poll()
        return None if status is None else f"it ended at once, with status {status}"

    def stop_started(self):
        if self._child and self._child.poll() is None:
            handle = os.pidfd_open(self._child.pid)
            end(handle)
            os.close(handle)
            self._child.wait()

    def name(self):
        return f"pid {self._child.pid}"


def quoted(word):
    """As systemd takes a word in ExecStart literally."""
    for special, literal in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(special, literal)
    return f'"{word}"'


class Unit:
    """A unit of systemd. A drop-in, which lasts until the machine is started again, has it run the
    new program."""

    def __init__(self, unit):
        self._unit = unit if unit.endswith(".service") else unit + ".service"
        self._drop_in = f"/run/systemd/system/{self._unit}.d/noclash-upgrade.conf"
        self.pid = int(self._property("MainPID") or 0)
        if self.pid == 0:
            raise LabError(f"{self._unit} does not run")
        words = words_of(self.pid, "cmdline")
        number, before = config_of(words)
        directory = os.readlink(f"/proc/{self.pid}/cwd")
        self.config = os.path.join(directory, words[number][len(before):])
        self._program = os.readlink(f"/proc/{self.pid}/exe")
        self._before = None  # the drop-in of an earlier upgrade, which the unit runs by
        if os.path.exists(self._drop_in):
            with open(self._drop_in, encoding="utf-8") as file:
                self._before = file.read()

    def _property(self, name):
        return run(["systemctl", "show", "--value", "--property", name, self._unit]).stdout.strip()

    def stop_old(self):
        run(["systemctl", "stop", self._unit], timeout_s=120)

    def _drop(self, text):
        """Makes this the drop-in; None: there is none."""
        if text is not None:
            os.makedirs(os.path.dirname(self._drop_in), exist_ok=True)
            with open(self._drop_in, "w", encoding="utf-8") as file:
                file.write(text)
        elif os.path.exists(self._drop_in):
            os.unlink(self._drop_in)
        run(["systemctl", "daemon-reload"], timeout_s=120)

    def start_new(self, program, config):
        if (program, config) != (self._program, self.config):
            command = " ".join(quoted(word) for word in (program, "--config", config))
            self._drop(f"[Service]\nExecStart=\nExecStart={command}\n")
        run(["systemctl", "start", self._unit], timeout_s=600)

    def start_old(self):
        self._drop(self._before)
        run(["systemctl", "reset-failed", self._unit], check=False)
        run(["systemctl", "start", self._unit], timeout_s=600)

    def has_ended(self):
        state = self._property("ActiveState")
        return f"{self._unit} is {state}" if state in ("failed", "inactive") else None

    def stop_started(self):
        run(["systemctl", "stop", self._unit], timeout_s=120)

    def name(self):
        if not os.path.exists(self._drop_in):
            return self._unit
        return (f"{self._unit}, by {self._drop_in}; install the new program where the unit looks "
                "for it and remove that file")
