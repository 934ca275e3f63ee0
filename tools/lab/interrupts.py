# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and its kin: everything that was made is removed on the way out."""

import contextlib
import signal
import threading


class Interrupted(BaseException):
    """SIGTERM or SIGHUP came; like KeyboardInterrupt, it passes through `except Exception`."""

    def __init__(self, number):
        super().__init__(f"signal {number}")
        self.number = number


_came = []  # the signals that raised Interrupted


def raise_on_signals(*others):
    """Turns SIGTERM, SIGHUP and `others` into an exception, so that `with` blocks clean up."""
    def handler(number, _frame):
        _came.append(number)
        raise Interrupted(number)
    for number in (signal.SIGTERM, signal.SIGHUP, *others):
        signal.signal(number, handler)


def interrupted():
    """Whether such a signal has come, also where something has swallowed the exception."""
    return bool(_came)


@contextlib.contextmanager
def signals_ignored():
    """For cleaning up: a second Ctrl-C must not leave half of it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)
