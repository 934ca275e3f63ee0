# SPDX-License-Identifier: Apache-2.0
"""The controller's configuration: a TOML file, and the place of the Kubernetes API."""

import ipaddress
import os
import re
import ssl
import tomllib
import urllib.parse
from dataclasses import dataclass

from .addresses import AddressRange
from .names import LONGEST_PREFIX, PREFIX

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class SettingsError(Exception):
    """The configuration is faulty; the text names the place and the remedy."""


@dataclass(frozen=True)
class Api:
    """Where the Kubernetes API is. Without a token file, requests carry no token."""

    server: str
    token_file: str | None
    ca_file: str | None


USUAL_INHIBIT = {"failures": 3, "first_s": 10, "most_s": 300}  # what `inhibit = true` stands for


@dataclass(frozen=True)
class Settings:
    """What the operator has chosen; tools/examples/kubernetes/controller.toml explains each key."""

    api: Api
    ranges: tuple[AddressRange, ...]
    load_balancer_class: str = "noclash.io/gateway"
    targets: str = "pods"  # or "nodes"
    prefix: str = "k8s."
    control_socket: str = "/run/noclash/control.sock"
    resync_s: int = 300  # from one comparison with the gateway's list to the next
    health_interval_s: int = 5
    health_timeout_s: int = 2
    # Keys of every service of the gateway, named as in the gateway's configuration.
    ingress_port: str | None = None
    source: str = "keep"
    no_backend: str = "reject"
    on_gone: str = "reset"
    drain_s: int = 0
    syn_proxy: str = "off"
    inhibit: dict | bool = False  # as "service list" has it


class _Table:
    """A table of the file; its functions raise SettingsError about a key."""

    def __init__(self, file, section, values):
        self._file, self._section, self._values = file, section, values

    def fault(self, key, text):
        place = f"[{self._section}] {key}" if self._section else key
        raise SettingsError(f"{self._file}: {place}: {text}")

    def allow_only(self, *keys):
        for key in self._values:
            if key not in keys:
                self.fault(key, f"no such key; known are {', '.join(keys)}")

    def table(self, key):
        values = self._values.get(key, {})
        if not isinstance(values, dict):
            self.fault(key, f"is no table; write [{key}] above its keys")
        return _Table(self._file, key, values)

    def text(self, key, default, expected="a text"):
        value = self._values.get(key, default)
        if key in self._values and (not isinstance(value, str) or not value):
            self.fault(key, f"{value!r} is not {expected}")
        return value

    def choice(self, key, default, choices):
        value = self._values.get(key, default)
        if value not in choices:
            self.fault(key, f"{value!r} is none of {', '.join(map(repr, choices))}")
        return value

    def integer(self, key, default, least, most):
        value = self._values.get(key, default)
        if type(value) is not int or not least <= value <= most:
            self.fault(key, f"{value!r} is no number from {least} to {most}")
        return value

    def has(self, key):
        return key in self._values

    def value(self, key):
        return self._values[key]

    def is_boolean(self, key):
        return isinstance(self._values.get(key), bool)

    def texts(self, key, expected):
        value = self._values.get(key)
        if not isinstance(value, list) or not value or \
                not all(isinstance(entry, str) for entry in value):
            self.fault(key, f"has to be {expected}")
        return value


def _read_inhibit(service):
    if service.is_boolean("inhibit"):
        return dict(USUAL_INHIBIT) if service.value("inhibit") else False
    if not service.has("inhibit"):
        return Settings.inhibit
    if not isinstance(service.value("inhibit"), dict):
        service.fault("inhibit", "is neither true nor false nor a table, as "
                      "{ failures = 3, first_s = 10, most_s = 300 }")
    rule = service.table("inhibit")
    rule.allow_only(*USUAL_INHIBIT)
    first_s = rule.integer("first_s", USUAL_INHIBIT["first_s"], 1, 86_400)
    usual_most_s = max(first_s, USUAL_INHIBIT["most_s"])
    return {"failures": rule.integer("failures", USUAL_INHIBIT["failures"], 1, 1000),
            "first_s": first_s,
            "most_s": rule.integer("most_s", usual_most_s, first_s, 86_400)}


def _read_ranges(top):
    expected = 'a list of ranges and prefixes: ["192.0.2.16-192.0.2.31", "198.51.100.0/28"]'
    ranges = []
    for text in top.texts("addresses", expected):
        try:
            new = AddressRange.parse(text)
        except ValueError as error:
            top.fault("addresses", f"{text!r}: {error}; expected {expected}")
        for other in ranges:
            if new.first <= other.last and other.first <= new.last:
                top.fault("addresses", f"{text!r} overlaps {other}; name each address once")
        ranges.append(new)
    return tuple(ranges)


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_api(table, environment):
    table.allow_only("server", "token_file", "ca_file")
    if not table.has("server"):
        host = environment.get("KUBERNETES_SERVICE_HOST")
        if not host:
            table.fault("server", "is missing, and this is no Pod of a cluster (there is no "
                        "KUBERNETES_SERVICE_HOST); name the API server, \"https://HOST:6443\"")
        port = environment.get("KUBERNETES_SERVICE_PORT", "443")
        host = f"[{host}]" if ":" in host else host
        return Api(f"https://{host}:{port}", table.text("token_file", f"{SERVICE_ACCOUNT}/token"),
                   table.text("ca_file", f"{SERVICE_ACCOUNT}/ca.crt"))
    server = table.text("server", None)
    parts = urllib.parse.urlsplit(server)
    try:
        fit = parts.scheme in ("http", "https") and parts.hostname and parts.port is not None \
            and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:  # the port is none
        fit = False
    if not fit:
        table.fault("server", f"{server!r} is no server; write \"https://HOST:PORT\"")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        table.fault("server", f"{server!r} would carry the token in the clear; use https")
    return Api(server.rstrip("/"), table.text("token_file", None), table.text("ca_file", None))


def _check_files(file, api):
    for key, path in (("token_file", api.token_file), ("ca_file", api.ca_file)):
        if path and not os.access(path, os.R_OK):
            raise SettingsError(f"{file}: [api] {key}: {path} cannot be read; name a file that "
                                "is there and that this user may read")
    try:
        ssl.create_default_context(cafile=api.ca_file)
    except ssl.SSLError as error:
        raise SettingsError(f"{file}: [api] ca_file: {api.ca_file} holds no certificates in PEM "
                            f"form ({error.reason}); name the API server's CA") from error


def read_settings(path, environment=os.environ):
    """The settings of a file. Raises SettingsError."""
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; --config names the file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: no TOML: {error}") from error
    top = _Table(path, "", values)
    top.allow_only("class", "addresses", "targets", "prefix", "control_socket", "resync_s",
                   "api", "service", "health")
    prefix = top.text("prefix", Settings.prefix)
    if not re.fullmatch(PREFIX, prefix):
        top.fault("prefix", f"{prefix!r} is no prefix; expected 1 to {LONGEST_PREFIX} letters, "
                  "digits, dots and dashes")
    service, health = top.table("service"), top.table("health")
    service.allow_only("in", "source", "no_backend", "on_gone", "drain_s", "syn_proxy", "inhibit")
    health.allow_only("interval_s", "timeout_s")
    source = service.text("source", Settings.source)
    if source not in ("keep", "masquerade") and not re.fullmatch(r"pool:\S+", source):
        service.fault("source", f"{source!r} is none of 'keep', 'masquerade', 'pool:NAME'")
    settings = Settings(
        api=_read_api(top.table("api"), environment),
        ranges=_read_ranges(top),
        load_balancer_class=top.text("class", Settings.load_balancer_class),
        targets=top.choice("targets", Settings.targets, ("pods", "nodes")),
        prefix=prefix,
        control_socket=top.text("control_socket", Settings.control_socket),
        resync_s=top.integer("resync_s", Settings.resync_s, 1, 86400),
        health_interval_s=health.integer("interval_s", Settings.health_interval_s, 1, 3600),
        health_timeout_s=health.integer("timeout_s", Settings.health_timeout_s, 1, 60),
        ingress_port=service.text("in", None, "the name of a port of the gateway"),
        source=source,
        no_backend=service.choice("no_backend", Settings.no_backend, ("reject", "drop")),
        on_gone=service.choice("on_gone", Settings.on_gone, ("reset", "keep")),
        drain_s=service.integer("drain_s", Settings.drain_s, 0, 86_400),
        syn_proxy=service.choice("syn_proxy", Settings.syn_proxy, ("off", "auto", "on")),
        inhibit=_read_inhibit(service))
    _check_files(path, settings.api)
    return settings
