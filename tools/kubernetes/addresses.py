# SPDX-License-Identifier: Apache-2.0
"""Which Service has which address."""

import collections
import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True)
class AddressRange:
    """Addresses from `first` to `last`, both included."""

    first: ipaddress.IPv4Address
    last: ipaddress.IPv4Address

    @classmethod
    def parse(cls, text):
        """An address, "FIRST-LAST", or a prefix, all of whose addresses count.

        Raises ValueError.
        """
        if "/" in text:
            network = ipaddress.IPv4Network(text)
            return cls(network[0], network[-1])
        first, _, last = text.partition("-")
        bounds = cls(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last or first))
        if bounds.first > bounds.last:
            raise ValueError("the first address is higher than the last")
        return bounds

    def __str__(self):
        return f"{self.first}-{self.last}"


class AddressError(Exception):
    """A Service gets no address, or not the one that it had; the text says why."""

    def __init__(self, reason, text):
        super().__init__(text)
        self.reason = reason  # of an Event


class Addresses:
    """The addresses of the ranges, and their holders. Holders are the keys of Services. One thread.

    An address that was given back is taken again last, when no address is left that never was
    taken: names that clients remember shall not lead them to another Service.
    """

    def __init__(self, ranges):
        self._ranges = ranges
        self._holders = {}  # by address
        self._held = {}  # by holder
        self._fresh = (str(ipaddress.IPv4Address(number)) for bounds in ranges
                       for number in range(int(bounds.first), int(bounds.last) + 1))
        self._given_back = collections.deque()

    def of(self, holder):
        """The holder's address, or None."""
        return self._held.get(holder)

    def covers(self, address):
        """Whether the text is an address of the ranges."""
        try:
            number = ipaddress.IPv4Address(address)
        except ValueError:
            return False
        return any(bounds.first <= number <= bounds.last for bounds in self._ranges)

    def give_back(self, holder):
        """Returns whether an address became free."""
        address = self._held.pop(holder, None)
        if address is None:
            return False
        del self._holders[address]
        self._given_back.append(address)
        return True

    def take(self, holder, address):
        """Takes an address that the holder asks for. Raises AddressError."""
        if self._held.get(holder) == address:
            return
        self.give_back(holder)
        if not self.covers(address):
            ranges = ", ".join(map(str, self._ranges))
            raise AddressError("AddressNotInRanges",
                               f"the address {address} is in none of the ranges of the gateway's "
                               f"controller ({ranges}); ask for one of these, or for none")
        if address in self._holders:
            raise AddressError("AddressInUse",
                               f"the address {address} is that of {self._holders[address]}; ask "
                               "for another, or for none")
        self._set(holder, address)

    def take_any(self, holder):
        """Takes a free address unless the holder has one. Raises AddressError."""
        if holder in self._held:
            return
        for address in self._fresh:
            if address not in self._holders:
                self._set(holder, address)
                return
        while self._given_back:
            address = self._given_back.popleft()
            if address not in self._holders:
                self._set(holder, address)
                return
        raise AddressError("AddressesExhausted",
                           f"all {len(self._holders)} addresses of the gateway's controller are "
                           "taken; give its configuration another range under `addresses`")

    def _set(self, holder, address):
        self._holders[address] = holder
        self._held[holder] = address
