# SPDX-License-Identifier: Apache-2.0
"""Findings from the outcomes: rows with targets, faults, and the finding in one sentence."""

from .bench_report import Row
from .racelab_results import (DNS, EXHAUSTION, IN_STEP, LIVE, MASQUERADE, MODEL, NOCLASH, PROTOCOLS,
                              SCHEDULES, SERVICE, SERVICE_PAIRS, STORM_CONTESTANTS,
                              schedule_words)

MOST_TIMES_APART = 2  # of the shares that a model and the live kernel lose
CROWDED_PERCENT = (95, 99.9)  # the occupancies that have rows


def rows(race):
    """One for each scenario and contestant, and how near the model is to the kernel."""
    found = [_storm_row(race, origin, contestant, protocol, schedule)
             for schedule in SCHEDULES for protocol in PROTOCOLS
             for contestant in STORM_CONTESTANTS for origin in (LIVE, MODEL)]
    found += [_ratio_row(race, protocol) for protocol in PROTOCOLS]
    for outcome in race.outcomes(DNS):
        found += _dns_rows(outcome)
    found += [_lost_row(outcome) for outcome in race.outcomes(SERVICE)]
    for outcome in race.outcomes(SERVICE_PAIRS):
        found += _dns_rows(outcome)
    found += [_lost_row(outcome) for outcome in race.outcomes(EXHAUSTION)]
    found += _exhaustion_rows(race.models)
    return found


def wrong(race):
    """The results that must not be: noclash at fault, or an instrument that failed."""
    found = [f"{outcome.words}, {outcome.contestant}: {outcome.failure}"
             for outcome in race.live if outcome.failure]
    for outcome in [*race.live, *race.models.outcomes, *race.models.sweeps]:
        if outcome.contestant == NOCLASH and outcome.ran and _all_faults(outcome):
            found.append(f"{outcome.words}, {outcome.origin}, noclash: {fault_words(outcome)}")
    for point in race.models.exhaustion:
        if point.contestant == NOCLASH and point.occupancy_percent < 100 and point.share < 1:
            found.append(f"noclash, {point.occupancy_percent:g} % of the ports in use: only "
                         f"{point.succeeded:,} of {point.attempts:,} connections found one")
    if race.models.wrong:
        found.append(race.models.wrong)
    return list(dict.fromkeys(found))


def finding(race):
    """The one sentence that a reader should remember, out of what was measured."""
    ours = [outcome for outcome in [*race.live, *race.models.outcomes]
            if outcome.contestant == NOCLASH and outcome.ran]
    return f"{_their_half(race)}; {_our_half(ours)}."


def times_apart(race, protocol):
    """How many times more the model loses to masquerade in step than the live kernel does, or the
    other way about; None unless both lose."""
    live, model = (race.find(origin, MASQUERADE, protocol=protocol) for origin in (LIVE, MODEL))
    if not live or not model or not live.ran or not live.lost or not model.lost:
        return None
    ratio = model.share_lost / live.share_lost
    return max(ratio, 1 / ratio)


def accounted(race):
    """Whether the live kernel counted all its losses as clashes: a storm may also lose packets to a
    queue that overflows, which would be no race at all. Empty when it lost nothing."""
    storms = [outcome for outcome in race.live if outcome.ran and outcome.contestant != NOCLASH
              and outcome.scenario != EXHAUSTION]
    lost = sum(outcome.lost for outcome in storms)
    elsewhere = sum(abs(outcome.lost - outcome.insert_failed) for outcome in storms)
    if not lost:
        return ""
    if not elsewhere:
        return (f"All {lost:,} connections that the live kernel lost are clashes: in each run its "
                "insert_failed is the number that the receiver missed.")
    return (f"{lost:,} connections were lost through the live kernel; its insert_failed and what "
            f"the receiver missed differ by {elsewhere:,}, lost or counted elsewhere.")


def fault_words(outcome):
    """`3 lost, 1 duplicated`; `none lost, none duplicated`."""
    counts = ((outcome.lost, "lost"), (outcome.duplicated, "duplicated"),
              (outcome.tuple_collisions, "with the tuple of another"),
              (outcome.bad_checksums, "damaged"),
              (outcome.wrong_sources, "from a wrong source"),
              (outcome.split_pairs, "pairs split between backends"))
    found = [f"{count:,} {what}" for count, what in counts if count]
    return ", ".join(found) or "none lost, none duplicated"


def percent(share):
    """A share of 0 to 1 for people: `26.1 %`, `0.015 %`, `none`."""
    if share == 0:
        return "none"
    value = 100 * share
    digits = 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.01 else 4
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") + " %"


def _all_faults(outcome):
    return outcome.faults + outcome.split_pairs


def _their_half(race):
    for origin in (LIVE, MODEL):
        storms = [race.find(origin, MASQUERADE, protocol=protocol) for protocol in PROTOCOLS]
        storms = [storm for storm in storms if storm and storm.ran]
        if not storms:
            continue
        who = "netfilter's masquerade" if origin == LIVE else "a model of netfilter's masquerade"
        kernel = race.machine.get("kernel", "").split("-")[0]
        if origin == LIVE and kernel:
            who = f"Linux {kernel}'s masquerade"
        lost = " and ".join(f"{percent(storm.share_lost)} of {storm.protocol.upper()}"
                            for storm in storms)
        return f"Under a load balancer's storm in step, {who} loses {lost} connections"
    return "Neither this kernel's NAT nor a model of it was run"


def _our_half(ours):
    if not ours:
        return "noclash was not run"
    faults = sum(_all_faults(outcome) for outcome in ours)
    total = sum(outcome.sent for outcome in ours)
    where = " and ".join(
        f"{count} {'live' if origin == LIVE else 'simulated'} run{'s' if count != 1 else ''}"
        for origin in (LIVE, MODEL)
        if (count := sum(outcome.origin == origin for outcome in ours)))
    if not faults:
        return (f"noclash loses none of {total:,} connections and queries, and duplicates none, in "
                f"{where}")
    worst = max(ours, key=_all_faults)
    return (f"noclash fails {faults:,} of {total:,} in {where} (worst: {worst.words}, "
            f"{worst.origin}: {fault_words(worst)})")


def _storm_row(race, origin, contestant, protocol, schedule):
    outcome = race.find(origin, contestant, protocol=protocol, schedule=schedule)
    title = f"{protocol.upper()} storm {schedule_words(schedule)}, {origin}: {contestant}"
    if contestant == NOCLASH:
        return _ours(f"{title}, lost or duplicated", outcome, "connections")
    value = outcome.lost if outcome and outcome.ran else None
    # The baseline that the project is about has to show the loss, or the storm is none.
    must_lose = contestant == MASQUERADE and schedule == IN_STEP
    return Row(f"{title}, lost", value, "connections", 1 if must_lose else None)


def _ours(title, outcome, unit):
    value = outcome.faults if outcome and outcome.ran else None
    return Row(title, value, unit, 0, at_most=True)


def _ratio_row(race, protocol):
    return Row(f"{protocol.upper()} storm in step, {MASQUERADE}: model and live kernel apart",
               times_apart(race, protocol), "x", MOST_TIMES_APART, at_most=True)


def _dns_rows(outcome):
    title = f"{outcome.words}, {outcome.origin}: {outcome.contestant}"
    split = outcome.split_pairs if outcome.ran else None
    if outcome.contestant == NOCLASH:
        return [_ours(f"{title}, lost or duplicated", outcome, "queries"),
                Row(f"{title}, split between backends", split, "pairs", 0, at_most=True)]
    return [Row(f"{title}, lost", outcome.lost if outcome.ran else None, "queries"),
            Row(f"{title}, split between backends", split, "pairs")]


def _lost_row(outcome):
    title = f"{outcome.words}, {outcome.origin}: {outcome.contestant}"
    if outcome.contestant == NOCLASH:
        return _ours(f"{title}, lost or duplicated", outcome, "connections")
    return Row(f"{title}, lost", outcome.lost if outcome.ran else None, "connections")


def _exhaustion_rows(models):
    return [Row(f"{point.occupancy_percent:g} % of a destination's ports in use, model: "
                f"{point.contestant}, connections that succeed", 100 * point.share, "%",
                100 if point.contestant == NOCLASH else None)
            for point in models.exhaustion if point.occupancy_percent in CROWDED_PERCENT]
