# SPDX-License-Identifier: Apache-2.0
"""A load balancer, a gateway and a pod.

        lb                     gateway                    pod
    10.1.0.2/16  lb0 ---- gw-lb        gw-pod ---- pod0  10.2.0.2/16
    10.1.1.1-16           10.1.0.1/16  10.2.0.1/16

The gateway forwards NODE_PORT on its address towards `lb` to the pod, TCP and UDP. Whether its
addresses are the kernel's or noclash's own is the gateway's business. A service with several
backends has them all in the pod, one address each, so that one capture sees them.
"""

from .process import wait_until

GATEWAY_LB = "10.1.0.1"
GATEWAY_POD = "10.2.0.1"
LB = "10.1.0.2"
POD = "10.2.0.2"
BACKENDS = ["10.2.0.2", "10.2.0.3"]  # as many as a cluster has resolvers by default
PREFIX_LENGTH = 16
LB_SOURCES = [f"10.1.1.{number}" for number in range(1, 17)]
VIP = "192.0.2.7"  # of services; in no subnet of these: hosts reach it by their default route
NODE_PORT = 30080
POD_PORT = 80
DNS_PORT = 53


class Topology:
    """Makes the three namespaces in a laboratory; the gateway has links, but no addresses yet."""

    def __init__(self, lab):
        self.lab = lab
        self.lb = lab.namespace("lb")
        self.gateway = lab.namespace("gateway")
        self.pod = lab.namespace("pod")
        lab.link((self.lb, "lb0"), (self.gateway, "gw-lb"))
        lab.link((self.pod, "pod0"), (self.gateway, "gw-pod"))
        self.lb.ip_batch([f"address add {LB}/{PREFIX_LENGTH} dev lb0",
                          *(f"address add {source}/32 dev lb0" for source in LB_SOURCES),
                          f"route add default via {GATEWAY_LB}"])
        self.pod.ip_batch([f"address add {POD}/{PREFIX_LENGTH} dev pod0",
                           f"route add default via {GATEWAY_POD}"])

    def add_backends(self):
        """Gives the pod all BACKENDS for addresses."""
        for address in BACKENDS:
            if address != POD:
                self.pod.ip("address", "add", f"{address}/{PREFIX_LENGTH}", "dev", "pod0")

    def wait_for_gateway(self, timeout_s=10):
        """Waits until the gateway answers on both sides, which also fills its neighbour table."""
        for host, address in ((self.lb, GATEWAY_LB), (self.pod, GATEWAY_POD)):
            wait_until(lambda host=host, address=address:
                       host.run("ping", "-n", "-q", "-c1", "-W1", address,
                                check=False).returncode == 0,
                       timeout_s=timeout_s, what=f"the gateway answers a ping to {address}")
