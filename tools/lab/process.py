# SPDX-License-Identifier: Apache-2.0
"""Runs commands and keeps an eye on processes."""

import os
import signal
import subprocess
import sys
import time


# Multiplies every limit of time here. They are for what hangs; a busy machine must not hit them.
PATIENCE = float(os.environ.get("NOCLASH_PATIENCE", "1"))
# Runs a Python program of our own, which needs no installed package. Without the packages' own
# start-up files it starts in a fifth of the time; and what `python3` finds may be a shell script of
# a version manager, which takes twenty times as long.
PYTHON = (sys.executable, "-B", "-E", "-S")


class LabError(Exception):
    """Something that the laboratory needs did not work; the text says what, for people."""


class NotAvailable(LabError):
    """This machine cannot do it at all."""


def run(argv, *, timeout_s=60, check=True, text_in=None, cwd=None, env=None):
    """Runs a command to its end.

    Returns subprocess.CompletedProcess with text streams. Raises LabError, with the command's own
    words, when it fails (unless `check` is false), is missing, or takes longer than `timeout_s`.
    """
    argv = [str(word) for word in argv]
    try:
        result = subprocess.run(argv, input=text_in, capture_output=True, text=True, check=False,
                                timeout=PATIENCE * timeout_s, cwd=cwd, env=env,
                                stdin=subprocess.DEVNULL if text_in is None else None)
    except FileNotFoundError as error:
        raise NotAvailable(f"{argv[0]} is not installed; run tools/setup") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(argv)}` did not end within "
                       f"{PATIENCE * timeout_s:g} s") from error
    if check and result.returncode != 0:
        words = (result.stderr or result.stdout).strip()
        raise LabError(f"`{' '.join(argv)}` failed ({result.returncode}): {words}")
    return result


def wait_until(predicate, *, timeout_s, what, interval_s=0.02):
    """Waits until `predicate()` is true and returns its value; LabError names `what` when late."""
    deadline = time.monotonic() + PATIENCE * timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {PATIENCE * timeout_s:g} s")
        time.sleep(interval_s)


class Process:
    """A process in the background, with its output in a log file.

    It has a session of its own, so that Ctrl-C reaches only us and we end it in order.
    """

    def __init__(self, argv, log_path, *, name=None, stdout_path=None, env=None):
        self.argv = [str(word) for word in argv]
        self.name = name or os.path.basename(self.argv[0])
        self.log_path = log_path
        with open(log_path, "wb") as log:
            out = open(stdout_path, "wb") if stdout_path else None
            try:
                self._popen = subprocess.Popen(
                    self.argv, stdin=subprocess.DEVNULL, stdout=out or log, stderr=log,
                    start_new_session=True, env=env)
            except FileNotFoundError as error:
                raise NotAvailable(f"{self.argv[0]} is not installed; run tools/setup") from error
            finally:
                if out:
                    out.close()

    @property
    def pid(self):
        return self._popen.pid

    @property
    def returncode(self):
        """None while it runs; negative: the signal that ended it."""
        return self._popen.poll()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def log_tail(self, lines=15):
        return "\n".join(self.log().splitlines()[-lines:])

    def wait_ready(self, predicate, *, timeout_s=20):
        """Waits for `predicate()`; LabError with the end of the log when the process dies first."""
        def ready_or_dead():
            if predicate():
                return True
            if self.returncode is not None:
                raise LabError(f"{self.name} ended at once ({self.returncode}):\n"
                               f"{self.log_tail()}")
            return False
        try:
            wait_until(ready_or_dead, timeout_s=timeout_s, what=f"{self.name} is ready")
        except LabError as error:
            if self.returncode is None:
                raise LabError(f"{error}; the end of its log:\n{self.log_tail()}") from None
            raise

    def wait(self, timeout_s):
        """Waits for the end and returns the exit status."""
        try:
            return self._popen.wait(PATIENCE * timeout_s)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name} did not end within {PATIENCE * timeout_s:g} s; the end of "
                           f"its log:\n{self.log_tail()}") from error

    def send_signal(self, number):
        if self.returncode is None:
            self._popen.send_signal(number)

    def stop(self, *, number=signal.SIGTERM, timeout_s=5):
        """Ends it: politely, then by force. Returns the exit status; safe to call again."""
        self.send_signal(number)
        try:
            return self._popen.wait(PATIENCE * timeout_s)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait(PATIENCE * timeout_s)
