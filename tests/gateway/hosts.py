#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host that says whom it talks to: run inside a network namespace by the tests.

    hosts.py serve [ADDRESS:]PORT...                     answers on UDP and TCP
    hosts.py ask tcp|udp ADDRESS:PORT [SOURCE[:PORT]]    prints the answer
    hosts.py echo ADDRESS:PORT COUNT                     COUNT datagrams from one socket; prints
                                                         how many came back
    hosts.py open ADDRESS:PORT COUNT [tcp|udp]           COUNT connections, all open at the end;
                                                         prints how many were answered
    hosts.py pairs ADDRESS:PORT COUNT                    COUNT times two questions at once from a
                                                         fresh UDP socket; prints how many pairs
                                                         were answered, and by one server each
    hosts.py connect ADDRESS:PORT COUNT                  COUNT TCP connections, one after the other,
                                                         which the server closes first; prints how
                                                         many were answered

The answer is one line: the address and port that the server saw, and the one it was asked on.
"""

import selectors
import socket
import sys

PATIENCE_S = 2


def split(text):
    address, _, port = text.partition(":")
    return address, int(port or 0)


def answer(peer, own):
    return f"{peer[0]}:{peer[1]} {own[0]}:{own[1]}\n".encode()


def serve(places):
    """Never returns. TCP and UDP on each port, UDP payloads that are no question are echoed."""
    selector = selectors.DefaultSelector()
    for place in places:
        address, port = split(place) if ":" in place else ("0.0.0.0", int(place))
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            server = socket.socket(socket.AF_INET, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            server.bind((address, port))
            if kind == socket.SOCK_STREAM:
                server.listen(128)
            selector.register(server, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            server = key.fileobj
            if server.type == socket.SOCK_STREAM:
                client, peer = server.accept()
                with client:
                    client.sendall(answer(peer, client.getsockname()))
            else:
                payload, peer = server.recvfrom(2048)
                own = server.getsockname()
                server.sendto(answer(peer, own) if payload == b"?" else payload, peer)


def ask(protocol, destination, source):
    """Returns the server's answer; raises OSError when there is none."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(PATIENCE_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if source:
            client.bind(split(source))
        client.connect(split(destination))
        if protocol == "udp":
            client.send(b"?")
        return client.recv(200).decode().strip()


def echo(destination, count):
    """Returns how many of `count` datagrams, each sent after the last came back, came back."""
    returned = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE_S)
        client.connect(split(destination))
        for number in range(count):
            payload = f"datagram {number}".encode() * 10
            client.send(payload)
            try:
                returned += client.recv(2048) == payload
            except OSError:
                break
    return returned


def open_many(destination, count, protocol):
    """Returns how many of `count` connections, which stay open, were answered."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    clients = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    answered, patience = 0, PATIENCE_S
    for client in clients:
        client.settimeout(patience)
        try:
            client.connect(split(destination))
            if protocol == "udp":
                client.send(b"?")
            answered += len(client.recv(200)) > 0
        except OSError:
            patience = 0.1  # the others are not in for more
    for client in clients:
        client.close()
    return answered


def pairs(destination, count):
    """Returns how many of `count` pairs of questions, sent back to back from one socket, were both
    answered, and how many of those by one server."""
    answered = agreed = 0
    for _ in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE_S)
            client.connect(split(destination))
            client.send(b"?")
            client.send(b"?")
            try:
                answers = {client.recv(200), client.recv(200)}
            except OSError:
                continue
            answered += 1
            agreed += len(answers) == 1
    return answered, agreed


def connect(destination, count):
    """Returns how many of `count` connections were answered. After three that were not, the rest
    are taken to be lost."""
    answered = lost = 0
    while answered + lost < count:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(5 * PATIENCE_S)
            try:
                client.connect(split(destination))
                while client.recv(200):
                    pass
            except OSError:
                lost += 1
                if lost == 3:
                    break
                continue
            answered += 1
    return answered


def main(argv):
    if argv[0] == "serve":
        serve(argv[1:])
    elif argv[0] == "ask":
        try:
            print(ask(argv[1], argv[2], argv[3] if len(argv) > 3 else None))
        except OSError as error:
            print(f"no answer: {error}")
            return 1
    elif argv[0] == "open":
        print(open_many(argv[1], int(argv[2]), argv[3] if len(argv) > 3 else "udp"))
    elif argv[0] == "connect":
        print(connect(argv[1], int(argv[2])))
    elif argv[0] == "pairs":
        print(*pairs(argv[1], int(argv[2])))
    else:
        print(echo(argv[1], int(argv[2])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
