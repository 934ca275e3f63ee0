# SPDX-License-Identifier: Apache-2.0
"""Speaks with the Kubernetes API: JSON over HTTP, of which the controller needs four verbs.

Debian's python3-kubernetes refuses what the API may send (an EndpointSlice whose `endpoints` are
null), so answers are read as plain JSON.
"""

import http.client
import json
import socket
import ssl
import urllib.parse

ANSWER_S = 30
PAGE = 500  # objects of a list's page
LONGEST_LINE = 64 << 20  # bytes of an event of a watch; the API's objects have 2 MiB at most
GONE = 410
HINTS = {
    401: "is the token of [api] token_file valid?",
    403: "the RBAC of tools/examples/kubernetes/ allows it",
}


class ApiError(Exception):
    """The API did not do it; `status` is None when it did not answer in order."""

    def __init__(self, text, status=None):
        super().__init__(text)
        self.status = status


class ApiClient:
    """Requests to an API server. Any thread may ask: each request has a connection of its own."""

    def __init__(self, api):
        parts = urllib.parse.urlsplit(api.server)
        self._server, self._token_file = api.server, api.token_file
        self._host, self._port = parts.hostname, parts.port
        self._tls = ssl.create_default_context(cafile=api.ca_file) \
            if parts.scheme == "https" else None

    def pages(self, path, selector=""):
        """Lists: pages, each a pair of the list's resourceVersion and its objects."""
        query = {"limit": PAGE} | ({"labelSelector": selector} if selector else {})
        while True:
            page = self._json("GET", path, query)
            meta = page.get("metadata") or {}
            yield meta.get("resourceVersion") or "", page.get("items") or ()
            if not meta.get("continue"):
                return
            query["continue"] = meta["continue"]

    def watch(self, path, resource_version, timeout_s, selector=""):
        """The events that the API sends until it ends the watch, at `timeout_s` or before."""
        query = {"watch": 1, "allowWatchBookmarks": "true", "resourceVersion": resource_version,
                 "timeoutSeconds": timeout_s}
        connection = self._connect(timeout_s + ANSWER_S)
        try:
            response = self._send(connection, "GET", path,
                                  query | ({"labelSelector": selector} if selector else {}))
            while line := response.readline(LONGEST_LINE):
                yield json.loads(line)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._broken(error) from error
        finally:
            connection.close()

    def patch(self, path, value):
        """A merge patch (RFC 7386)."""
        self._json("PATCH", path, body=value, content_type="application/merge-patch+json")

    def create(self, path, value):
        self._json("POST", path, body=value, content_type="application/json")

    def _json(self, method, path, query=None, body=None, content_type=None):
        connection = self._connect(ANSWER_S)
        try:
            response = self._send(connection, method, path, query or {}, body, content_type)
            value = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._broken(error) from error
        finally:
            connection.close()
        if not isinstance(value, dict):
            raise self._broken("the answer is no object")
        return value

    def _connect(self, timeout_s):
        if self._tls:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s,
                                               context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)

    def _send(self, connection, method, path, query, body=None, content_type=None):
        """The answer's head, of a request that succeeded."""
        headers = {"Accept": "application/json", "User-Agent": "noclash-kubernetes"}
        if self._token_file:
            # Tokens of Pods are replaced each hour.
            with open(self._token_file, encoding="ascii") as file:
                headers["Authorization"] = f"Bearer {file.read().strip()}"
        if content_type:
            headers["Content-Type"] = content_type
        url = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        connection.connect()
        # A machine that is gone closes nothing: the kernel finds out within a minute.
        for option, value in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10),
                              (socket.TCP_KEEPCNT, 3)):
            connection.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.request(method, url, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        if response.status >= 300:
            words = response.read(4096).decode(errors="replace").strip()
            try:
                words = json.loads(words)["message"]
            except (ValueError, KeyError, TypeError):
                pass
            hint = HINTS.get(response.status)
            raise ApiError(f"{method} {path}: {response.status}: {words}"
                           + (f"; {hint}" if hint else ""), response.status)
        return response

    def _broken(self, error):
        return ApiError(f"the API at {self._server} does not answer as one does: {error}")
