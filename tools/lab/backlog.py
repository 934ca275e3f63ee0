# SPDX-License-Identifier: Apache-2.0
"""The kernel's queue between namespaces, which a storm needs longer than it is by default.

The setting belongs to the whole machine, and runs go side by side: each holds a shared lock on
USERS_FILE for as long as it needs the longer queue, and the kernel drops the lock of one that was
killed. Who finds nobody else there restores the setting.
"""

import contextlib
import fcntl
import os
import re

from .namespaces import existing

BACKLOG_FILE = "/proc/sys/net/core/netdev_max_backlog"
BACKLOG_PACKETS = 20000
STATE_FILE = "/run/noclash-lab.backlog"  # what the backlog was before the first run raised it
USERS_FILE = "/run/noclash-lab.users"

_held = []  # this process's hold on USERS_FILE, once for each laboratory


@contextlib.contextmanager
def _backlog_lock():
    with open(STATE_FILE, "a+", encoding="ascii") as state:
        fcntl.flock(state, fcntl.LOCK_EX)
        state.seek(0)
        yield state


def raise_backlog():
    """Lets the kernel queue a burst of packets between namespaces instead of dropping some.

    What it was is noted, and the last run restores it.
    """
    with _backlog_lock() as state, open(BACKLOG_FILE, "r+", encoding="ascii") as setting:
        users = open(USERS_FILE, "a", encoding="ascii")
        fcntl.flock(users, fcntl.LOCK_SH)
        _held.append(users)
        value = int(setting.read())
        if value >= BACKLOG_PACKETS:
            return
        if not state.read():
            state.write(str(value))
        setting.seek(0)
        setting.write(str(BACKLOG_PACKETS))


def restore_backlog():
    """Lets go of what raise_backlog() holds; puts the setting back, unless another run needs it."""
    with _backlog_lock() as state:
        if _held:
            _held.pop().close()
        value = state.read()
        if not value or _held or _others_need_it():
            return
        with open(BACKLOG_FILE, "w", encoding="ascii") as setting:
            setting.write(value)
        state.truncate(0)


def _others_need_it():
    """Whether another run goes on, or `demo --keep` has left a topology."""
    with open(USERS_FILE, "a", encoding="ascii") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    own = f"noclash{os.getpid()}"
    matches = (re.match(r"noclash[0-9]*(?=-)", name) for name in existing())
    return any(match and match[0] != own for match in matches)
