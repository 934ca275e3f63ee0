# SPDX-License-Identifier: Apache-2.0
"""Servers for the checks of noclash-health. Their sockets are in a namespace, their threads here."""

import http.server
import os
import socket
import ssl
import threading
import time

from lab.process import run


def listen(namespace, address, port, *, backlog=128):
    """A TCP socket in a namespace: the kernel completes connections to it, nobody answers them."""
    def listen_in_there():
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(backlog)
        return listener
    return namespace.call(listen_in_there)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the status of its server."""

    timeout = 5

    def do_GET(self):  # pylint: disable=invalid-name  # the library's name
        """A request."""
        self.server.seen.append((self.path, self.headers["Host"], self.client_address[0]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        """Says nothing."""


class WebServer(http.server.ThreadingHTTPServer):
    """HTTP, or HTTPS with a certificate and its key."""

    daemon_threads = True

    def __init__(self, namespace, address, port, *, certificate=None):
        super().__init__((address, port), Handler, bind_and_activate=False)
        self.status = 200
        self.seen = []  # (path, host, address of the client) of each request
        self.socket.close()
        self.socket = listen(namespace, address, port)
        self._tls = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*certificate)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def finish_request(self, request, client_address):
        """In the connection's thread: a client that speaks no TLS keeps no other one waiting."""
        if self._tls:
            request.settimeout(5)
            request = self._tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)
        if self._tls:
            request.close()

    def handle_error(self, request, client_address):
        """A client that goes away, or does not like the certificate, is a part of the tests."""

    def stop(self):
        """Refuses connections from now on."""
        self.shutdown()
        self._thread.join()
        self.server_close()


class Acceptor:
    """Accepts connections to any address of a namespace, and counts those to each."""

    def __init__(self, namespace, port):
        self._listener = listen(namespace, "0.0.0.0", port, backlog=4096)
        self.moments = {}  # address: [when a connection came, in s]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self.moments.setdefault(client.getsockname()[0], []).append(time.monotonic())

    def stop(self):
        """Refuses connections from now on."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


def make_certificate(directory, name):
    """A certificate for `name` that it signs itself, and its key: two paths."""
    certificate, key = (os.path.join(directory, f"{name}.{kind}") for kind in ("pem", "key"))
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-out", certificate, "-keyout", key])
    return certificate, key
