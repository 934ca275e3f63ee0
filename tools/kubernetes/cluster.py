# SPDX-License-Identifier: Apache-2.0
"""What is known of the cluster, and which Services what is new concerns."""

import collections


class Cluster:
    """Services of the controller's class, slices and nodes, and the keys of the Services that have
    to be looked at again. One thread."""

    def __init__(self, load_balancer_class, *, nodes):
        self._class = load_balancer_class
        self._missing = {"services", "slices"} | ({"nodes"} if nodes else set())
        self.services = {}  # by key
        self.nodes = {}  # by name
        self.dirty = set()  # keys of Services
        self.strangers = {}  # Services that were of the class, by key, as they are now
        self._slices = {}  # by key
        self._slices_of = collections.defaultdict(dict)  # by the Service's key, then by their own

    @property
    def complete(self):
        """Whether each kind of object has been listed."""
        return not self._missing

    def slices_of(self, service):
        return self._slices_of.get(service, {}).values()

    def replace(self, kind, values):
        """All objects of a kind, by key: objects that are not among them are gone."""
        for key in self._store(kind).keys() - values.keys():
            self.remove(kind, key)
        for value in values.values():
            self.put(kind, value)
        self._missing.discard(kind)

    def put(self, kind, value):
        """An object that is new, or may have changed."""
        if kind == "services" and value.load_balancer_class != self._class:
            if value.key in self.services:
                self.remove(kind, value.key)
                self.strangers[value.key] = value
            return
        store = self._store(kind)
        before = store.get(value.key)
        if before == value:
            return
        if kind == "slices":
            if before and before.service != value.service:
                self.remove(kind, value.key)
            self._slices_of[value.service][value.key] = value
        store[value.key] = value
        self._concerns(kind, value)

    def remove(self, kind, key):
        """An object that is gone, if it was known."""
        before = self._store(kind).pop(key, None)
        if before is None:
            return
        if kind == "slices":
            slices = self._slices_of[before.service]
            del slices[key]
            if not slices:
                del self._slices_of[before.service]
        self._concerns(kind, before)

    def look_again(self, keys):
        """Services whose targets are healthy again, or not any more."""
        self.dirty.update(keys & self.services.keys())

    def _store(self, kind):
        return {"services": self.services, "slices": self._slices, "nodes": self.nodes}[kind]

    def _concerns(self, kind, value):
        if kind == "services":
            self.dirty.add(value.key)
            self.strangers.pop(value.key, None)
        elif kind == "slices":
            if value.service in self.services:
                self.dirty.add(value.service)
        else:
            self.dirty.update(self.services)
