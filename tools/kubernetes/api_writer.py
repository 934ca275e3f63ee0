# SPDX-License-Identifier: Apache-2.0
"""Writes to the Kubernetes API: the status of Services, and Events about them."""

import collections
import logging
import secrets
import threading
import time
from datetime import datetime, timezone

from .api_client import ApiError
from .backoff import Backoff

log = logging.getLogger(__name__)
MOST_EVENTS = 1000  # that wait
LONGEST_MESSAGE = 1024  # the API's bound
COMPONENT = "noclash-kubernetes"
# The API will not take it later, either: the object is gone, is another one, or the value is wrong.
FINAL = (400, 404, 409, 422)


def _status(service, ingress):
    # The uid: a Service of the same name that was made meanwhile stays as it is.
    return {"metadata": {"uid": service.uid},
            "status": {"loadBalancer": {"ingress": [{"ip": address} for address in ingress]}}}


def _event(service, reason, text):
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"apiVersion": "v1", "kind": "Event",
            "metadata": {"name": f"{service.name}.{secrets.token_hex(8)}",
                         "namespace": service.namespace},
            "involvedObject": {"apiVersion": "v1", "kind": "Service", "name": service.name,
                               "namespace": service.namespace, "uid": service.uid},
            "type": "Warning", "reason": reason, "message": text[:LONGEST_MESSAGE], "count": 1,
            "firstTimestamp": now, "lastTimestamp": now, "source": {"component": COMPONENT}}


class ApiWriter(threading.Thread):
    """Writes in the background, so that a slow API keeps nothing from the gateway; tries again
    until the API takes it, or says that it never will."""

    def __init__(self, client):
        super().__init__(name="API writer", daemon=True)
        self._client = client
        self._waiting = threading.Condition()
        self._statuses = {}  # the last one asked for, by the Service's key
        self._events = collections.deque()

    def status(self, service, ingress):
        """Sets the addresses of a Service's status."""
        with self._waiting:
            self._statuses[service.key] = (service, ingress)
            self._waiting.notify()

    def event(self, service, reason, text):
        """Tells those who look at the Service of something that is wrong."""
        with self._waiting:
            if len(self._events) == MOST_EVENTS:
                lost = self._events.popleft()
                log.warning("%d Events wait for the API; the oldest, about %s, is not sent",
                            MOST_EVENTS, lost[0].key)
            self._events.append((service, reason, text))
            self._waiting.notify()

    def run(self):
        backoff = Backoff()
        while True:
            with self._waiting:
                self._waiting.wait_for(lambda: self._statuses or self._events)
                key = next(iter(self._statuses), None)
                item = self._events.popleft() if key is None else self._statuses.pop(key)
            try:
                self._write(key, item)
                backoff.succeeded()
            except ApiError as error:
                if error.status in FINAL:
                    log.warning("%s: not written: %s", item[0].key, error)
                    continue
                log.warning("%s: not written yet: %s; trying again", item[0].key, error)
                self._give_back(key, item)
                time.sleep(backoff.failed())

    def _write(self, key, item):
        service = item[0]
        namespace = f"/api/v1/namespaces/{service.namespace}"
        if key is None:
            self._client.create(f"{namespace}/events", _event(*item))
        else:
            self._client.patch(f"{namespace}/services/{service.name}/status", _status(*item))

    def _give_back(self, key, item):
        with self._waiting:
            if key is None:
                self._events.appendleft(item)
            else:
                self._statuses.setdefault(key, item)
