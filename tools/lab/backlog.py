# SPDX-License-Identifier: Apache-2.0
"""The kernel's queue between namespaces, which a storm needs longer than it is by default."""

import contextlib
import fcntl
import os
import re

from .namespaces import existing

BACKLOG_FILE = "/proc/sys/net/core/netdev_max_backlog"
BACKLOG_PACKETS = 20000
STATE_FILE = "/run/noclash-lab.backlog"  # what the backlog was before the first run raised it


@contextlib.contextmanager
def _backlog_lock():
    with open(STATE_FILE, "a+", encoding="ascii") as state:
        fcntl.flock(state, fcntl.LOCK_EX)
        state.seek(0)
        yield state


def raise_backlog():
    """Lets the kernel queue a burst of packets between namespaces instead of dropping some.

    The setting belongs to the whole machine: what it was is noted, and the last run restores it.
    """
    with _backlog_lock() as state, open(BACKLOG_FILE, "r+", encoding="ascii") as setting:
        value = int(setting.read())
        if value >= BACKLOG_PACKETS:
            return
        if not state.read():
            state.write(str(value))
        setting.seek(0)
        setting.write(str(BACKLOG_PACKETS))


def restore_backlog():
    """Puts the setting back, unless another run still needs it."""
    own = f"noclash{os.getpid()}"
    for name in existing():
        match = re.match(r"noclash[0-9]*(?=-)", name)
        if match and match[0] != own:
            return
    with _backlog_lock() as state:
        value = state.read()
        if not value:
            return
        with open(BACKLOG_FILE, "w", encoding="ascii") as setting:
            setting.write(value)
        state.truncate(0)
