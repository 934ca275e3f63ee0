# SPDX-License-Identifier: Apache-2.0
"""The results of the race laboratory: how each contestant came through each scenario."""

from dataclasses import asdict, dataclass, field

STORM, DNS, EXHAUSTION = "storm", "dns", "exhaustion"  # scenarios
LIVE, MODEL = "live", "model"  # where a contestant ran
IN_STEP, FREE_RUNNING = "in-step", "free-running"
PROTOCOLS = ("tcp", "udp")
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
    sent: int = 0
    delivered: int = 0  # exactly once
    lost: int = 0
    duplicated: int = 0
    split_pairs: int = 0
    tuple_collisions: int = 0
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
    def faults(self):
        """Packets that did not arrive exactly once, unharmed, with a tuple of their own."""
        return self.lost + self.duplicated + self.tuple_collisions + self.bad_checksums

    @property
    def words(self):
        """`TCP storm in step`."""
        if self.scenario == EXHAUSTION:
            return "one destination, all but a few ports"
        if self.scenario == DNS:
            return f"DNS pairs {schedule_words(self.schedule)}"
        return f"{self.protocol.upper()} storm {schedule_words(self.schedule)}"

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


def short_name(contestant):
    """`netfilter-fully-random` is `fully-random` where all are netfilter's."""
    return contestant.removeprefix("netfilter-")
