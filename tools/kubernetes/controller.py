# SPDX-License-Identifier: Apache-2.0
"""Keeps the gateway as the cluster wants it: hears what is new, plans it, sends the differences.

Nothing that is sent depends on what was sent before, only on what the gateway has and shall have.
So it does not matter where a controller was stopped: the next one compares both sides and goes on.
"""

import logging
import queue
import time

from .backoff import Backoff
from .cluster import Cluster
from .gateway import GatewayAway
from .mirror import Mirror
from .plan import Plan
from .reports import Reports

log = logging.getLogger(__name__)
TICK_S = 2  # from one look at the gateway's age to the next
RETRY_S = 30  # until what the gateway has refused is sent again
MOST_NEWS = 10_000  # that wait: beyond it, watches wait


class Controller:
    """What the main thread does. What other threads find out comes through `news`: the name of a
    method of Cluster, and its arguments."""

    def __init__(self, settings, gateway, health, writer, news):
        """@param writer  an ApiWriter; None: the cluster is not written to"""
        self._settings, self._gateway = settings, gateway
        self._health, self._writer, self._news = health, writer, news
        self._reports = Reports(writer)
        self._unsent = set()  # keys of Services whose plan is new
        self._refused = set()
        self._started = None  # when the gateway was, by the clock here
        self._compared = 0.0  # when the gateway was last asked for all services
        self._look_at, self._retry_at = 0.0, 0.0  # the next times
        self._backoff = Backoff()
        self._away = False
        self.cluster = Cluster(settings.load_balancer_class, nodes=settings.targets == "nodes")
        self.plan = Plan(settings, self.cluster, health.is_healthy)
        self.mirror = Mirror(gateway)

    def run(self):
        """For ever."""
        self.hear_all()
        self.first_plan()
        self._health.start()
        while True:
            self.make_plan()
            self.tend_gateway()
            self._hear(TICK_S)

    def first_plan(self):
        """The plan of a cluster that has been listed. Targets are probed before anything is sent:
        a restart must not take those that fail for healthy."""
        self.make_plan()
        self.cluster.look_again(self._health.round())
        self.make_plan()

    def hear_all(self):
        while not self.cluster.complete:
            self._hear(None)

    def _hear(self, timeout_s):
        """Waits for news, and takes all there is."""
        try:
            news = self._news.get(timeout=timeout_s)
            for _ in range(MOST_NEWS):
                what, *arguments = news
                getattr(self.cluster, what)(*arguments)
                news = self._news.get_nowait()
        except queue.Empty:
            pass

    def make_plan(self):
        """Plans what is new."""
        self._clear_strangers()
        if not self.cluster.dirty:
            return
        keys, self.cluster.dirty = self.cluster.dirty, set()
        renewed = self.plan.renew(keys)
        self._unsent |= renewed
        for key in renewed:
            self._health.want(key, self.plan.probes.get(key, set()))
            if service := self.cluster.services.get(key):
                self._reports.tell(service, "plan", self.plan.problems[key])
            else:
                self._reports.forget(key, "plan", "gateway")

    def _clear_strangers(self):
        """A Service that has left the class must not go on naming an address."""
        for key, service in self.cluster.strangers.items():
            if self.plan.addresses.of(key) in service.ingress and self._writer:
                self._writer.status(service, ())
        self.cluster.strangers.clear()

    def tend_gateway(self):
        """Sends what is due, as far as the gateway lets us."""
        now = time.monotonic()
        if now < self._look_at and (self._away or not self._unsent):
            return
        try:
            if now >= self._look_at:
                self._look()
            if now >= self._retry_at:
                self._retry()
            begun, compares = time.monotonic(), not self.mirror.known
            if compares:
                self.compare()
            due = self._send()
            if compares:
                log.info("compared %d Services with what the gateway has; sent %d changes; "
                         "took %d ms", len(self.plan.wanted), due,
                         round(1000 * (time.monotonic() - begun)))
        except GatewayAway as error:
            if not self._away:
                log.warning("%s; trying again until it does", error)
            self._away, self._started = True, None
            self.mirror.doubt()
            self._look_at = time.monotonic() + self._backoff.failed()
            return
        if self._away:
            log.info("the gateway answers again")
        self._away = False
        self._backoff.succeeded()

    def _look(self):
        """Whether the gateway is the process that it was, and when it was last compared."""
        now = time.monotonic()
        started = now - self._gateway.uptime_s()
        # Its age comes in whole seconds.
        if self._started is None or abs(started - self._started) > 1.5:
            self.mirror.doubt()
            self._started = started
        if now - self._compared > self._settings.resync_s:
            self.mirror.doubt()
        self._look_at = now + TICK_S

    def _retry(self):
        self._unsent |= self._refused
        if self.mirror.doubtful:
            self.mirror.doubt()
        self._retry_at = time.monotonic() + RETRY_S

    def compare(self):
        """Asks the gateway for all services, and has all Services compared with them."""
        self.mirror.learn(self.plan.owner)
        self._unsent.update(self.plan.wanted)
        self._compared = time.monotonic()

    def due(self):
        """What has to be sent, as Mirror.send takes it."""
        return self.mirror.due(self._unsent, self.plan.wanted)

    def _send(self):
        """Returns how many changes were due."""
        groups = self.due()
        due = sum(len(changes) for _, changes in groups)
        refused = self.mirror.send(groups, self.plan.wanted)
        if refused:
            self._look()  # a gateway that was started again knows no service
            if not self.mirror.known:
                return due
        for key in self._unsent:
            service = self.cluster.services.get(key)
            if service is None:
                continue
            problems = {("GatewayRefused", refused[key])} if key in refused else set()
            self._reports.tell(service, "gateway", problems)
            if key not in refused:
                self._publish(service)
        for key in refused.keys() - self.cluster.services.keys():
            log.error("%s: the gateway does not remove it: %s", key, refused[key])
        self._refused = self._refused - self._unsent | refused.keys()
        self._unsent = set()
        return due

    def ingress(self, service):
        """The addresses that its status shall have."""
        return (self.plan.addresses.of(service.key),) if self.plan.wanted[service.key] else ()

    def _publish(self, service):
        """Writes the status of a Service that the gateway serves now."""
        ingress = self.ingress(service)
        if ingress != service.ingress:
            log.info("%s: has %s", service.key, ", ".join(ingress) or "no address")
            self._writer.status(service, ingress)
