# SPDX-License-Identifier: Apache-2.0
"""The results of the race laboratory: how each contestant came through each scenario."""

from dataclasses import asdict, dataclass, field

# Scenarios; the last two are the first two with a service and its backends.
STORM, DNS, EXHAUSTION = "storm", "dns", "exhaustion"
SERVICE, SERVICE_PAIRS = "service", "service-pairs"
LIVE, MODEL = "live", "model"  # where a contestant ran
IN_STEP, FREE_RUNNING = "in-step", "free-running"
PROTOCOLS = ("tcp", "udp")
KEEP, TRANSLATE = "keep", "translate"  # what becomes of the sources of a service's clients
SCHEDULES = (IN_STEP, FREE_RUNNING)
NOCLASH = "noclash"
MASQUERADE = "netfilter-masquerade"
STORM_CONTESTANTS = (MASQUERADE, "netfilter-random", "netfilter-fully-random", NOCLASH)


@dataclass
class Outcome:
    """How one contestant came through one scenario. Counts are of packets, each of which opens a
    connection; of queries with DNS, two of which share a socket."""

    scenario: str
    origin: str
    contestant: str
    protocol: str
    schedule: str
    source: str = ""  # of scenarios with a service: KEEP or TRANSLATE
    sent: int = 0
    delivered: int = 0  # exactly once
    lost: int = 0
    duplicated: int = 0
    split_pairs: int = 0
    tuple_collisions: int = 0
    changed_sources: int = 0  # arrived from another address or port than they left with
    bad_checksums: int = 0
    insert_failed: int = 0
    clash_resolved: int = 0
    threads: int = 2
    rate_cps: int = 0
    distance_ns: int | None = None  # between choosing and confirming; of models
    seconds: float = 0.0
    not_run: str = ""  # why; nothing above holds then
    failure: str = ""  # of the instrument; likewise
    configuration: str = ""  # of the gateway
    commands: list = field(default_factory=list)
    counters: dict = field(default_factory=dict)  # what the gateway counted meanwhile

    @property
    def ran(self):
        return not self.not_run and not self.failure

    @property
    def share_lost(self):
        """0 to 1."""
        return self.lost / self.sent if self.sent else 0.0

    @property
    def pairs(self):
        return self.sent // 2

    @property
    def wrong_sources(self):
        """Connections of a service whose backend saw the wrong source: not the client's where that
        is kept, or the client's where it is translated."""
        if self.source == TRANSLATE:
            return max(0, self.delivered - self.changed_sources)
        return self.changed_sources if self.source == KEEP else 0

    @property
    def faults(self):
        """Packets that did not arrive exactly once, unharmed, with a tuple of their own, and from
        the right source."""
        return (self.lost + self.duplicated + self.tuple_collisions + self.bad_checksums +
                self.wrong_sources)

    @property
    def words(self):
        """`TCP storm in step`."""
        if self.scenario == EXHAUSTION:
            return "one destination, all but a few ports"
        if self.scenario == DNS:
            return f"DNS pairs {schedule_words(self.schedule)}"
        if self.scenario == SERVICE_PAIRS:
            return f"DNS pairs {schedule_words(self.schedule)}, to a service"
        storm = f"{self.protocol.upper()} storm {schedule_words(self.schedule)}"
        if self.scenario == SERVICE:
            return f"{storm}, to a service, {source_words(self.source)}"
        return storm

    def as_json(self):
        return asdict(self)


@dataclass
class Exhaustion:
    """How often an allocator found a port towards a destination that is so crowded. A model."""

    contestant: str
    occupancy_percent: float
    attempts: int
    succeeded: int
    tries_mean: float

    @property
    def share(self):
        """0 to 1."""
        return self.succeeded / self.attempts if self.attempts else 0.0

    def as_json(self):
        return asdict(self)


@dataclass
class Models:
    """The results of race_models; `not_run` says why there are none."""

    outcomes: list = field(default_factory=list)   # comparable with the live runs
    sweeps: list = field(default_factory=list)     # all storms, with other parameters too
    exhaustion: list = field(default_factory=list)
    command: str = ""
    seed: int | None = None
    not_run: str = ""
    wrong: str = ""  # what race_models itself found wrong


@dataclass
class Race:
    """All of one run of the laboratory."""

    live: list
    models: Models
    command: str = ""  # that ran all of it
    machine: dict = field(default_factory=dict)
    quick: bool = False

    def find(self, origin, contestant, *, protocol="tcp", schedule=IN_STEP):
        """The outcome of a storm, or None."""
        for outcome in self.live if origin == LIVE else self.models.outcomes:
            if (outcome.scenario, outcome.contestant, outcome.protocol, outcome.schedule) == \
                    (STORM, contestant, protocol, schedule):
                return outcome
        return None

    def outcomes(self, scenario):
        return [outcome for outcome in [*self.live, *self.models.outcomes]
                if outcome.scenario == scenario]

    def not_run(self):
        """(what, why) of everything that is missing."""
        reasons = {outcome.not_run for outcome in self.live}
        if len(self.live) > 1 and len(reasons) == 1 and reasons != {""}:
            missing = [(f"all {len(self.live)} live runs", *reasons)]
        else:
            missing = self._live_not_run()
        if self.models.not_run:
            missing.append(("models in process", self.models.not_run))
        return missing

    def _live_not_run(self):
        return [(f"{outcome.words}, live: {outcome.contestant}",
                 outcome.not_run or outcome.failure)
                for outcome in self.live if not outcome.ran]


def schedule_words(schedule):
    return "in step" if schedule == IN_STEP else schedule


def source_words(source):
    return "sources kept" if source == KEEP else "sources translated"


def short_name(contestant):
    """`netfilter-fully-random` is `fully-random` where all are netfilter's."""
    return contestant.removeprefix("netfilter-")
