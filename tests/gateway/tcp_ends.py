#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One end of many TCP connections, run inside a network namespace by test_reset.py.

    tcp_ends.py serve ADDRESS:PORT COUNT DOES     waits for COUNT connections
    tcp_ends.py connect ADDRESS:PORT COUNT DOES   makes them

DOES is what this end does once all connections are there: `idle`, `send` (as much as it can), or
`finish` (sends a FIN). It reads whatever comes, in any case. It prints "ready" at that moment; and
when the last connection has met its end by an error, one line of JSON: how many ended by which
error, and when the last one did, by CLOCK_MONOTONIC.
"""

import collections
import errno
import json
import resource
import select
import socket
import sys
import time

CHUNK = bytes(65536)


def connections(role, address, count):
    """All connections, and the socket that has to stay open for them."""
    if role == "serve":
        server = socket.create_server(address, backlog=4096)
        print("listens", flush=True)
        return [server.accept()[0] for _ in range(count)], server
    return [socket.create_connection(address) for _ in range(count)], None


def go_on(end, events, epoll, sends):
    """Does what a connection is ready for. Raises OSError when it has ended by one."""
    if events & select.EPOLLERR:
        raise OSError(end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "it has ended")
    if events & select.EPOLLIN and not end.recv(1 << 20):
        epoll.modify(end, sends)  # a FIN: no more is read, but an error is told all the same
    if events & select.EPOLLOUT:
        end.send(CHUNK)


def await_ends(ends, does):
    """Returns the errors that ended them."""
    errors = collections.Counter()
    epoll = select.epoll()
    by_descriptor = {end.fileno(): end for end in ends}
    sends = select.EPOLLOUT if does == "send" else 0
    for end in ends:
        end.setblocking(False)
        epoll.register(end, select.EPOLLIN | sends)
        if does == "finish":
            end.shutdown(socket.SHUT_WR)
    print("ready", flush=True)
    while by_descriptor:
        for descriptor, events in epoll.poll():
            try:
                go_on(by_descriptor[descriptor], events, epoll, sends)
            except OSError as error:
                errors[errno.errorcode[error.errno]] += 1
                epoll.unregister(descriptor)
                del by_descriptor[descriptor]
    return errors


def main(role, place, count, does):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    address, port = place.split(":")
    ends, _server = connections(role, (address, int(port)), int(count))
    errors = await_ends(ends, does)
    print(json.dumps({"errors": errors, "last": time.monotonic()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
