# SPDX-License-Identifier: Apache-2.0
"""The gateway's control socket; docs/json.md describes what is spoken."""

import json
import socket

from .gateway_service import GatewayService

MOST_CHANGES = 500
MOST_BYTES = 60_000  # of a request's changes; the gateway takes lines of 65,536 bytes
SILENCE_S = 10  # a gateway at work gives a sign each second
LONGEST_LINE = 64 << 20  # of a peer that speaks something else


class GatewayAway(Exception):
    """No gateway answers, or not as one does."""


class GatewayRefused(Exception):
    """The gateway says that a request is wrong; it has changed nothing."""


class Gateway:
    """Asks the gateway; each request has a connection of its own, as idle ones are closed."""

    def __init__(self, path, prefix):
        self._path, self._prefix = path, prefix

    def uptime_s(self):
        """Seconds since its start."""
        try:
            return int(self._call({"command": "version"})[0]["uptime_s"])
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise self._no_gateway() from error
        except GatewayRefused as error:
            raise GatewayAway(f"the gateway at {self._path} does not tell its age: {error}") \
                from error

    def services(self):
        """The services that are the controller's, by name: those of the control socket, with the
        prefix."""
        try:
            rows = self._call({"command": "service list"})
            return {row["name"]: GatewayService.of_row(row) for row in rows
                    if row["origin"] == "control" and row["name"].startswith(self._prefix)}
        except (KeyError, TypeError, AttributeError) as error:
            raise GatewayAway(f"the gateway at {self._path} lists services in a form that is not "
                              f"known ({error!r}); are both of one release?") from error
        except GatewayRefused as error:
            raise GatewayAway(f"the gateway at {self._path} does not list its services: "
                              f"{error}") from error

    def change(self, changes):
        """Sends a request. Returns how many changes changed something."""
        answer = self._call({"command": "service change", "changes": changes})
        try:
            return int(answer[0]["changed"])
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise self._no_gateway() from error

    def _no_gateway(self):
        return GatewayAway(f"something answers at {self._path}, but not as noclash does")

    def _call(self, request):
        """The rows of the answer."""
        line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(SILENCE_S)
                connection.connect(self._path)
                try:
                    connection.sendall(line)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it may have said why it does not listen
                with connection.makefile("rb") as answer:
                    return self._rows(answer)
        except OSError as error:
            words = error.strerror or str(error)
            raise GatewayAway(f"no noclash answers at {self._path}: {words}; start it, or name "
                              "its `control_socket`") from error

    def _rows(self, answer):
        rows = []
        while line := answer.readline(LONGEST_LINE):
            if line == b"\n":
                continue  # the gateway is at work
            try:
                value = json.loads(line)
            except ValueError:
                break
            if not isinstance(value, dict):
                break
            if "row" in value:
                rows.append(value["row"])
            elif "end" in value:
                return rows
            elif "error" in value:
                raise GatewayRefused(str(value["error"]))
        raise self._no_gateway()


def batches(groups):
    """Groups of changes in requests that the gateway takes.

    @param groups  pairs of a Service's key and its changes: these stay in one request if it can
                   hold them
    @return lists of such pairs
    """
    batch, count, size = [], 0, 0
    for key, changes in groups:
        for piece, piece_size in _pieces(changes):
            if batch and (count + len(piece) > MOST_CHANGES or size + piece_size > MOST_BYTES):
                yield batch
                batch, count, size = [], 0, 0
            batch.append((key, piece))
            count += len(piece)
            size += piece_size
    if batch:
        yield batch


def _pieces(changes):
    """The changes of a Service, cut where a request can hold no more."""
    piece, size = [], 0
    for change in changes:
        change_size = len(json.dumps(change, separators=(",", ":"))) + 1
        if piece and (len(piece) == MOST_CHANGES or size + change_size > MOST_BYTES):
            yield piece, size
            piece, size = [], 0
        piece.append(change)
        size += change_size
    if piece:
        yield piece, size
