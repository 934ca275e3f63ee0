# SPDX-License-Identifier: Apache-2.0
"""The models in process: runs race_models and reads what it found."""

import json
import os
import shlex
import subprocess
from collections import Counter

from .process import LabError
from .racelab_results import (DNS, IN_STEP, MODEL, NOCLASH, STORM, STORM_CONTESTANTS, Exhaustion,
                              Models, Outcome)
from .topology import BACKENDS

PARAMETERS = ("threads", "distance_ns", "rate_cps")
TIMEOUT_S = 600


def run_models(program, quick, step):
    """Runs the program; `step` shows that it runs. Models.not_run says why if it cannot."""
    if not program or not os.path.exists(program):
        return Models(not_run="this tree has no bench/racelab/race_models")
    argv = [program, "--json", "--backends", str(len(BACKENDS)), *(["--quick"] if quick else [])]
    step.show("race_models")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            output, words = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return Models(not_run=f"race_models did not end within {TIMEOUT_S} s")
        except BaseException:
            process.terminate()
            raise
    models = Models(not_run=f"race_models failed ({process.returncode}): {words.strip()[-500:]}")
    if process.returncode in (0, 1) and output.strip():
        models = read_models(output)
    models.command = shlex.join(argv)
    if process.returncode == 1:
        models.wrong = f"race_models: {words.strip()[-500:] or 'a wrong answer'}"
    return models


def read_models(text):
    """Out of the program's JSON; LabError names what is not as agreed."""
    try:
        found = json.loads(text)
        storms = [_storm(row) for row in found["storm"]]
        pairs = [_pairs(row) for row in found["dns"]]
        exhaustion = [Exhaustion(**{name: row[name] for name in Exhaustion.__dataclass_fields__})
                      for row in found["exhaustion"]]
        centre = found.get("default") or _centre(storms)
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"race_models --json: not what was agreed: {error!r}") from error
    comparable = _longest((storm for storm in storms if _is_at(storm, centre)), _kind)
    return Models(outcomes=[*comparable.values(), *pairs], sweeps=storms, exhaustion=exhaustion,
                  seed=found.get("seed"))


def sweep(models, contestant, parameter, *, protocol="tcp", schedule=IN_STEP):
    """Storms that differ from the one that is comparable with the live run in one of PARAMETERS
    only, in its order."""
    kind = (contestant, protocol, schedule)
    centre = next((one for one in models.outcomes if one.scenario == STORM and _kind(one) == kind),
                  None)
    if centre is None:
        return []
    rest = {name: getattr(centre, name) for name in PARAMETERS if name != parameter}
    found = _longest((storm for storm in models.sweeps if _kind(storm) == kind and
                      _is_at(storm, rest)), lambda storm: getattr(storm, parameter))
    return [found[value] for value in sorted(found)]


def contestants_of(outcomes):
    """Their names in the laboratory's order, noclash last."""
    names = list(dict.fromkeys(outcome.contestant for outcome in outcomes))
    order = {name: index for index, name in enumerate(STORM_CONTESTANTS)}
    return sorted(names, key=lambda name: (name == NOCLASH, order.get(name, -1)))


def _storm(row):
    return Outcome(STORM, MODEL, row["contestant"], row["protocol"], row["schedule"],
                   sent=row["connections"], threads=row["threads"], rate_cps=row["rate_cps"],
                   distance_ns=row["distance_ns"],
                   # netfilter's search for a port ended without one: lost, but to no race
                   counters={"gave_up": row["gave_up"]} if "gave_up" in row else {},
                   **_counts(row))


def _pairs(row):
    return Outcome(DNS, MODEL, row["contestant"], "udp", IN_STEP, sent=row["queries"],
                   split_pairs=row["split_pairs"], **_counts(row))


def _counts(row):
    return {name: row[name] for name in
            ("delivered", "lost", "duplicated", "insert_failed", "clash_resolved")} | {
                "tuple_collisions": row.get("tuple_collisions", 0)}


def _centre(storms):
    """The parameters that most storms have: a sweep leaves them in one respect only."""
    return {name: Counter(getattr(storm, name) for storm in storms).most_common(1)[0][0]
            for name in PARAMETERS if storms}


def _kind(storm):
    return (storm.contestant, storm.protocol, storm.schedule)


def _longest(storms, key):
    """By `key`: sweeps cross one another, and of two storms alike the longer one counts."""
    return {key(storm): storm for storm in sorted(storms, key=lambda storm: storm.sent)}


def _is_at(storm, place):
    return all(getattr(storm, name) == place[name] for name in PARAMETERS if name in place)
