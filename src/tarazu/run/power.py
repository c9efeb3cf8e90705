"""What a study will be able to see: the power of its design, before anything is spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from tarazu.analysis.selection import Requests, Selection, select
from tarazu.data.rows import KINDS, Prompt
from tarazu.errors import BadInput
from tarazu.results import read_results
from tarazu.stats.power import ASSUMED, Components, Design, detectable, equivalence_power, expected_error, power
from tarazu.stats.rates import wilson
from tarazu.study import Study

DIFFERENCES = (2.0, 5.0, 10.0, 20.0)
"""Points for which the power is reported."""


def power_analysis(study: Study, prompts: Sequence[Prompt], pilot: Path | None) -> dict[str, Any]:
    """`power` of a plan: the design, the components of variance and where they are from, the standard error of D that
    they lead one to expect, the smallest D found with 80 % power, and what more prompts, languages or seeds would buy.

    `pilot` is a finished run whose components are taken. `reason` says why there is no such comparison, else null.
    Raises BadInput for a pilot that has none.
    """
    found = ASSUMED if pilot is None else pilot_components(pilot)
    requests = Requests(
        kind=np.array([prompt.kind for prompt in prompts], dtype=object),
        language=np.array([prompt.language for prompt in prompts], dtype=object),
        source=np.array([prompt.source for prompt in prompts], dtype=object),
    )
    chosen = select(requests, sorted(set(requests.language)), study.groups)
    groups = Counter(study.groups.of(code) for code in chosen.languages)
    known: dict[str, Any] = {
        "components": asdict(found),
        "assumed": pilot is None,
        "languages": {"high": groups["high"], "low": groups["low"]},
        "margin": study.analysis.margin,
        "reason": None,
    }
    if min(groups["high"], groups["low"]) < 2:
        return known | {"reason": _no_comparison(requests, groups)}
    per_kind = _prompts_per_language(requests, chosen)
    design = Design(high=groups["high"], low=groups["low"], prompts=per_kind)
    se, df = expected_error(design, found)
    more = {
        "twice the prompts": replace(design, prompts=tuple(2 * count for count in per_kind)),
        "ten times the prompts": replace(design, prompts=tuple(10 * count for count in per_kind)),
        "twice the languages in each group": replace(design, high=2 * design.high, low=2 * design.low),
        "both doubled": replace(
            design, high=2 * design.high, low=2 * design.low, prompts=tuple(2 * count for count in per_kind)
        ),
    }
    if found.seed_sd is not None:
        more["three training seeds"] = replace(design, seeds=3)
        more["ten training seeds"] = replace(design, seeds=10)
    return known | {
        "prompts": dict(zip(KINDS, per_kind, strict=True)),
        "se": se,
        "df": df,
        "detectable": detectable(se, df),
        "power": [{"difference": value, "power": power(value, se, df)} for value in DIFFERENCES],
        "equivalence": equivalence_power(study.analysis.margin, se, df),
        "more": [
            {"what": what, "detectable": detectable(*expected_error(changed, found))} for what, changed in more.items()
        ],
    }


def pilot_components(folder: Path) -> Components:
    """The components of variance of a finished run. Raises BadInput where they are not there."""
    path = folder / "results.json"
    if not path.is_file():
        raise BadInput(f"--pilot {folder}: has no results.json; give the folder of a finished run")
    found = read_results(path).tradeoff.components
    if found is None:
        raise BadInput(f"{path}: its comparison of groups was not defined, so it says nothing of their variance")
    if found.language_sd is None:
        raise BadInput(f"{path}: {found.reason}; give a pilot with two prompts per language and kind, or more")
    cell_sd, prompt_sd = (tuple(sd.of(kind) or 0.0 for kind in KINDS) for sd in (found.cell_sd, found.prompt_sd))
    if not any((found.language_sd, *cell_sd, *prompt_sd)):
        raise BadInput(f"{path}: no language or prompt differs from another in it; give a pilot in which some do")
    return Components(language_sd=found.language_sd, cell_sd=cell_sd, prompt_sd=prompt_sd, seed_sd=found.seed_sd)


def power_text(found: dict[str, Any]) -> str:
    """The same for a terminal."""
    if found["reason"]:
        return f"\nPower: {found['reason']}\n"
    languages, prompts = found["languages"], found["prompts"]
    origin = "assumed components of variance; --pilot RUN takes a run's own" if found["assumed"] else "the pilot's"
    rows = [
        "",
        f"Power, with {languages['high']} high- and {languages['low']} low-resource languages, "
        f"{prompts['harmful']:.0f} harmful and {prompts['benign']:.0f} benign prompts each ({origin}):",
        f"  standard error of D: {found['se']:.1f} points; 80 % power to detect {found['detectable']:.1f} points",
        "  power: "
        + ", ".join(f"{100 * row['power']:.0f} % at {row['difference']:g} points" for row in found["power"]),
        f"  equivalence within {found['margin']:g} points: shown by {100 * found['equivalence']:.0f} % of studies "
        "without a difference",
        "  80 % power to detect: "
        + "; ".join(f"{row['detectable']:.1f} points with {row['what']}" for row in found["more"]),
    ]
    if found["components"]["seed_sd"] is None:
        rows.append(
            "  how much training seeds differ is not known: one seed is one draw, and none of these figures includes "
            "its chance"
        )
    return "\n".join(rows) + "\n"


def _prompts_per_language(requests: Requests, chosen: Selection) -> tuple[float, ...]:
    """Prompts of each kind that a language compared has: the harmonic mean, which is what the error goes by."""
    counts = Counter(zip(requests.kind, requests.language, requests.source, strict=True))
    means = []
    for kind in KINDS:
        own = [sum(counts[kind, code, source] for source in chosen.sources[kind]) for code in chosen.languages]
        means.append(len(own) / sum(1 / count for count in own))
    return tuple(means)


def _no_comparison(requests: Requests, groups: Mapping[Any, int]) -> str:
    """Why no design of this kind answers the question, and what it can say."""
    languages = set(requests.language)
    if len(languages) != 1:
        return (
            f"{groups['high']} high- and {groups['low']} low-resource languages have prompts of both kinds from shared "
            "sources; a comparison of the groups needs at least 2 in each."
        )
    counts = Counter(requests.kind)
    halves = []
    for kind in KINDS:
        half = wilson(counts[kind] // 2, counts[kind])
        if half.ci_low is not None and half.ci_high is not None:
            halves.append(f"{counts[kind]} {kind} prompts leave about {(half.ci_high - half.ci_low) / 2:.0f} points")
    return (
        "one language cannot answer the question, which compares groups of languages, however many prompts it has. Its "
        f"own rates can be estimated: {' and '.join(halves)} on either side of a rate near 50 %."
    )
