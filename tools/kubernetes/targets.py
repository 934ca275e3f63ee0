# SPDX-License-Identifier: Apache-2.0
"""The backends of a Service's port, with their weights: 1, or 0 for those that drain, to which the
gateway opens connections only while no other backend is active.

Each function returns weights by backend ("ADDRESS:PORT"), and adds problems, pairs of an Event's
reason and a text.
"""

import collections

ACTIVE, DRAINS = 1, 0


def _weight(endpoint):
    """None: the endpoint gets nothing."""
    return ACTIVE if endpoint.ready else DRAINS if endpoint.draining else None


def _ipv4(service, slices, problems):
    for part in slices:
        if part.address_type == "IPv4":
            yield part
        else:
            problems.add(("SliceSkipped", f"EndpointSlices with {part.address_type} addresses are "
                          f"skipped, as {part.key}: the gateway forwards IPv4"))


def pod_backends(service, port, slices, problems):
    """Pods. An endpoint may stand in two slices while it moves from one to the other: what is ready
    in one of them is ready."""
    backends = {}
    for part in _ipv4(service, slices, problems):
        numbers = [entry.port for entry in part.ports
                   if entry.name == port.name and entry.protocol == port.protocol]
        for endpoint in part.endpoints if numbers else ():
            weight = _weight(endpoint)
            if weight is None:
                continue
            for number in numbers:
                backend = endpoint.address if number is None else f"{endpoint.address}:{number}"
                backends[backend] = max(weight, backends.get(backend, DRAINS))
    return backends


def serving_nodes(service, slices, nodes, problems):
    """Nodes that may get connections of a Service, with their weights. A node that is not ready
    drains: what runs through it may go on, as its kubelet does not forward."""
    if not service.local:
        return {node: ACTIVE if node.ready else DRAINS for node in nodes.values()
                if node.address and not node.excluded}
    weights = collections.defaultdict(lambda: DRAINS)
    for part in _ipv4(service, slices, problems):
        for endpoint in part.endpoints:
            node, weight = nodes.get(endpoint.node), _weight(endpoint)
            if weight is not None and node and node.address and not node.excluded:
                weights[node] = max(weight, weights[node])
    return weights


def node_backends(service, port, weights, is_healthy, problems):
    """Nodes at the port that Kubernetes has given the Service.

    @param weights     those of `serving_nodes`
    @param is_healthy  whether the health check of an address and a port is fine
    """
    if not port.node_port:
        problems.add(("NoNodePort", f"port {port.title} has no nodePort; with `targets = "
                      "\"nodes\"`, spec.allocateLoadBalancerNodePorts must not be false"))
        return {}
    backends = {}
    for node, weight in weights.items():
        if service.local and service.health_port and \
                not is_healthy((node.address, service.health_port)):
            weight = DRAINS
        backends[f"{node.address}:{port.node_port}"] = weight
    return backends
