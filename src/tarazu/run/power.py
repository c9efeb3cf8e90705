"""The power of a study's design: the differences that it can detect, before any computation."""

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
from tarazu.results.quantity import QUANTITIES, Quantity, quantity_for, quantity_of
from tarazu.stats.power import (
    ASSUMED_KAPPA,
    Components,
    Design,
    LabelNoise,
    assumed,
    detectable,
    equivalence_power,
    expected_error,
    labels_needed,
    noise_of_agreement,
    power,
    unexplained,
)
from tarazu.stats.rates import wilson
from tarazu.study import Study

DIFFERENCES = (2.0, 5.0, 10.0, 20.0)
"""Points for which the power is reported."""


def power_analysis(study: Study, prompts: Sequence[Prompt], pilot: Path | None) -> dict[str, Any]:
    """`power` of a plan: the design, the components of variance and their origin, the expected standard error of D, the
    smallest D that is detected with 80 % power, and the effect of more prompts, languages or seeds. For a study with
    people's labels, also how many it needs (`labels`).

    `pilot` is a finished run whose components are used. `reason` says why there is no comparison; null if there is one.
    Raises BadInput for a pilot without components.
    """
    quantity = quantity_for({prompt.kind for prompt in prompts} & set(KINDS))
    components = assumed(len(quantity.kinds)) if pilot is None else pilot_components(pilot, quantity)
    requests = requests_of(prompts)
    chosen = select(requests, sorted(set(requests.language)), study.groups, quantity.kinds)
    groups = Counter(study.groups.of(code) for code in chosen.languages)
    known: dict[str, Any] = {
        "quantity": quantity.name,
        "components": asdict(components),
        "assumed": pilot is None,
        "languages": {"high": groups["high"], "low": groups["low"]},
        "margin": study.analysis.margin,
        "reason": None,
    }
    if min(groups["high"], groups["low"]) < 2:
        return known | {"reason": _no_comparison(requests, groups, quantity)}
    per_kind = _prompts_per_language(requests, chosen)
    design = Design(high=groups["high"], low=groups["low"], prompts=per_kind)
    se, df = expected_error(design, components)
    more = {
        "twice the prompts": replace(design, prompts=tuple(2 * count for count in per_kind)),
        "ten times the prompts": replace(design, prompts=tuple(10 * count for count in per_kind)),
        "twice the languages in each group": replace(design, high=2 * design.high, low=2 * design.low),
        "both doubled": replace(
            design, high=2 * design.high, low=2 * design.low, prompts=tuple(2 * count for count in per_kind)
        ),
    }
    if components.seed_sd is not None:
        more["three training seeds"] = replace(design, seeds=3)
        more["ten training seeds"] = replace(design, seeds=10)
    return known | {
        "prompts": dict(zip(quantity.kinds, per_kind, strict=True)),
        "labels": _labels(study, quantity, design, components, pilot),
        "se": se,
        "df": df,
        "detectable": detectable(se, df),
        "power": [{"difference": value, "power": power(value, se, df)} for value in DIFFERENCES],
        "equivalence": equivalence_power(study.analysis.margin, se, df),
        "more": [
            {"what": what, "detectable": detectable(*expected_error(changed, components))}
            for what, changed in more.items()
        ],
    }


def requests_of(prompts: Sequence[Prompt]) -> Requests:
    """What a selection of languages needs to know of prompts."""
    return Requests(
        kind=np.array([prompt.kind for prompt in prompts], dtype=object),
        language=np.array([prompt.language for prompt in prompts], dtype=object),
        source=np.array([prompt.source for prompt in prompts], dtype=object),
    )


def _labels(
    study: Study, quantity: Quantity, design: Design, components: Components, pilot: Path | None
) -> dict[str, Any] | None:
    """How many labels of people the study needs, and the judge's agreement with them that this is based on. None for a
    study without."""
    if study.ratings is None and study.analysis.labels == "judge":
        return None
    measured = None if pilot is None else _measured_noise(pilot, quantity)
    noise = measured or noise_of_agreement(ASSUMED_KAPPA, len(quantity.kinds))
    needed = labels_needed(design, components, noise, study.analysis.margin)
    return {"kappa": None if measured else ASSUMED_KAPPA, **asdict(needed)}


def _measured_noise(pilot: Path, quantity: Quantity) -> LabelNoise | None:
    """What the judges of a run leave unexplained of people's labels; None without labels of every kind compared."""
    people = read_results(pilot / "results.json").agreement
    values = []
    for kind in quantity.kinds:
        judge = next((one for one in people.judges if one.kind == kind), None) if people else None
        rates = (judge.overall.sensitivity, judge.overall.specificity) if judge else ()
        if len(rates) < 2 or any(rate.value is None for rate in rates):
            return None
        sensitivity, specificity = ((rate.value or 0.0) / 100 for rate in rates)
        values.append(unexplained(rates[0].n, rates[1].n, sensitivity, specificity))
    return LabelNoise(unexplained=tuple(values))


def pilot_components(folder: Path, quantity: Quantity) -> Components:
    """The components of variance of a finished run. Raises BadInput if it has none, or those of another quantity."""
    path = folder / "results.json"
    if not path.is_file():
        raise BadInput(f"--pilot {folder}: has no results.json; give the folder of a finished run")
    tradeoff = read_results(path).tradeoff
    estimated = tradeoff.components
    if estimated is not None and tradeoff.primary.quantity != quantity.name:
        other = quantity_of(tradeoff.primary)
        raise BadInput(
            f"{path}: compares the {other.title}, and this study the {quantity.title}; give a pilot with "
            f"{' and '.join(quantity.kinds)} prompts{' alone' if quantity.one_kind else ''}"
        )
    if estimated is None:
        raise BadInput(
            f"{path}: its comparison of groups was not defined, so it has no variance estimates; give another pilot"
        )
    if estimated.language_sd is None:
        raise BadInput(f"{path}: {estimated.reason}; give a pilot with two prompts per language and kind, or more")
    cell_sd, prompt_sd = (
        tuple(sd.of(kind) or 0.0 for kind in quantity.kinds) for sd in (estimated.cell_sd, estimated.prompt_sd)
    )
    if not any((estimated.language_sd, *cell_sd, *prompt_sd)):
        raise BadInput(f"{path}: all its languages and prompts are alike; give a pilot in which some differ")
    return Components(
        language_sd=estimated.language_sd, cell_sd=cell_sd, prompt_sd=prompt_sd, seed_sd=estimated.seed_sd
    )


def power_text(planned: dict[str, Any]) -> str:
    """The power of a plan, for a terminal."""
    if planned["reason"]:
        return f"\nPower: {planned['reason']}\n"
    languages, prompts = planned["languages"], planned["prompts"]
    origin = "assumed components of variance; --pilot RUN uses those of a run" if planned["assumed"] else "the pilot's"
    rows = [
        "",
        f"Power, with {languages['high']} high- and {languages['low']} low-resource languages, "
        f"{' and '.join(f'{count:.0f} {kind}' for kind, count in prompts.items())} prompts each ({origin}):",
        f"  standard error of D{_of(planned)}: {planned['se']:.1f} points; 80 % power to detect "
        f"{planned['detectable']:.1f} points",
        "  power: "
        + ", ".join(f"{100 * row['power']:.0f} % at {row['difference']:g} points" for row in planned["power"]),
        f"  equivalence within {planned['margin']:g} points: shown by {100 * planned['equivalence']:.0f} % of studies "
        "without a difference",
        "  80 % power to detect: "
        + "; ".join(f"{row['detectable']:.1f} points with {row['what']}" for row in planned["more"]),
    ]
    if planned["labels"]:
        rows.append(_labels_text(planned["labels"], planned["margin"]))
    if planned["components"]["seed_sd"] is None:
        rows.append(
            "  the variation between training seeds is not known: with one seed, none of these figures includes it"
        )
    return "\n".join(rows) + "\n"


def _of(planned: Mapping[str, Any]) -> str:
    """What D compares, where that is not the tilt."""
    quantity = QUANTITIES[planned["quantity"]]
    return "" if quantity.one_kind is None else f" of the {quantity.title}"


def _labels_text(labels: Mapping[str, Any], margin: float) -> str:
    """How many labels of people the study needs."""
    every = labels["every"]
    origin = (
        "the pilot's agreement" if labels["kappa"] is None else f"assumed agreement with the judge, {labels['kappa']}"
    )
    text = (
        f"  people's labels per arm, language and kind ({origin}): {labels['tenth']} of {every} give a standard error "
        "within 10 % of that with all; "
    )
    if labels["margin"] is None:
        return text + f"to detect {margin:g} points, all {every} are too few (they detect {labels['detectable']:.1f})"
    return text + f"{labels['margin']} detect {margin:g} points with 80 % power"


def _prompts_per_language(requests: Requests, chosen: Selection) -> tuple[float, ...]:
    """The number of prompts of each kind per compared language: the harmonic mean, which determines the error."""
    counts = Counter(zip(requests.kind, requests.language, requests.source, strict=True))
    means = []
    for kind in chosen.sources:
        own = [sum(counts[kind, code, source] for source in chosen.sources[kind]) for code in chosen.languages]
        means.append(len(own) / sum(1 / count for count in own))
    return tuple(means)


def _no_comparison(requests: Requests, groups: Mapping[Any, int], quantity: Quantity) -> str:
    """Why this design cannot answer the question, and what it can estimate."""
    languages = set(requests.language)
    if len(languages) != 1:
        prompts = f"{quantity.one_kind} prompts" if quantity.one_kind else "prompts of both kinds"
        return (
            f"{groups['high']} high- and {groups['low']} low-resource languages have {prompts} from shared sources; a "
            "comparison of the groups needs at least 2 in each."
        )
    counts = Counter(requests.kind)
    halves = []
    for kind in quantity.kinds:
        half = wilson(counts[kind] // 2, counts[kind])
        if half.ci_low is not None and half.ci_high is not None:
            halves.append(f"{counts[kind]} {kind} prompts leave about {(half.ci_high - half.ci_low) / 2:.0f} points")
    return (
        "one language cannot answer the question, which compares groups of languages; more prompts do not change that. "
        f"Its own rates can be estimated: {' and '.join(halves)} on either side of a rate near 50 %."
    )
