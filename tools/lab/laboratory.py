# SPDX-License-Identifier: Apache-2.0
"""The namespaces, files and processes of one run, and their removal.

Every namespace is named `<prefix>-<role>`; the prefix of a run is `noclash<pid>`, so that a later
run finds what a killed one has left (`clean_up_after_the_dead`). Nothing is ever removed that was
not made here.
"""

import os
import re
import shutil
import tempfile

from .backlog import raise_backlog, restore_backlog
from .interrupts import signals_ignored
from .namespaces import Namespace, existing, remove_namespace
from .process import Process, run

KEPT_PREFIX = "noclash"  # of the topology that `demo --keep` leaves
SHARED_MEMORY = "/dev/shm"  # a tmpfs, which /tmp and /run need not be


class Lab:
    """Everything that one run makes; leaving the `with` block removes it all."""

    def __init__(self, prefix=None):
        self.prefix = prefix or f"noclash{os.getpid()}"
        self.directory = tempfile.mkdtemp(prefix=self.prefix + "-")
        self._namespaces = {}
        self._processes = []
        self._files = 0
        self._keep = False
        raise_backlog()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self._keep:
            self.close()

    def keep(self):
        """Leaves everything running when the `with` block ends; remove_kept() removes it."""
        self._keep = True

    def namespace(self, role):
        namespace = Namespace(f"{self.prefix}-{role}", self)
        self._namespaces[role] = namespace
        return namespace

    def link(self, end, other_end):
        """A veth pair between two ends, each (namespace, interface name).

        Without offloads: a raw socket must see whole packets with whole checksums.
        """
        (one, one_name), (two, two_name) = end, other_end
        run(["ip", "link", "add", one_name, "netns", one.name, "type", "veth",
             "peer", "name", two_name, "netns", two.name])
        for namespace, name in (end, other_end):
            namespace.shell(
                f"ethtool -K {name} tx off rx off sg off tso off gso off gro off",
                f"ip link set {name} up")

    def path(self, name):
        """The path of a file that goes with the laboratory; the same each time."""
        return os.path.join(self.directory, name)

    def memory_path(self, name):
        """The same in memory, where flows can be kept."""
        directory = os.path.join(SHARED_MEMORY, os.path.basename(self.directory))
        os.makedirs(directory, mode=0o700, exist_ok=True)
        return os.path.join(directory, name)

    def fresh_path(self, name):
        """The path of a file that nothing has written to yet."""
        self._files += 1
        return self.path(f"{self._files:03}-{name}")

    def start(self, argv, *, name, **options):
        process = Process(argv, self.fresh_path(f"{name}.log"), name=name, **options)
        self._processes.append(process)
        return process

    def reset(self):
        """Ends all processes and removes all namespaces, but stays usable."""
        with signals_ignored():
            for process in reversed(self._processes):
                process.stop()
            for namespace in self._namespaces.values():
                remove_namespace(namespace.name)
            self._processes.clear()
            self._namespaces.clear()

    def close(self):
        with signals_ignored():
            self.reset()
            shutil.rmtree(self.directory, ignore_errors=True)
            shutil.rmtree(os.path.dirname(self.memory_path("")), ignore_errors=True)
            restore_backlog()


def remove_kept():
    """Removes what `demo --keep` has left; returns whether there was anything."""
    return _remove_all(KEPT_PREFIX)


def clean_up_after_the_dead():
    """Removes namespaces and directories of runs that were killed; returns the prefixes."""
    entries = os.listdir(tempfile.gettempdir()) + os.listdir(SHARED_MEMORY)
    prefixes = {match[0] for name in existing() + entries
                if (match := re.match(r"noclash[0-9]+(?=-)", name))}
    dead = sorted(prefix for prefix in prefixes if not _is_ours_and_alive(prefix))
    for prefix in dead:
        _remove_all(prefix)
    restore_backlog()
    return dead


def _remove_all(prefix):
    names = [name for name in existing() if re.fullmatch(prefix + r"-[a-z0-9]+", name)]
    for name in names:
        remove_namespace(name)
    for directory in (tempfile.gettempdir(), SHARED_MEMORY):
        for entry in os.listdir(directory):
            if re.fullmatch(prefix + r"-[a-z0-9_]{8}", entry):
                shutil.rmtree(os.path.join(directory, entry), ignore_errors=True)
    return bool(names)


def _is_ours_and_alive(prefix):
    """Whether the run with this prefix is still there: its pid may long be someone else's."""
    try:
        with open(f"/proc/{int(prefix.removeprefix('noclash'))}/cmdline", "rb") as handle:
            return b"python" in handle.read()
    except OSError:
        return False
