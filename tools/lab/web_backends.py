# SPDX-License-Identifier: Apache-2.0
"""The backends of a web service, as operators run them: an nginx each, in the pod."""

import os

from .process import LabError, wait_until

# The server closes a connection after so many requests, so that a backend which is sent no new
# connections loses those that it has. (nginx's own default is 1,000.)
REQUESTS_PER_CONNECTION = 100

CONFIGURATION = """# {what}
user root;
daemon off;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    send_timeout 1h;
    keepalive_requests {requests};
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {end} backlog=511;
        root {root};
    }}
}}
"""


class WebServer:
    """An nginx, which listens once it is made."""

    def __init__(self, namespace, end, root):
        self._namespace, self.end = namespace, end
        # Its own: a master that ends removes its pid file, when its successor has long started.
        directory = namespace.lab.fresh_path(f"nginx-{end}")
        os.makedirs(directory)
        self._path = os.path.join(directory, "nginx.conf")
        with open(self._path, "w", encoding="utf-8") as handle:
            handle.write(CONFIGURATION.format(what=end, directory=directory, end=end, root=root,
                                              requests=REQUESTS_PER_CONNECTION))
        self.process = namespace.start("nginx", "-c", self._path, "-e", "stderr",
                                       name=f"nginx-{end}")
        self.process.wait_ready(self.is_listening)

    def is_listening(self):
        return bool(self._sockets("state", "listening", "src", self.end))

    def connections(self, condition):
        """Those that are not over, where `condition` holds, an expression as ss has them."""
        return self._sockets("exclude", "listening", "exclude", "time-wait",
                             f"src {self.end} and ( {condition} )")

    def quit(self):
        """`nginx -s quit`: listens no longer; its workers end when their last request is over."""
        self._signal("quit")
        wait_until(lambda: not self.is_listening(), timeout_s=20, what=f"nginx {self.end} quits")

    def stop(self):
        """`nginx -s stop`: at once, whatever is under way."""
        self._signal("stop")
        self.process.wait(20)

    def assert_over(self):
        """That it ends by itself, and in order. LabError if not."""
        status = self.process.wait(30)
        if status != 0:
            raise LabError(f"nginx {self.end} ended with {status}:\n{self.process.log_tail()}")

    def _signal(self, name):
        self._namespace.run("nginx", "-c", self._path, "-e", "stderr", "-s", name)

    def _sockets(self, *filters):
        return self._namespace.run("ss", "-Htan", *filters).stdout.splitlines()


class WebBackends:
    """All of a service's, by their address and port. Each can be replaced."""

    def __init__(self, namespace, ends, root):
        self._namespace, self._root = namespace, root
        self._servers = {end: WebServer(namespace, end, root) for end in ends}
        self._quitting = []

    def __getitem__(self, end):
        return self._servers[end]

    def quit(self, end):
        """Lets the server finish what it is doing, and no more."""
        self._servers[end].quit()
        self._quitting.append(self._servers[end])

    def start(self, end):
        """The successor of one that listens no longer."""
        self._servers[end] = WebServer(self._namespace, end, self._root)

    def assert_over(self):
        """That those which were told to quit have done so by themselves."""
        for server in self._quitting:
            server.assert_over()
