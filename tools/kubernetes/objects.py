# SPDX-License-Identifier: Apache-2.0
"""What the controller reads of Services, EndpointSlices and Nodes, made of the API's JSON.

The API leaves out fields, or has null in their place: both are the same here. Two objects are equal
when nothing has changed that the gateway could learn of: a Node's heartbeat changes nothing.
"""

import ipaddress
from dataclasses import dataclass

SERVICE_NAME = "kubernetes.io/service-name"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
ADDRESS = "noclash.io/address"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service. A Service with one port may leave its name empty."""

    name: str
    protocol: str
    port: int
    node_port: int | None

    @property
    def title(self):
        return self.name or str(self.port)


@dataclass(frozen=True, slots=True)
class Service:
    """A Service of any type; `load_balancer_class` is None unless its type is LoadBalancer, and
    from when it is being deleted."""

    namespace: str
    name: str
    uid: str
    created: str  # RFC 3339 in UTC: the order of texts is that of time
    load_balancer_class: str | None
    ports: tuple[ServicePort, ...]
    asks_for: str | None  # an address
    ingress: tuple[str, ...]  # addresses of its status; what has none, a host name, is ""
    client_affinity: bool
    local: bool  # externalTrafficPolicy
    health_port: int | None
    source_ranges: bool

    @property
    def key(self):
        return f"{self.namespace}/{self.name}"

    @property
    def age(self):
        """Older Services come first."""
        return self.created, self.uid


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A Pod, mostly. `serving` without `ready`: it ends, and still answers."""

    address: str
    node: str | None
    ready: bool
    draining: bool


@dataclass(frozen=True, slots=True)
class SlicePort:
    """A port of all endpoints of a slice; `port` None: each port."""

    name: str
    protocol: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Slice:
    """An EndpointSlice: a part of the endpoints of a Service."""

    key: str
    service: str  # the Service's key
    address_type: str
    ports: tuple[SlicePort, ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Node:
    key: str  # its name
    address: str | None
    ready: bool
    excluded: bool


def _ingress(status):
    balancer = (status or {}).get("loadBalancer") or {}
    return tuple(entry.get("ip") or "" for entry in balancer.get("ingress") or ())


def read_service(value):
    meta, spec = value["metadata"], value.get("spec") or {}
    is_ours = spec.get("type") == "LoadBalancer" and not meta.get("deletionTimestamp")
    return Service(
        namespace=meta["namespace"], name=meta["name"], uid=meta.get("uid") or "",
        created=meta.get("creationTimestamp") or "",
        load_balancer_class=spec.get("loadBalancerClass") if is_ours else None,
        ports=tuple(ServicePort(port.get("name") or "", port.get("protocol") or "TCP",
                                port["port"], port.get("nodePort"))
                    for port in spec.get("ports") or ()),
        asks_for=(meta.get("annotations") or {}).get(ADDRESS) or spec.get("loadBalancerIP") or None,
        ingress=_ingress(value.get("status")),
        client_affinity=spec.get("sessionAffinity") == "ClientIP",
        local=spec.get("externalTrafficPolicy") == "Local",
        health_port=spec.get("healthCheckNodePort") or None,
        source_ranges=bool(spec.get("loadBalancerSourceRanges")))


def _endpoint(value):
    conditions = value.get("conditions") or {}
    ready = conditions.get("ready")
    ready = True if ready is None else ready
    serving = conditions.get("serving")
    serving = ready if serving is None else serving
    # The addresses of an endpoint are those of one Pod; the first is the one to use.
    return Endpoint(value["addresses"][0], value.get("nodeName"), ready,
                    draining=bool(not ready and serving and conditions.get("terminating")))


def read_slice(value):
    meta = value["metadata"]
    service = (meta.get("labels") or {}).get(SERVICE_NAME) or ""
    return Slice(
        key=f"{meta['namespace']}/{meta['name']}", service=f"{meta['namespace']}/{service}",
        address_type=value.get("addressType") or "IPv4",
        ports=tuple(SlicePort(port.get("name") or "", port.get("protocol") or "TCP",
                              port.get("port"))
                    for port in value.get("ports") or ()),
        endpoints=tuple(_endpoint(entry) for entry in value.get("endpoints") or ()
                        if entry.get("addresses")))


def _is_ipv4(text):
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def read_node(value):
    meta, status = value["metadata"], value.get("status") or {}
    addresses = [entry.get("address") for entry in status.get("addresses") or ()
                 if entry.get("type") == "InternalIP" and _is_ipv4(entry.get("address"))]
    ready = any(entry.get("type") == "Ready" and entry.get("status") == "True"
                for entry in status.get("conditions") or ())
    return Node(meta["name"], addresses[0] if addresses else None, ready,
                excluded=EXCLUDED in (meta.get("labels") or {}))
