# SPDX-License-Identifier: Apache-2.0
"""Clients of a web service: wrk, which asks as fast as it is answered, and downloads that last."""

import hashlib
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

from .process import PATIENCE, LabError

SOCKET_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
STATUS_ERRORS = re.compile(r"Non-2xx or 3xx responses: (\d+)")
REQUESTS = re.compile(r"(\d+) requests in ")
FIRST_DOWNLOAD_PORT = 10000  # outside what Linux gives out: servers tell downloads by it
MOST_DOWNLOADS = 100
BLOCK_BYTES = 1 << 16


@dataclass
class Asked:
    """What wrk reports: requests that were answered, and those that failed, by how."""

    requests: int
    connect: int
    read: int
    write: int
    timeout: int
    status: int  # an answer, but an error

    @property
    def failed(self):
        return self.connect + self.read + self.write + self.timeout + self.status


def read_wrk(report):
    """@throws LabError when it is none"""
    requests = REQUESTS.search(report)
    if not requests:
        raise LabError(f"wrk said nothing of requests:\n{report[-1000:]}")
    # wrk does not mention what it has none of.
    sockets, status = SOCKET_ERRORS.search(report), STATUS_ERRORS.search(report)
    errors = map(int, sockets.groups()) if sockets else (0, 0, 0, 0)
    return Asked(int(requests[1]), *errors, int(status[1]) if status else 0)


class Wrk:
    """Runs until finish()."""

    CONNECTIONS = 8

    def __init__(self, namespace, url):
        # It sees the end of what is measured by a signal, and answers by its report. An answer that
        # takes half a minute has failed.
        self._process = namespace.start(
            "wrk", "--threads", 1, "--connections", self.CONNECTIONS, "--timeout", "30s",
            "--duration", "24h", url, name="wrk")

    @property
    def argv(self):
        return self._process.argv

    def finish(self):
        self._process.send_signal(signal.SIGINT)
        status = self._process.wait(60)
        if status != 0:
            raise LabError(f"wrk failed ({status}): {self._process.log_tail()}")
        return read_wrk(self._process.log())


class Download:
    """curl, read no faster than `rate_bytes_per_s`, so that TCP holds the server back. What is left
    at last, more than the buffers between both ends have room for, is read after hurry() only: so
    the download outlasts whatever comes before."""

    LAST_BYTES = 16 << 20

    def __init__(self, namespace, url, number, size_bytes, rate_bytes_per_s):
        self.argv = namespace.command(
            "curl", "--silent", "--show-error", "--fail", "--no-buffer",
            "--local-port", FIRST_DOWNLOAD_PORT + number, url)
        # pylint: disable-next=consider-using-with  # it ends in finish(), or with its namespace
        self._curl = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, start_new_session=True)
        self._size_bytes, self._rate = size_bytes, rate_bytes_per_s
        self._hash, self._got_bytes = hashlib.sha256(), 0
        self._hurry = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def got_bytes(self):
        return self._got_bytes

    def _read(self):
        while block := self._curl.stdout.read1(BLOCK_BYTES):
            self._hash.update(block)
            self._got_bytes += len(block)
            is_last = self._size_bytes - self._got_bytes < self.LAST_BYTES
            self._hurry.wait(None if is_last else len(block) / self._rate)

    def hurry(self):
        """From now on it is read as fast as it comes."""
        self._hurry.set()

    def finish(self, checksum):
        """How it failed; empty: it is whole."""
        self.hurry()
        end = time.monotonic() + PATIENCE * 120
        self._reader.join(max(0, end - time.monotonic()))
        if self._reader.is_alive():
            self._curl.kill()
            return f"hangs after {self._got_bytes:,} bytes"
        words = self._curl.stderr.read().decode(errors="replace").strip()
        self._curl.stdout.close()
        self._curl.stderr.close()
        if self._curl.wait() != 0:
            return words or f"curl ended with {self._curl.returncode}"
        return "" if self._hash.hexdigest() == checksum else "other bytes than were served"
