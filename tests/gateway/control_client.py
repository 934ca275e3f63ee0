# SPDX-License-Identifier: Apache-2.0
"""A client of the control socket that sends any bytes, for tests of the running gateway."""

import json
import socket


def connect(gateway):
    """A client of the control socket that does as it is told."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(gateway.control_socket)
    return client


def ask_raw(gateway, request):
    """The lines of the answer to `request`, which is an object, or bytes as they are to be sent."""
    line = request if isinstance(request, bytes) else json.dumps(request).encode()
    with connect(gateway) as client:
        client.sendall(line + b"\n")
        client.shutdown(socket.SHUT_WR)
        return [json.loads(row) for row in client.makefile() if row.strip()]
