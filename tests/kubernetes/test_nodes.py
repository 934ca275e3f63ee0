#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Node ports as targets: which nodes get connections, and which drain."""

import http.server
import threading

from controller_case import (NODES, SERVICES, SLICES, ControllerCase, endpoint, ends, node, part,
                             remove_backend, service, set_backend, unittest)

WEB = "k8s.default_web_80"
EXCLUDED = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}


class NodesCase(ControllerCase):
    settings = 'targets = "nodes"'

    def setUp(self):
        super().setUp()
        self.api.delete(SERVICES, "default/fence")  # its backends would be nodes
        for number in (1, 2, 3):
            self.api.put(NODES, node(f"n{number}", f"127.0.0.{number}"))

    def wait_for(self, backends):
        self.wait(lambda: self.gateway.backends(WEB) == backends, f"backends are {backends}")


class Cluster(NodesCase):
    """externalTrafficPolicy: Cluster."""

    def setUp(self):
        super().setUp()
        self.api.put(SERVICES, service())
        self.begin()
        self.wait_for({f"127.0.0.{number}:30080": 1 for number in (1, 2, 3)})
        self.sent()

    def test_what_happens_to_nodes(self):
        self.api.put(NODES, node("n1", "127.0.0.1", ready=False))
        self.wait_for({"127.0.0.1:30080": 0, "127.0.0.2:30080": 1, "127.0.0.3:30080": 1})
        self.api.put(NODES, node("n2", "127.0.0.2", labels=EXCLUDED))
        self.wait_for({"127.0.0.1:30080": 0, "127.0.0.3:30080": 1})
        self.api.put(NODES, node("n4", "127.0.0.4"))
        self.wait_for({"127.0.0.1:30080": 0, "127.0.0.3:30080": 1, "127.0.0.4:30080": 1})
        self.api.delete(NODES, "n3")
        self.wait_for({"127.0.0.1:30080": 0, "127.0.0.4:30080": 1})
        self.assertEqual(self.sent(), [
            set_backend(WEB, "127.0.0.1:30080", 0), remove_backend(WEB, "127.0.0.2:30080"),
            set_backend(WEB, "127.0.0.4:30080"), remove_backend(WEB, "127.0.0.3:30080")])

    def test_a_heartbeat_and_endpoints_change_nothing(self):
        value = node("n1", "127.0.0.1")
        value["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-01T00:05:00Z"
        self.api.put(NODES, value)
        self.api.put(SLICES, part("web-1", [endpoint("10.2.0.2", "n1")]))
        self.api.put(NODES, node("n4", "127.0.0.4"))
        self.wait_for({f"127.0.0.{number}:30080": 1 for number in (1, 2, 3, 4)})
        self.assertEqual(self.sent(), [set_backend(WEB, "127.0.0.4:30080")])

    def test_without_a_node_port(self):
        value = service("bare")
        del value["spec"]["ports"][0]["nodePort"]
        self.api.put(SERVICES, value)
        self.wait(lambda: self.api.said("default/bare") == ["NoNodePort"], "it is said")


class Local(NodesCase):
    """externalTrafficPolicy: Local: nodes with endpoints, as far as their health check says so."""

    def put(self, *endpoints, health_port=None):
        self.api.put(SLICES, part("web-1", list(endpoints)))
        self.api.put(SERVICES, service(externalTrafficPolicy="Local",
                                       healthCheckNodePort=health_port))

    def test_only_nodes_with_endpoints(self):
        self.api.put(NODES, node("n3", "127.0.0.3", labels=EXCLUDED))
        self.put(endpoint("10.2.0.1", "n1"), endpoint("10.2.0.2", "n1"),
                 endpoint("10.2.0.3", "n3"), endpoint("10.2.0.4", "nowhere"), endpoint("10.2.0.5"))
        self.begin()
        self.wait_for({"127.0.0.1:30080": 1})
        self.sent()
        self.put(ends("10.2.0.1", "n1"), endpoint("10.2.0.2", "n1"), endpoint("10.2.0.6", "n2"))
        self.wait_for({"127.0.0.1:30080": 1, "127.0.0.2:30080": 1})
        self.put(ends("10.2.0.1", "n1"), endpoint("10.2.0.2", "n1", ready=False),
                 endpoint("10.2.0.6", "n2"))
        self.wait_for({"127.0.0.1:30080": 0, "127.0.0.2:30080": 1})
        self.put(endpoint("10.2.0.6", "n2"))
        self.wait_for({"127.0.0.2:30080": 1})
        self.assertEqual(self.sent(), [
            set_backend(WEB, "127.0.0.2:30080"), set_backend(WEB, "127.0.0.1:30080", 0),
            remove_backend(WEB, "127.0.0.1:30080")])


class HealthChecks(Local):
    """The nodes' health checks, which tests answer."""

    settings = 'targets = "nodes"\n[health]\ninterval_s = 1\ntimeout_s = 1'

    def setUp(self):
        super().setUp()
        self.answers = {"127.0.0.1": 200, "127.0.0.2": 200}
        self.asked = []
        case = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                case.asked.append(self.path)
                self.send_response(case.answers[self.server.server_address[0]])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        port = 0
        for address in self.answers:
            server = http.server.ThreadingHTTPServer((address, port), Handler)
            port = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            self.addCleanup(server.server_close)
            self.addCleanup(thread.join)
            self.addCleanup(server.shutdown)
        self.port = port

    def serve(self):
        self.put(endpoint("10.2.0.1", "n1"), endpoint("10.2.0.2", "n2"), health_port=self.port)
        self.begin()

    def test_a_node_that_fails_drains_until_it_is_healthy(self):
        self.serve()
        self.wait_for({"127.0.0.1:30080": 1, "127.0.0.2:30080": 1})
        self.answers["127.0.0.2"] = 503
        self.wait_for({"127.0.0.1:30080": 1, "127.0.0.2:30080": 0})
        self.answers["127.0.0.2"] = 200
        self.wait_for({"127.0.0.1:30080": 1, "127.0.0.2:30080": 1})
        self.assertEqual(set(self.asked), {"/healthz"})

    def test_a_restart_takes_no_node_that_fails_for_healthy(self):
        self.answers["127.0.0.2"] = 503
        self.serve()
        self.wait_for({"127.0.0.1:30080": 1, "127.0.0.2:30080": 0})
        self.wait(lambda: self.api.patches, "the address is in the status")
        self.sent()
        self.controller.stop()
        self.begin()
        self.wait(lambda: "compared" in self.controller.log(), "it has compared")
        self.api.put(NODES, node("n3", "127.0.0.3"))
        self.api.put(SLICES, part("web-2", [endpoint("10.2.0.3", "n3")]))
        # Nobody answers there: it is taken for healthy until it was asked.
        self.wait_for({"127.0.0.1:30080": 1, "127.0.0.2:30080": 0, "127.0.0.3:30080": 0})
        self.assertEqual(self.sent(), [set_backend(WEB, "127.0.0.3:30080"),
                                       set_backend(WEB, "127.0.0.3:30080", 0)])


if __name__ == "__main__":
    unittest.main()
