# SPDX-License-Identifier: Apache-2.0
"""Charts with rows: what became of the connections or queries of each contestant."""

from .racelab_findings import fault_words, percent
from .racelab_results import DNS, LIVE, MODEL, STORM_CONTESTANTS, schedule_words
from .racelab_svg import WIDTH, ShareScale, circle, drawing, line, rectangle, text

# Class of its colour, and shape: contestants keep them throughout the page.
LOOKS = {"noclash": ("noclash", "circle"),
         "netfilter-masquerade": ("first", "square"), "netfilter": ("first", "square"),
         "netfilter-numgen": ("first", "square"), "netfilter-jhash": ("second", "triangle"),
         "netfilter-random": ("second", "triangle"), "10-try": ("second", "triangle"),
         "netfilter-fully-random": ("third", "diamond"), "worker-slices": ("third", "diamond")}
ROW_HEIGHT = 46


def look(contestant):
    return LOOKS.get(contestant, ("first", "square"))


def storm_chart(race, protocol, schedule):
    """Each contestant's share of lost connections, live and in the model."""
    return _lost_chart(
        f"Connections lost in the {protocol.upper()} storm {schedule_words(schedule)}",
        {contestant: {origin: race.find(origin, contestant, protocol=protocol, schedule=schedule)
                      for origin in (LIVE, MODEL)} for contestant in STORM_CONTESTANTS})


def live_chart(title, outcomes):
    """The same of live runs alone."""
    return _lost_chart(title, {outcome.contestant: {LIVE: outcome} for outcome in outcomes})


def _lost_chart(title, contestants):
    """@param contestants  {contestant: {origin: outcome or None}}"""
    scale = ShareScale(18, 60, 340)
    bottom = 8 + ROW_HEIGHT * len(contestants)
    parts = []
    for x, label in scale.ticks():
        parts += [line(x, 4, x, bottom), text(x, bottom + 16, label, anchor="middle",
                                              classes="tick")]
    said = []
    for index, (contestant, outcomes) in enumerate(contestants.items()):
        parts += _lost_row(contestant, outcomes, scale, 8 + ROW_HEIGHT * index)
        said += [f"{contestant} {origin}: {_lost_words(outcome)}"
                 for origin, outcome in outcomes.items()]
    return drawing(title, "; ".join(said), bottom + 24, parts)


def _lost_row(contestant, outcomes, scale, top):
    colour, _ = look(contestant)
    y = top + 30
    parts = [rectangle(0, top - 1, WIDTH, 20, "band"),
             text(2, top + 13, contestant, classes=f"name {colour}")]
    words = [f"{dot} {_short_lost(outcomes[origin])}"
             for origin, dot in ((LIVE, "●"), (MODEL, "○")) if origin in outcomes]
    parts.append(text(WIDTH - 2, top + 13, "   ".join(words), anchor="end", classes="value"))
    places = [scale(outcome.share_lost) for outcome in outcomes.values()
              if outcome and outcome.ran]
    if places:
        parts.append(line(min(places), y, max(places), y, f"span {colour}"))
    for origin, radius, kind in ((MODEL, 7, "hollow"), (LIVE, 4.5, "solid")):
        outcome = outcomes.get(origin)
        if outcome and outcome.ran:
            parts.append(circle(scale(outcome.share_lost), y, radius, f"{kind} {colour}"))
    return parts


def pairs_chart(outcomes):
    """The fates of the pairs of queries: answered by one backend, split, or half lost."""
    parts, said = [], []
    bar = WIDTH - 4
    for index, outcome in enumerate(outcomes):
        top = 4 + ROW_HEIGHT * index
        name = f"{outcome.contestant}, {outcome.origin}" + (
            "" if outcome.schedule == "in-step" else f", {schedule_words(outcome.schedule)}")
        parts.append(text(2, top + 12, name, classes=f"name {look(outcome.contestant)[0]}"))
        if not outcome.ran:
            parts.append(text(WIDTH - 2, top + 12, "not run", anchor="end", classes="value"))
            said.append(f"{name}: not run")
            continue
        whole, split, lost = pair_shares(outcome)
        words = f"{percent(split)} split, {outcome.lost:,} lost"
        parts.append(text(WIDTH - 2, top + 12, words, anchor="end", classes="value"))
        x = 2.0
        for share, classes in ((whole, "together"), (split, "split"), (lost, "gone")):
            parts.append(rectangle(x, top + 19, bar * share, 16, classes))
            x += bar * share
        said.append(f"{name}: {words}")
    title = "What became of pairs of DNS queries"
    return drawing(title, "; ".join(said), 6 + ROW_HEIGHT * len(outcomes), parts)


def pair_shares(outcome):
    """Shares of the pairs: both at one backend, at two, and one query (at least) lost."""
    pairs = max(1, outcome.pairs)
    split = outcome.split_pairs / pairs
    lost = min(outcome.lost / pairs, 1 - split)
    return 1 - split - lost, split, lost


def _short_lost(outcome):
    if outcome is None or not outcome.ran:
        return "not run"
    return percent(outcome.share_lost)


def _lost_words(outcome):
    if outcome is None or not outcome.ran:
        return "not run"
    return f"{outcome.lost:,} of {outcome.sent:,} lost ({fault_words(outcome)})"


def dns_outcomes(race, scenario=DNS):
    """Models first, older kernels leading; noclash last."""
    return sorted(race.outcomes(scenario),
                  key=lambda one: (one.contestant == "noclash", one.origin == LIVE))
