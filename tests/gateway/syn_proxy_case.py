# SPDX-License-Identifier: Apache-2.0
"""The common part of the tests of the SYN proxy: services that answer in their backends' place."""

import contextlib
import re

from lab.process import PATIENCE
from service_case import BACKENDS, PORT, VIP, ServiceCase, at, service
from transfers import MIB, FileServer, content, digest, download, upload

OFFER = {"mss": 1460, "window_scale": 7, "sack": True, "timestamps": True}
SYNS = "tcp flags & (syn|ack) == syn"
SYN_ACKS = "tcp flags & (syn|ack) == (syn|ack)"
BARE_ACKS = "tcp flags & (syn|fin|rst|psh|ack) == ack meta length < 70"  # without data
KEPT, MASQUERADED, FIRST_WORD = PORT, 81, 82  # ports of the services


def proxied(name="web", **keys):
    """A service that the gateway always guards, and that offers more than backends may have."""
    return service(name, **{"syn_proxy": "on", "syn_offer": OFFER, **keys})


class ProxiedCase(ServiceCase):
    """Two workers, and services with one backend each, which is the pod."""

    timeout_s = 120
    services = (proxied(backends=[at(BACKENDS[0])]),
                proxied("masqueraded", ports=MASQUERADED, source="masquerade",
                        backends=[at(BACKENDS[0])]),
                proxied("first-word", ports=FIRST_WORD, backends=[at(BACKENDS[0], FIRST_WORD)]))

    def serve_files(self, port=PORT, backend=BACKENDS[0], **options):
        """A server of files at a backend."""
        return FileServer(self.listen(backend, port), **options)

    def connect(self, port=PORT, source=None):
        """A client's end of a connection to a service."""
        return self.socket(source=source, connect=(VIP, port))

    def assert_transfers(self, client, length=MIB):
        """There and back, over one connection."""
        right = digest(content(length))
        self.assertEqual(download(client, length), right, "what the client got")
        self.assertEqual(upload(client, length), right, "what the server got")

    def count(self, name):
        """A counter of the workers."""
        return sum(worker["datapath"][name] for worker in self.gateway.json("stats"))

    def kernel_count(self, namespace, name):
        """A counter of a host's TCP, as `nstat` names them without their group."""
        lines = namespace.run("cat", "/proc/net/netstat").stdout.splitlines()
        for names, values in zip(lines[::2], lines[1::2]):
            if name in names.split():
                return int(values.split()[names.split().index(name)])
        return self.fail(f"this kernel has no counter {name}")

    def wait_for_count(self, name, value, timeout_s=30):
        """Until a counter is at least so high."""
        self.wait_until(lambda: self.count(name) >= value, f"{name} is {value}", timeout_s)

    def assert_own_segments_add_up(self):
        """Each cookie, and the two handshakes' other segments, when all connections have been
        answered by their backends: SYN and ACK to the one side, the ACK that opens the window to
        the other."""
        counted = {name: self.count(name) for name in (
            "own_segments_sent", "syn_cookies_sent", "syn_cookies_accepted", "syn_proxy_retries",
            "syn_proxy_challenges")}
        self.assertEqual(counted["own_segments_sent"],
                         counted["syn_cookies_sent"] + 3 * counted["syn_cookies_accepted"] +
                         counted["syn_proxy_retries"] + counted["syn_proxy_challenges"], counted)

    @contextlib.contextmanager
    def losing(self, namespace, hook, what):
        """Meanwhile a host loses `what`, in nft's words, going out or coming in. The value tells how
        many so far."""
        namespace.nft(f"""
            table ip losses {{
                chain here {{
                    type filter hook {hook} priority 0;
                    {what} counter drop
                }}
            }}""")

        def lost():
            rules = namespace.run("nft", "list", "table", "ip", "losses").stdout
            return int(re.search(r"packets (\d+)", rules)[1])
        try:
            yield lost
        finally:
            namespace.nft("delete table ip losses")

    @staticmethod
    def patient(end, seconds):
        """The same socket, with a longer limit of time."""
        end.settimeout(seconds * PATIENCE)
        return end
