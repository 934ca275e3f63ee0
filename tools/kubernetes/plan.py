# SPDX-License-Identifier: Apache-2.0
"""What the gateway shall have for each Service of Kubernetes."""

from .addresses import AddressError, Addresses
from .gateway_service import MOST_BACKENDS, GatewayService
from .names import gateway_name
from .targets import node_backends, pod_backends, serving_nodes

PROTOCOLS = ("TCP", "UDP", "SCTP")


class Plan:
    """Addresses and gateway services of all Services. One thread."""

    def __init__(self, settings, cluster, is_healthy):
        """@param is_healthy  whether the health check of an address and a port is fine"""
        self._settings = settings
        self._cluster = cluster
        self._is_healthy = is_healthy
        self._waiting = set()  # Services that lack an address
        self._names = {}  # the Services' keys, by the gateway services' names
        self.addresses = Addresses(settings.ranges)
        self.wanted = {}  # GatewayServices by name, by the Service's key
        self.problems = {}  # sets of an Event's reason and a text, by the Service's key
        self.probes = {}  # addresses and ports of health checks, by the Service's key

    def owner(self, name):
        """The key of the Service that a gateway service is for, or None."""
        return self._names.get(name)

    def renew(self, keys):
        """Plans Services anew, and those that wait for what others give back.

        @return the keys of all Services whose plan is new
        """
        renewed = set(keys)
        freed = [self._forget(key) for key in keys if key not in self._cluster.services]
        # A Service that changes its address gives one back, which another may ask for.
        queue = keys | (self._waiting if any(freed) else set())
        while queue:
            services = [service for key in queue
                        if (service := self._cluster.services.get(key))]
            renewed.update(queue)
            freed = [self._renew(service) for service in sorted(services, key=self._turn)]
            queue = set(self._waiting) if any(freed) else set()
        return renewed

    def _turn(self, service):
        """Whose address is in its status comes first, so that a restart changes none; then age."""
        return self._status_address(service) is None, service.age

    def _status_address(self, service):
        """The address that the status says and the ranges cover, or None."""
        return next(filter(self.addresses.covers, service.ingress), None)

    def _forget(self, key):
        """A Service that is gone. Returns whether an address became free."""
        self._waiting.discard(key)
        self._set_wanted(key, {})
        for of_services in (self.wanted, self.problems, self.probes):
            of_services.pop(key, None)
        return self.addresses.give_back(key)

    def _renew(self, service):
        """Returns whether an address became free."""
        before = self.addresses.of(service.key)
        problems = self.problems[service.key] = set()
        self._waiting.discard(service.key)
        try:
            self._take_address(service)
        except AddressError as error:
            problems.add((error.reason, str(error)))
            self._waiting.add(service.key)
        address = self.addresses.of(service.key)
        self.probes[service.key] = set()
        self._set_wanted(service.key,
                         self._gateway_services(service, address, problems) if address else {})
        return before is not None and address != before

    def _take_address(self, service):
        if service.asks_for:
            self.addresses.take(service.key, service.asks_for)
            return
        if self.addresses.of(service.key) is None and (said := self._status_address(service)):
            try:
                self.addresses.take(service.key, said)
                return
            except AddressError:
                pass  # an older Service says the same: another address, then
        self.addresses.take_any(service.key)

    def _gateway_services(self, service, address, problems):
        slices = self._cluster.slices_of(service.key)
        if service.source_ranges:
            problems.add(("SourceRangesNotSupported", "loadBalancerSourceRanges is not supported: "
                          "the gateway lets all sources in"))
        weights = None
        if self._settings.targets == "nodes":
            weights = serving_nodes(service, slices, self._cluster.nodes, problems)
            if service.local and service.health_port:
                self.probes[service.key] = {(node.address, service.health_port)
                                            for node in weights}
        wanted = {}
        for port in service.ports:
            if port.protocol not in PROTOCOLS:
                problems.add(("ProtocolNotSupported", f"port {port.title} has the protocol "
                              f"{port.protocol}; the gateway serves {', '.join(PROTOCOLS)}"))
                continue
            name = gateway_name(self._settings.prefix, service.namespace, service.name, port.title)
            if weights is None:
                backends = pod_backends(service, port, slices, problems)
            else:
                backends = node_backends(service, port, weights, self._is_healthy, problems)
            if len(backends) > MOST_BACKENDS:
                problems.add(("TooManyBackends", f"port {port.title} has {len(backends)} backends, "
                              f"of which the gateway takes {MOST_BACKENDS}; the others get "
                              "nothing"))
                # Those that drain go first; the order of the others stays the same.
                chosen = sorted(backends, key=lambda backend: (-backends[backend], backend))
                backends = {backend: backends[backend] for backend in chosen[:MOST_BACKENDS]}
            wanted[name] = self._gateway_service(service, port, address, backends)
        return wanted

    def _gateway_service(self, service, port, address, backends):
        settings = self._settings
        return GatewayService(
            {"address": address, "protocol": port.protocol.lower(), "ports": [str(port.port)],
             "in": settings.ingress_port, "source": settings.source,
             "affinity": "client" if service.client_affinity else "none",
             "no_backend": settings.no_backend, "on_gone": settings.on_gone,
             "drain_s": settings.drain_s, "inhibit": settings.inhibit,
             "syn_proxy": settings.syn_proxy if port.protocol == "TCP" else "off"}, backends)

    def _set_wanted(self, key, wanted):
        for name in self.wanted.get(key, {}).keys() - wanted.keys():
            del self._names[name]
        self._names.update(dict.fromkeys(wanted, key))
        self.wanted[key] = wanted
