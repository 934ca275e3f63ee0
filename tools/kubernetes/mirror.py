# SPDX-License-Identifier: Apache-2.0
"""What the gateway has of the controller, and what has to be sent to make it what is wanted."""

import collections
import logging

from .gateway import GatewayRefused, batches
from .gateway_service import changes_between

log = logging.getLogger(__name__)


class Mirror:
    """The gateway's services as the controller believes them to be. One thread. Its functions raise
    GatewayAway; nothing is believed after that."""

    def __init__(self, gateway):
        self._gateway = gateway
        self._services = None  # GatewayServices by name; None: not known
        self._names = collections.defaultdict(set)  # of those, by the Service's key
        self._orphans = set()  # names of those that are for no Service
        self.doubtful = False  # whether an answer was not what it had to be

    @property
    def known(self):
        return self._services is not None

    def doubt(self):
        """The gateway may have become another."""
        self._services = None

    def learn(self, owner):
        """Asks the gateway.

        @param owner  the key of the Service that a name is for, or None
        """
        self._services = None
        self.doubtful = False
        services = self._gateway.services()
        self._names.clear()
        self._orphans = {name for name in services if owner(name) is None}
        for name in services.keys() - self._orphans:
            self._names[owner(name)].add(name)
        self._services = services

    def due(self, keys, wanted):
        """What has to be sent, as `batches` takes it: pairs of a Service's key and its changes. All
        that is removed comes first, as it may free an address and a port for others.

        @param wanted  GatewayServices by name, by the Service's key
        """
        # Names have no "/", keys of Services have one: they can stand beside each other.
        removals = [(name, [{"op": "remove", "name": name}]) for name in sorted(self._orphans)]
        others = []
        for key in sorted(keys):
            after = wanted.get(key, {})
            changes = [change for name in sorted(self._names.get(key, set()) | after.keys())
                       for change in changes_between(name, self._services.get(name),
                                                     after.get(name))]
            for groups, is_removal in ((removals, True), (others, False)):
                if group := [change for change in changes
                             if (change["op"] == "remove") == is_removal]:
                    groups.append((key, group))
        return removals + others

    def send(self, groups, wanted):
        """Sends what is due. What the gateway refuses is tried again as long as something else is
        accepted: it may have waited for that.

        @return the words of the gateway about what it refuses, by the key of `due`
        """
        left = [piece for batch in batches(groups) for piece in batch]
        sent, refused = collections.Counter(key for key, _ in left), {}
        try:
            while left:
                refused, pieces = {}, left
                left = [piece for batch in batches(pieces)
                        for piece in self._send_batch(batch, refused)]
                if len(left) == len(pieces):
                    break
        except Exception:
            self._services = None
            raise
        for key in {key for key, _ in groups} - refused.keys():
            self._accepted(key, wanted.get(key, {}))
        # What is refused in part, or because the gateway lacks what it should have, tells that it
        # has something else than is believed.
        self.doubtful |= any(change["op"] != "set" for _, piece in left for change in piece)
        kept_back = collections.Counter(key for key, _ in left)
        self.doubtful |= any(kept_back[key] != sent[key] for key in refused)
        return refused

    def _accepted(self, key, after):
        """The gateway has made all changes of a key."""
        if key in self._orphans:
            self._orphans.remove(key)
            del self._services[key]
            return
        for name in self._names.pop(key, set()):
            self._services.pop(name, None)
        if after:
            self._services.update(after)
            self._names[key] = set(after)

    def _send_batch(self, batch, refused):
        """Sends the changes of a request; what was refused of a Service before keeps the rest of it
        back. All or nothing is the gateway's rule, so what it refuses is sought by halves.

        @return what was not accepted
        """
        left = [piece for piece in batch if piece[0] in refused]
        pieces = [piece for piece in batch if piece[0] not in refused]
        changes = [change for _, piece in pieces for change in piece]
        if not changes:
            return left
        try:
            changed = self._gateway.change(changes)
        except GatewayRefused as error:
            if len(pieces) == 1:
                refused[pieces[0][0]] = str(error)
                return left + pieces
            half = len(pieces) // 2
            left += self._send_batch(pieces[:half], refused)
            return left + self._send_batch(pieces[half:], refused)
        log.info("sent %d changes", len(changes))
        if changed != len(changes):
            log.warning("%d of %d changes changed nothing: somebody else steers these services; "
                        "the gateway will be asked what it has", len(changes) - changed,
                        len(changes))
            self.doubtful = True
        return left
