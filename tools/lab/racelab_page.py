# SPDX-License-Identifier: Apache-2.0
"""The race laboratory's page: one file, nothing fetched, opening with the finding."""

from .process import LabError
from .racelab_findings import finding, wrong
from .racelab_html import bullets, command, facts, fold, paragraph, phrase, preformatted, section
from .racelab_sections import (MODELS_PLACE, exhaustion, pairs, place_of, services, storms,
                               sweeps)
from .racelab_style import STYLE


def write_page(race, name):
    """@throws LabError when the file cannot be written"""
    try:
        with open(name, "w", encoding="utf-8") as handle:
            handle.write(page(race))
    except OSError as error:
        raise LabError(f"cannot write {name}: {error.strerror}") from error


def page(race):
    """The whole of it."""
    parts = [storms(race), sweeps(race), pairs(race), services(race), exhaustion(race),
             _not_run(race), _how(race)]
    return ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            "<title>noclash: the race laboratory</title>\n"
            f"<style>{STYLE}</style>\n</head>\n<body>\n{_head(race)}<main>\n{''.join(parts)}"
            "</main>\n<footer>Made by noclash's race laboratory; docs/racelab.md tells how it "
            "measures.</footer>\n</body>\n</html>\n")


def _head(race):
    machine = race.machine
    known = (("Kernel", f"Linux {machine['kernel']}" if "kernel" in machine else ""),
             ("Machine", machine.get("cpu", "")),
             ("CPUs, memory", f"{machine['cpus']}, {machine['memory_gib']} GiB"
              if "cpus" in machine else ""),
             ("Load before the run", machine.get("load_average_before", "")),
             ("noclash", machine.get("noclash", "")),
             ("Date", machine.get("date", "")))
    faults = wrong(race)
    bad = f'<div class="wrong"><h2>Wrong</h2>{bullets(*faults)}</div>' if faults else ""
    return ('<header><p class="eyebrow">noclash · the race laboratory</p>\n'
            f"<h1>{phrase(finding(race))}</h1>\n"
            f"{facts([(name, value) for name, value in known if value != ''])}{bad}</header>\n")


def _not_run(race):
    missing = race.not_run()
    if not missing:
        return section("Not run", paragraph("Nothing: every contestant ran on this machine."))
    return section("Not run", bullets(*(f"{what}: {why}" for what, why in missing)))


def _how(race):
    parts = [paragraph("Everything on this page:"), command(race.command)]
    if race.models.command:
        parts += [f'<div id="{MODELS_PLACE}">', paragraph(
            f"All models (seed {race.models.seed}; a seed reproduces a run):"),
            command(race.models.command), "</div>"]
    parts.append(paragraph("Each live run, in network namespaces made for it: what captured at the "
                           "pod, what sent from the load balancer, and the gateway between them."))
    for outcome in race.live:
        title = f"{outcome.words}: {outcome.contestant}"
        parts.append(fold(
            title if outcome.ran else f"{title} (not run)",
            *map(command, outcome.commands),
            preformatted(outcome.configuration) if outcome.configuration else "",
            paragraph("The gateway counted: " + ", ".join(
                f"{name} {value:,}" for name, value in outcome.counters.items()))
            if outcome.counters else "", place=place_of(race, outcome)))
    return section("How to run it again", *parts)
