# SPDX-License-Identifier: Apache-2.0
"""Races as a run of the laboratory might end, for the tests of what is made of them."""

import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from lab.racelab_models import read_models  # noqa: E402  (the path above comes first)
from lab.racelab_results import (DNS, EXHAUSTION, FREE_RUNNING, IN_STEP, KEEP,  # noqa: E402
                                 LIVE, MASQUERADE, NOCLASH, PROTOCOLS, SCHEDULES, SERVICE,
                                 SERVICE_PAIRS, STORM, STORM_CONTESTANTS, TRANSLATE, Outcome, Race)

SENT = 20000
LEVELS = (0, 90, 95, 99.9, 100)


def live_storm(contestant, protocol="tcp", schedule=IN_STEP, lost=0, **more):
    """A live outcome; what is lost failed to be inserted."""
    return Outcome(STORM, LIVE, contestant, protocol, schedule, sent=SENT, delivered=SENT - lost,
                   lost=lost, insert_failed=lost, rate_cps=10000, configuration="table ip <x> {}",
                   commands=["storm receive --port 80", "storm send --rate 10000"],
                   counters={"insert_failed": lost}, **more)


def live_pairs(contestant, split=0, lost=0, scenario=DNS, **more):
    return Outcome(scenario, LIVE, contestant, "udp", IN_STEP, sent=SENT, delivered=SENT - lost,
                   lost=lost, split_pairs=split, commands=["storm send --pairs"], **more)


def live_service(contestant, protocol="tcp", source=KEEP, lost=0, **more):
    """A storm to a service; the sources that were to be translated were."""
    delivered = SENT - lost
    return Outcome(SERVICE, LIVE, contestant, protocol, IN_STEP, source, sent=SENT,
                   delivered=delivered, lost=lost, insert_failed=lost,
                   **{"changed_sources": delivered if source == TRANSLATE else 0,
                      "commands": ["storm send --to a-service"], **more})


def live_crowd(contestant, lost=0, **more):
    return Outcome(EXHAUSTION, LIVE, contestant, "tcp", FREE_RUNNING, sent=64500,
                   delivered=64500 - lost, lost=lost, insert_failed=lost,
                   commands=["storm send --connections 64500"], **more)


def model_storm(contestant, protocol="tcp", schedule=IN_STEP, lost=0, **where):
    """A row of race_models --json."""
    return {"contestant": contestant, "protocol": protocol, "schedule": schedule, "threads": 2,
            "distance_ns": 2000, "rate_cps": 10000, "connections": 40000,
            "delivered": 40000 - lost, "lost": lost, "duplicated": 0, "insert_failed": lost,
            "clash_resolved": 0, "tuple_collisions": 0} | where


def model_pairs(contestant, split=0, lost=0):
    return {"contestant": contestant, "pairs": 20000, "queries": 40000, "delivered": 40000 - lost,
            "lost": lost, "duplicated": 0, "split_pairs": split, "insert_failed": lost,
            "clash_resolved": split}


def models_json(masquerade_lost=12000):
    """The output of race_models, with sweeps that pass through the common place again."""
    storms = [model_storm(contestant, protocol, schedule, masquerade_lost *
                          (contestant == MASQUERADE and schedule == IN_STEP))
              for contestant in STORM_CONTESTANTS for protocol in PROTOCOLS
              for schedule in SCHEDULES]
    for contestant in STORM_CONTESTANTS:
        losing = contestant == MASQUERADE
        storms += [model_storm(contestant, distance_ns=distance, lost=distance * losing)
                   for distance in (0, 100, 10000)]
        storms.append(model_storm(contestant, connections=8000))  # shorter: not the one to take
        storms += [model_storm(contestant, threads=threads, lost=1000 * threads * losing)
                   for threads in (4, 8, 16)]
        storms += [model_storm(contestant, rate_cps=rate, lost=rate // 100 * losing)
                   for rate in (1000, 100000)]
    dns = [model_pairs("netfilter-before-5.0", lost=20000),
           model_pairs("netfilter-today", split=15000), model_pairs(NOCLASH)]
    exhaustion = [{"contestant": contestant, "occupancy_percent": level, "attempts": 1000,
                   "succeeded": 0 if level == 100 else best, "tries_mean": 1.5}
                  for contestant, best in (("netfilter", 990), ("10-try", 400),
                                           ("worker-slices", 600), (NOCLASH, 1000))
                  for level in LEVELS]
    return json.dumps({"storm": storms, "dns": dns, "exhaustion": exhaustion, "seed": 7})


def race(*, live=None, models=None):
    """All went as it does on a common machine, but for what is given."""
    if live is None:
        live = [live_storm(contestant, protocol, schedule,
                           5000 if contestant == MASQUERADE and schedule == IN_STEP else 0)
                for schedule in SCHEDULES for protocol in PROTOCOLS
                for contestant in STORM_CONTESTANTS]
        live += [live_pairs("netfilter", split=7500), live_pairs(NOCLASH)]
        live += [live_service(contestant, protocol, source,
                              271 if contestant != NOCLASH and source == TRANSLATE else 0)
                 for protocol in PROTOCOLS for source in (KEEP, TRANSLATE)
                 for contestant in ("netfilter-numgen", NOCLASH)]
        live += [live_pairs(contestant, split, scenario=SERVICE_PAIRS, source=KEEP)
                 for contestant, split in (("netfilter-numgen", 4999), ("netfilter-jhash", 0),
                                           (NOCLASH, 0))]
        live += [live_crowd(contestant, 0 if contestant == NOCLASH else 731)
                 for contestant in STORM_CONTESTANTS]
    if models is None:
        models = read_models(models_json())
        models.command = "race_models --json"
    return Race(live, models, "racelab --quick",
                {"kernel": "6.18.1-x", "cpu": "A <CPU> & more", "cpus": 2, "memory_gib": 23.0,
                 "date": "2026-11-21", "noclash": "abc"}, True)
