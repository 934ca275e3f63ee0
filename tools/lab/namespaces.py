# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: what runs in them, and their end."""

import contextlib
import ctypes
import os
import signal
import socket
import threading

from .process import LabError, NotAvailable, run, wait_until


def require_root():
    """Raises NotAvailable unless we are root. Needs no program."""
    if os.geteuid() != 0:
        raise NotAvailable("network namespaces need root: run this with sudo")


def require_privilege():
    """Raises NotAvailable unless we may make network namespaces."""
    require_root()
    probe = f"noclash{os.getpid()}-probe"
    try:
        run(["ip", "netns", "add", probe])
    except LabError as error:
        raise NotAvailable(f"this machine does not let us make network namespaces: {error}") \
            from error
    run(["ip", "netns", "delete", probe])


class Namespace:
    """One network namespace. Made by Lab.namespace()."""

    def __init__(self, name, lab):
        self.name = name
        self.lab = lab
        run(["ip", "netns", "add", name])
        # Before any link exists, so that none gets an IPv6 address to be noisy with.
        self.shell(_set("net.ipv6.conf.all.disable_ipv6", 1),
                   _set("net.ipv6.conf.default.disable_ipv6", 1),
                   _set("net.ipv4.conf.all.rp_filter", 0),
                   _set("net.ipv4.conf.default.rp_filter", 0),
                   "ip link set lo up")

    def command(self, *argv):
        """The argument vector that runs `argv` in here (ip replaces itself: the pid stays)."""
        return ["ip", "netns", "exec", self.name, *map(str, argv)]

    def run(self, *argv, **options):
        return run(self.command(*argv), **options)

    def shell(self, *lines):
        """Runs lines of a shell in here, in one process: up to the first that fails."""
        return self.run("sh", "-ec", "\n".join(lines))

    def ip(self, *argv):
        return run(["ip", "-netns", self.name, *argv])

    def ip_batch(self, lines):
        """As ip(), with many commands in one process."""
        return run(["ip", "-netns", self.name, "-batch", "-"], text_in="\n".join(lines) + "\n")

    def sysctl(self, key, value):
        """Sets a kernel setting; keys that this kernel lacks (no IPv6) are left alone."""
        self.shell(_set(key, value))

    def start(self, *argv, name, **options):
        """Starts a process in here; it ends with the laboratory."""
        return self.lab.start(self.command(*argv), name=name, **options)

    def nft(self, ruleset, **options):
        return self.run("nft", "-f", "-", text_in=ruleset, **options)

    def call(self, function):
        """What `function` returns, called in here: sockets that it makes stay in here."""
        outcome = {}

        def call_in_there():
            try:
                with open(f"/run/netns/{self.name}", "rb") as handle:
                    if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), 0x40000000) != 0:
                        raise LabError(f"cannot enter {self.name}")  # CLONE_NEWNET refused
                outcome["value"] = function()
            except Exception as error:  # pylint: disable=broad-except  # raised below
                outcome["error"] = error

        # setns() moves one thread only: this one ends at once.
        thread = threading.Thread(target=call_in_there)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    def packet_socket(self, interface, protocol=3):
        """A raw socket on an interface in here; `protocol` 3: every frame that arrives."""
        def open_in_there():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
            raw.bind((interface, protocol))
            return raw
        return self.call(open_in_there)


def _set(key, value):
    """The line of a shell that sets a kernel setting."""
    path = "/proc/sys/" + key.replace(".", "/")
    return f"[ ! -e {path} ] || echo {value} > {path}"


def _processes_in(name):
    """The pids of what runs in a namespace."""
    try:
        namespace = os.stat(f"/run/netns/{name}")
    except FileNotFoundError:
        return []
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended
            its = os.stat(f"/proc/{pid}/ns/net")
            if (its.st_dev, its.st_ino) == (namespace.st_dev, namespace.st_ino):
                found.append(int(pid))
    return found


def remove_namespace(name):
    """Ends what runs in a namespace of ours and removes it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        pids = _processes_in(name)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if not pids:
            break
        with contextlib.suppress(LabError):
            wait_until(lambda: not _processes_in(name), timeout_s=3,
                       what=f"processes in {name} end")
    run(["ip", "netns", "delete", name], check=False)


def existing():
    """Names of all network namespaces of this machine."""
    listed = run(["ip", "netns", "list"], check=False).stdout
    return [line.split()[0] for line in listed.splitlines() if line.strip()]
