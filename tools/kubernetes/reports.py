# SPDX-License-Identifier: Apache-2.0
"""Says what is wrong with a Service: once, in the log and as an Event."""

import logging

log = logging.getLogger(__name__)


class Reports:
    """Remembers what was said; what is gone and comes back is said again. One thread."""

    def __init__(self, writer):
        """@param writer  an ApiWriter; None: the log alone"""
        self._writer = writer
        self._said = {}  # problems, by the Service's key and who has found them

    def tell(self, service, finder, problems):
        """@param problems  all that `finder` finds wrong now: pairs of an Event's reason and a
                            text"""
        said = self._said.get((service.key, finder), set())
        for reason, text in sorted(problems - said):
            log.warning("%s: %s: %s", service.key, reason, text)
            if self._writer:
                self._writer.event(service, reason, text)
        if problems:
            self._said[service.key, finder] = problems
        else:
            self._said.pop((service.key, finder), None)

    def forget(self, key, *finders):
        """A Service that is gone."""
        for finder in finders:
            self._said.pop((key, finder), None)
