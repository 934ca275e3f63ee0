# SPDX-License-Identifier: Apache-2.0
"""A service of the gateway, and the changes that make one of it into another."""

from dataclasses import dataclass

# Whose packets are the service's: another service may wait for them.
IDENTITY = ("address", "protocol", "ports", "in")
KEYS = ("address", "protocol", "ports", "in", "source", "affinity", "no_backend", "on_gone",
        "drain_s", "syn_proxy", "inhibit")
# Of a service, as dpdk/config/services.hpp bounds it; a change of so many fits a request.
MOST_BACKENDS = 1024


@dataclass(frozen=True)
class GatewayService:
    """`settings` has the values of KEYS as "service list" has them; `backends` weights by backend,
    "ADDRESS:PORT"."""

    settings: dict
    backends: dict

    @classmethod
    def of_row(cls, row):
        """Of a row of "service list". Raises KeyError and TypeError when it is none."""
        return cls({key: row[key] for key in KEYS},
                   {entry["backend"]: entry["weight"] for entry in row["backends"]})


def _set_change(name, service):
    settings = {key: value for key, value in service.settings.items() if value is not None}
    settings["ports"] = [int(port) if port.isdecimal() else port for port in settings["ports"]]
    backends = [backend if weight == 1 else {"address": backend, "weight": weight}
                for backend, weight in sorted(service.backends.items())]
    return {"op": "set", "service": {"name": name, **settings, "backends": backends}}


def changes_between(name, before, after):
    """The changes that make the service `before` into `after`; None: there is no such service.

    Backends are added before others are removed, so that the service is never without any. A
    service that gets another address or port is removed first, which frees those that it had: two
    Services can change places, one change after the other.
    """
    if after is None:
        return [] if before is None else [{"op": "remove", "name": name}]
    if before and any(before.settings[key] != after.settings[key] for key in IDENTITY):
        return [{"op": "remove", "name": name}, _set_change(name, after)]
    if before is None or before.settings != after.settings or \
            len(before.backends | after.backends) > MOST_BACKENDS:
        return [] if before == after else [_set_change(name, after)]
    changes = [{"op": "set_backend", "name": name, "backend": backend, "weight": weight}
               for backend, weight in sorted(after.backends.items())
               if before.backends.get(backend) != weight]
    changes += [{"op": "remove_backend", "name": name, "backend": backend}
                for backend in sorted(before.backends.keys() - after.backends.keys())]
    return changes
