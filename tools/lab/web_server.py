# SPDX-License-Identifier: Apache-2.0
"""A web server for a namespace without a resolver: web_server.py ADDRESS PORT DIRECTORY

Python's own asks for the name of its address before it listens, and waits ten seconds for nobody.
"""

import functools
import http.server
import socketserver
import sys


class Server(http.server.ThreadingHTTPServer):
    """Listens at once."""

    request_queue_size = 128

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address


def main(address, port, directory):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
    with Server((address, int(port)), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
