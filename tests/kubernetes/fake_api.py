# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API server of the tests' own: lists, watches, a status that can be patched, Events.

It speaks as https://kubernetes.io/docs/reference/using-api/api-concepts/ says: resourceVersions,
pages, chunked lines of JSON, bookmarks, 410 Gone. It checks nothing of the objects.
"""

import collections
import http.server
import itertools
import json
import sys
import threading
import time
import urllib.parse

SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
NODES = "/api/v1/nodes"


class Gone(Exception):
    """The version is older than what is remembered."""


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def _key(value):
    meta = value["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else meta["name"]


class FakeApi:
    """Objects by kind and key, and what clients have asked for."""

    def __init__(self, tls=None):
        self.token = None  # that each request has to carry
        self.largest_page = None  # objects; less than clients ask for
        self.gone_is_an_event = False  # else it is a status
        self.expired_pages = 0  # so many pages that continue a list are answered with 410
        self.odd_pages = False  # lists are in no form that the API's documents know
        self.failures = 0  # so many writes fail with 500
        self.lists = collections.Counter()  # whole ones, by kind
        self.watches = collections.Counter()  # that have begun, by kind
        self.bookmarks = collections.Counter()  # that were sent, by kind
        self.patches, self.events, self.refused = [], [], []
        self._objects = collections.defaultdict(dict)
        self._history = collections.defaultdict(list)  # version, type, object
        self._forgotten = 0  # versions up to this one
        self._version = 1000
        self._bookmarked = 0
        self._cut = itertools.count(1)
        self._epoch, self._cut_in_a_line = 0, False
        self._pages = {}
        self._changed = threading.Condition()
        self._tls = tls
        self._port = 0
        self.start()

    @property
    def server(self):
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def start(self):
        api = self

        class Handler(_Handler):
            fake = api

        self._http = _Server(("127.0.0.1", self._port), Handler)
        if self._tls:
            self._http.socket = self._tls.wrap_socket(self._http.socket, server_side=True)
        self._port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self):
        """Nobody answers; start() goes on with the same objects."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self.cut_watches()

    # What happens in the cluster.

    def put(self, kind, value):
        """Creates or replaces an object; what the caller has not named of an old one stays."""
        with self._changed:
            old = self._objects[kind].get(_key(value))
            value = json.loads(json.dumps(value))
            if old:
                value["metadata"].setdefault("uid", old["metadata"]["uid"])
                value["metadata"].setdefault("creationTimestamp",
                                             old["metadata"]["creationTimestamp"])
                value.setdefault("status", old.get("status"))
            self._version += 1
            value["metadata"].setdefault("uid", f"uid-{self._version}")
            value["metadata"].setdefault(
                "creationTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            value["metadata"]["resourceVersion"] = str(self._version)
            self._objects[kind][_key(value)] = value
            self._history[kind].append((self._version, "MODIFIED" if old else "ADDED", value))
            self._changed.notify_all()

    def delete(self, kind, key):
        with self._changed:
            value = json.loads(json.dumps(self._objects[kind].pop(key)))
            self._version += 1
            value["metadata"]["resourceVersion"] = str(self._version)
            self._history[kind].append((self._version, "DELETED", value))
            self._changed.notify_all()

    def get(self, kind, key):
        with self._changed:
            return json.loads(json.dumps(self._objects[kind][key]))

    def ingress(self, key):
        """The addresses of a Service's status."""
        status = self.get(SERVICES, key).get("status") or {}
        return [entry["ip"] for entry in status.get("loadBalancer", {}).get("ingress", ())]

    # What happens to the server.

    def cut_watches(self, in_a_line=False):
        """Closes the connections of all watches, after half of an event where wanted."""
        with self._changed:
            self._epoch += 1
            self._cut_in_a_line = in_a_line
            self._changed.notify_all()

    def forget(self):
        """No watch can go on from before now."""
        with self._changed:
            self._forgotten = self._version
            for history in self._history.values():
                history.clear()

    def bookmark(self):
        """Tells all watches the version of now, by the next thing that they send."""
        with self._changed:
            self._version += 1
            self._bookmarked = self._version
            self._changed.notify_all()

    # What clients ask for.

    def page(self, kind, query):
        with self._changed:
            if "continue" in query:
                if self.expired_pages:
                    self.expired_pages -= 1
                    raise Gone
                version, items = self._pages.pop(query["continue"])
            else:
                self.lists[kind] += 1
                version = self._version
                items = [value for value in self._objects[kind].values()
                         if self._selected(value, query)]
            size = min(int(query.get("limit", 0)) or len(items),
                       self.largest_page or len(items))
            if self.odd_pages:
                return {"metadata": "odd"}
            meta = {"resourceVersion": str(version)}
            if len(items) > size:
                meta["continue"] = f"page-{next(self._cut)}"
                self._pages[meta["continue"]] = (version, items[size:])
            return {"kind": "List", "metadata": meta, "items": items[:size] or None}

    @staticmethod
    def _selected(value, query):
        selector = query.get("labelSelector")
        return not selector or selector in (value["metadata"].get("labels") or {})

    def watch(self, kind, query):
        """Events, and None where the connection is to be cut."""
        version = int(query["resourceVersion"])
        with self._changed:
            self.watches[kind] += 1
            epoch = self._epoch
            if version < self._forgotten:
                raise Gone
        end = time.monotonic() + float(query["timeoutSeconds"])
        bookmarked = version
        while time.monotonic() < end:
            with self._changed:
                self._changed.wait_for(
                    lambda: epoch != self._epoch or bookmarked < self._bookmarked
                    or self._history[kind] and self._history[kind][-1][0] > version, 1)
                if epoch != self._epoch:
                    yield None
                    return
                new = [entry for entry in self._history[kind] if entry[0] > version]
                is_due = bookmarked < self._bookmarked
                bookmarked = self._bookmarked
            for version, what, value in new:
                if self._selected(value, query):
                    yield {"type": what, "object": value}
            if is_due and query.get("allowWatchBookmarks") == "true":
                version = max(version, bookmarked)
                yield {"type": "BOOKMARK",
                       "object": {"metadata": {"resourceVersion": str(version)}}}
                self.bookmarks[kind] += 1

    def cuts_in_a_line(self):
        return self._cut_in_a_line

    def _fail(self):
        with self._changed:
            if self.failures:
                self.failures -= 1
                raise Refused(500, "etcdserver: request timed out")

    def patch_status(self, key, patch, content_type):
        self._fail()
        if content_type != "application/merge-patch+json":
            raise Refused(415, content_type)
        with self._changed:
            if key not in self._objects[SERVICES]:
                raise Refused(404, "not found")
            value = json.loads(json.dumps(self._objects[SERVICES][key]))
            if patch["metadata"]["uid"] != value["metadata"]["uid"]:
                raise Refused(409, "the UID in the precondition differs")
            value["status"] = (value.get("status") or {}) | patch["status"]
            self.put(SERVICES, value)
            self.patches.append((key, [entry["ip"] for entry in
                                       patch["status"]["loadBalancer"]["ingress"]]))
            return value

    def create_event(self, namespace, event):
        self._fail()
        if event["metadata"]["namespace"] != namespace:
            raise Refused(400, "the namespace differs from that of the URL")
        with self._changed:
            self.events.append(event)
        return event

    def said(self, key):
        """The reasons of the Events about a Service."""
        with self._changed:
            return [event["reason"] for event in self.events
                    if _key({"metadata": event["involvedObject"]}) == key]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # a client that has gone
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake = None

    def log_message(self, *_):
        pass

    def _answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _serve(self, function):
        token = self.headers.get("Authorization")
        if self.fake.token and token != f"Bearer {self.fake.token}":
            self.fake.refused.append(token)
            self._answer(401, {"kind": "Status", "message": "Unauthorized", "code": 401})
            return
        try:
            function()
        except Gone:
            status = {"kind": "Status", "message": "too old resource version", "code": 410}
            if self.fake.gone_is_an_event and "watch=1" in self.path:
                self._stream([{"type": "ERROR", "object": status}])
            else:
                self._answer(410, status)
        except Refused as error:
            self.fake.refused.append(str(error))
            self._answer(error.status, {"kind": "Status", "message": str(error)})
        except OSError:
            self.close_connection = True

    def _body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _stream(self, events):
        events = iter(events)
        event = next(events, None)  # Gone comes before the head
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while event:
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            event = next(events, StopIteration)
            if event is StopIteration:
                self.wfile.write(b"0\r\n\r\n")
                return
        if self.fake.cuts_in_a_line():
            self.wfile.write(b'40\r\n{"type":"MODIFIED","obj')
        self.close_connection = True

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path not in (SERVICES, SLICES, NODES):
            self._answer(404, {"message": "no such kind"})
        elif "watch" in query:
            self._serve(lambda: self._stream(self.fake.watch(url.path, query)))
        else:
            self._serve(lambda: self._answer(200, self.fake.page(url.path, query)))

    def do_PATCH(self):
        _, _, _, _, namespace, _, name, _ = self.path.split("/")
        self._serve(lambda: self._answer(200, self.fake.patch_status(
            f"{namespace}/{name}", self._body(), self.headers["Content-Type"])))

    def do_POST(self):
        namespace = self.path.split("/")[4]
        self._serve(lambda: self._answer(201, self.fake.create_event(namespace, self._body())))
