# SPDX-License-Identifier: Apache-2.0
"""Lists the objects of a kind, then watches them.

A watch that ends goes on where it was; only when the API has forgotten that place (410 Gone) is
everything listed again.
"""

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Callable

from .api_client import GONE, ApiError
from .backoff import Backoff
from .objects import SERVICE_NAME, read_node, read_service, read_slice

log = logging.getLogger(__name__)
WATCH_S = (240, 480)  # bounds of a watch's length
SHORTEST_S = 1  # a watch that ends sooner was broken


@dataclass(frozen=True)
class Kind:
    """A kind of object: where it is, and how one is read."""

    name: str
    path: str
    read: Callable
    selector: str = ""


KINDS = (Kind("services", "/api/v1/services", read_service),
         Kind("slices", "/apis/discovery.k8s.io/v1/endpointslices", read_slice, SERVICE_NAME),
         Kind("nodes", "/api/v1/nodes", read_node))


class Watch(threading.Thread):
    """Puts what is new into a queue: a method's name of Cluster, and its arguments."""

    def __init__(self, client, kind, news):
        super().__init__(name=f"watch {kind.name}", daemon=True)
        self._client, self._kind, self._news = client, kind, news
        self._backoff = Backoff()
        self._version = None  # the resourceVersion of what was last seen; None: list

    def run(self):
        while True:
            begun = time.monotonic()
            try:
                if self._version is None:
                    self.list()
                self._watch()
                if time.monotonic() - begun > SHORTEST_S:
                    self._backoff.succeeded()
                    continue
            except ApiError as error:
                if error.status == GONE:
                    log.info("%s: the API has forgotten what was last seen: listing again",
                             self._kind.name)
                    self._version = None
                else:
                    log.warning("%s: %s; trying again", self._kind.name, error)
            time.sleep(self._backoff.failed())

    def _read(self, value):
        """The object; None, with a line in the log, when it is not what the API's documents say."""
        try:
            return self._kind.read(value)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            log.error("%s: an object is skipped, as it is in a form that is not known (%r): %.200s",
                      self._kind.name, error, value)
            return None

    def list(self):
        values = {}
        for version, items in self._client.pages(self._kind.path, self._kind.selector):
            for item in items:
                if value := self._read(item):
                    values[value.key] = value
        self._news.put(("replace", self._kind.name, values))
        self._version = version

    def _watch(self):
        for event in self._client.watch(self._kind.path, self._version,
                                        random.randint(*WATCH_S), self._kind.selector):
            self._take(event)
            self._backoff.succeeded()

    def _take(self, event):
        try:
            what, item = event["type"], event["object"]
            if what == "ERROR":
                raise ApiError(f"the watch ended: {item.get('message')}", item.get("code"))
            version = item["metadata"]["resourceVersion"]
        except (KeyError, TypeError, AttributeError) as error:
            raise ApiError(f"an event of the watch has a form that is not known: "
                           f"{event!s:.200}") from error
        value = None if what == "BOOKMARK" else self._read(item)
        if value and what == "DELETED":
            self._news.put(("remove", self._kind.name, value.key))
        elif value:
            self._news.put(("put", self._kind.name, value))
        self._version = version
