# SPDX-License-Identifier: Apache-2.0
"""How long to wait before something is tried again."""

import random


class Backoff:
    """Twice as long after each failure, between half of it and all of it by chance, so that many
    controllers do not come back at once."""

    def __init__(self, first_s=1.0, most_s=30.0):
        self._first_s, self._most_s = first_s, most_s
        self._next_s = first_s

    def failed(self):
        """How long to wait now, in seconds."""
        wait_s = self._next_s * random.uniform(0.5, 1)
        self._next_s = min(2 * self._next_s, self._most_s)
        return wait_s

    def succeeded(self):
        self._next_s = self._first_s
