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
        """What has to be sent, as `batches` takes it; what only removes comes first, as it may free
        an address and a port.

        @param wanted  GatewayServices by name, by the Service's key
        """
        groups = []
        for key in sorted(keys):
            after = wanted.get(key, {})
            changes = [change for name in sorted(self._names.get(key, set()) | after.keys())
                       for change in changes_between(name, self._services.get(name),
                                                     after.get(name))]
            if changes:
                groups.append((key, changes))
        # Names have no "/", keys of Services have one: they can stand beside each other.
        removals = [(name, [{"op": "remove", "name": name}]) for name in sorted(self._orphans)]
        return removals + sorted(groups, key=lambda group: any(change["op"] != "remove"
                                                               for change in group[1]))

    def send(self, groups, wanted):
        """Sends what is due. What the gateway refuses is tried again as long as something else is
        accepted: it may have waited for that.

        @return the words of the gateway about what it refuses, by the key of `due`
        """
        while True:
            refused = self._send_once(groups, wanted)
            again = [group for group in groups if group[0] in refused]
            if not again or len(again) == len(groups):
                return refused
            groups = again

    def _send_once(self, groups, wanted):
        refused = {}
        try:
            for batch in batches(groups):
                self._send_batch([piece for piece in batch if piece[0] not in refused], refused)
        except Exception:
            self._services = None
            raise
        for key, _ in groups:
            if key in refused:
                continue
            if key in self._orphans:
                self._orphans.remove(key)
                del self._services[key]
                continue
            after = wanted.get(key, {})
            for name in self._names.pop(key, set()):
                self._services.pop(name, None)
            if after:
                self._services.update(after)
                self._names[key] = set(after)
        return refused

    def _send_batch(self, pieces, refused):
        """All or nothing is the gateway's rule, so what it refuses is sought by halves."""
        if not pieces:
            return
        changes = [change for _, piece in pieces for change in piece]
        try:
            changed = self._gateway.change(changes)
        except GatewayRefused as error:
            if len(pieces) == 1:
                key, piece = pieces[0]
                refused[key] = str(error)
                # The gateway may have something else, or an earlier piece of a large change.
                self.doubtful |= piece[0]["op"] != "set"
                return
            half = len(pieces) // 2
            self._send_batch(pieces[:half], refused)
            self._send_batch([piece for piece in pieces[half:] if piece[0] not in refused],
                             refused)
            return
        log.info("sent %d changes", len(changes))
        if changed != len(changes):
            log.warning("%d of %d changes changed nothing: somebody else steers these services; "
                        "the gateway will be asked what it has", len(changes) - changed,
                        len(changes))
            self.doubtful = True
