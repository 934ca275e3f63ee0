# SPDX-License-Identifier: Apache-2.0
"""Asks nodes whether they have endpoints of a Service: its healthCheckNodePort."""

import concurrent.futures
import http.client
import threading
import time

AT_ONCE = 16
FAILURES = 2  # in a row: one alone may be a lost packet


def probe(target, timeout_s):
    """Whether GET /healthz at an address and a port answers 200."""
    connection = http.client.HTTPConnection(*target, timeout=timeout_s)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Health(threading.Thread):
    """Probes targets, each an address and a port, round after round. What was never probed counts
    as healthy; a first failure after that counts at once."""

    def __init__(self, interval_s, timeout_s, news):
        """@param news  a queue that hears of Services whose targets have changed"""
        super().__init__(name="health", daemon=True)
        self._interval_s, self._timeout_s, self._news = interval_s, timeout_s, news
        self._pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE, "probe")
        self._lock = threading.Lock()
        self._targets = {}  # sets, by the Service's key
        self._failures = {}  # in a row, by target; read by any thread

    def is_healthy(self, target):
        return self._failures.get(target, 0) < FAILURES

    def want(self, key, targets):
        """The targets of a Service, from now on."""
        with self._lock:
            if targets:
                self._targets[key] = targets
            else:
                self._targets.pop(key, None)

    def run(self):
        while True:
            time.sleep(self._interval_s)
            if keys := self.round():
                self._news.put(("look_again", keys))

    def round(self):
        """Probes each target once. Returns the keys of Services with targets that have changed."""
        with self._lock:
            wanted = dict(self._targets)
        targets = sorted(set().union(*wanted.values()))
        results = self._pool.map(lambda target: probe(target, self._timeout_s), targets)
        changed = set()
        for target, fine in zip(targets, results):
            before = self.is_healthy(target)
            known = self._failures.get(target)
            self._failures[target] = 0 if fine else FAILURES if known is None else known + 1
            if self.is_healthy(target) != before:
                changed.add(target)
        for target in self._failures.keys() - set(targets):
            del self._failures[target]
        return {key for key, of_service in wanted.items() if changed & of_service}
