"""The claims that a study makes by its results: every arm's rates, the answer, and the order of the arms."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from tarazu.record.model import EmpiricalClaim, Expression, Tolerance, Value
from tarazu.results import Results
from tarazu.results.model import RATES_AND_MEAN
from tarazu.scores import ScoreTable
from tarazu.study.schema import Thresholds
from tarazu.summary import arm_order

EXACT: Final = Tolerance(relative=1e-9, absolute=1e-12)
"""What the same numbers from the same inputs may differ by: the order of sums."""

Spread = Mapping[tuple[str, str], float]
"""(arm, rate): how far another training may move it, in points."""


def draft_claims(results: Results, table: ScoreTable) -> list[EmpiricalClaim]:
    """Claims drafted from results.json and the scores that it was made from. What is null there is not claimed.

    Tolerances: `EXACT` at the depths analysis and responses. At training, which draws from the same seeds, `EXACT` too
    (the same machine and packages give the same numbers) unless several training seeds tell how much a training moves a
    number; then it is twice the standard error of the difference between two such studies.
    """
    ids = _Ids()
    spread = seed_spread(table, Thresholds(harmless=results.thresholds.harmless, helpful=results.thresholds.helpful))
    seeds = len(set(table.seed[table.arm == results.primary_arm]))
    return [*_rates(results, spread, ids), *_answer(results, seeds, ids), *_orders(results, ids)]


def seed_spread(table: ScoreTable, thresholds: Thresholds) -> dict[tuple[str, str], float]:
    """For each arm with several training seeds, the tolerance of each rate at depth training, in points: twice the
    standard error of the difference between two means over as many seeds as the arm has."""
    passed = table.passed(thresholds).astype(float)
    found: dict[tuple[str, str], float] = {}
    for arm in sorted(set(table.arm)):
        seeds = sorted(set(table.seed[table.arm == arm]))
        if len(seeds) < 2:
            continue
        by_seed = [_rates_of(table, passed, (table.arm == arm) & (table.seed == seed)) for seed in seeds]
        for index, rate in enumerate(RATES_AND_MEAN):
            values = np.array([rates[index] for rates in by_seed])
            if np.isfinite(values).all():
                found[arm, rate] = 2 * math.sqrt(2 / len(seeds)) * float(values.std(ddof=1))
    return found


def _rates_of(table: ScoreTable, passed: np.ndarray, where: np.ndarray) -> tuple[float, float, float]:
    """HmR, HpR, CAS in percent of the rows `where`: means over languages; NaN where there is none."""
    means: dict[str, dict[str, float]] = {"harmful": {}, "benign": {}}
    for kind, by_language in means.items():
        for language in sorted(set(table.language[where & (table.kind == kind)])):
            cell = where & (table.kind == kind) & (table.language == language)
            by_language[language] = 100 * float(passed[cell].mean())
    harmful, benign = means["harmful"], means["benign"]
    both = [(harmful[code] + benign[code]) / 2 for code in harmful if code in benign]
    return _mean(list(harmful.values())), _mean(list(benign.values())), _mean(both)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


class _Ids:
    """Ids of claims, each given once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def make(self, *parts: str) -> str:
        slug = re.sub(r"[^a-z0-9_]+", "-", "-".join(parts).casefold()).strip("-_")[:56] or "claim"
        found, number = slug, 1
        while found in self._given:
            number += 1
            found = f"{slug}-{number}"
        self._given.add(found)
        return found


def pointer(*parts: str) -> str:
    """A JSON Pointer (RFC 6901) to the keys `parts`."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _claim(claim_id: str, statement: str, place: str, value: Any, unit: str | None, training: float = 0.0) -> Any:
    tolerance = {}
    if isinstance(value, int | float) and not isinstance(value, bool):
        at_training = Tolerance(relative=EXACT.relative, absolute=max(EXACT.absolute, training))
        tolerance = {"analysis": EXACT, "responses": EXACT, "training": at_training}
    return EmpiricalClaim(
        kind="empirical",
        id=claim_id,
        statement=statement,
        origin="build",
        check=Value(pointer=place, value=value, unit=unit, tolerance=tolerance),
    )


def _rates(results: Results, spread: Spread, ids: _Ids) -> list[EmpiricalClaim]:
    found = []
    for arm in arm_order(results):
        for rate in RATES_AND_MEAN:
            entry = results.arms[arm].rate_or_mean(rate)
            if entry.value is None:
                continue
            told = f"{rate} of {arm} is {entry.value:.1f} percent, the mean over {_languages(entry.n_languages)}."
            place = pointer("arms", arm, rate, "value")
            found.append(_claim(ids.make(rate, arm), told, place, entry.value, "percent", spread.get((arm, rate), 0.0)))
            if rate != "CAS":
                told = f"{rate} of {arm} rests on {entry.n} responses."
                place = pointer("arms", arm, rate, "n")
                found.append(_claim(ids.make("n", rate, arm), told, place, entry.n, "responses"))
    return found


def _languages(count: int) -> str:
    return f"{count} language" + ("" if count == 1 else "s")


def _answer(results: Results, seeds: int, ids: _Ids) -> list[EmpiricalClaim]:
    """The primary estimate, its interval, p and verdict, how many languages it rests on, the ruler, the sentence."""
    primary = results.primary
    arm, unit = primary.arm, primary.unit
    what = f"the difference of {arm}'s {primary.quantity} between the groups (low less high)"
    components = results.tradeoff.components  # null where groups were not compared
    seed_sd = components.seed_sd if components else None
    # Seeds give the difference of two groups the variance 2 seed_sd^2 / seeds; that of two such studies is twice it.
    training = 4 * seed_sd / math.sqrt(seeds) if seed_sd else 0.0
    told = {
        "estimate": (f"The primary estimate, {what}, is {{:+.1f}} {unit}.", unit, training),
        "ci_low": (f"The lower end of the 95 % interval of {what} is {{:+.1f}} {unit}.", unit, training),
        "ci_high": (f"The upper end of the 95 % interval of {what} is {{:+.1f}} {unit}.", unit, training),
        "p": (f"The p-value of {what} is {{:.3g}}.", None, 0.0),
        "verdict": (f"The verdict on {what} is '{{}}'.", None, 0.0),
        "n_low": ("The primary estimate rests on {} low-resource languages.", "languages", 0.0),
        "n_high": ("The primary estimate rests on {} high-resource languages.", "languages", 0.0),
    }
    found = []
    for key, (statement, its_unit, its_training) in told.items():
        value = getattr(primary, key)
        if value is not None:
            place = pointer("tradeoff", "primary", key)
            text = statement.format(value)
            found.append(_claim(ids.make("primary", key), text, place, value, its_unit, its_training))
    status = results.ruler.status
    found.append(_claim(ids.make("ruler"), f"The ruler is '{status}'.", "/ruler/status", status, None))
    sentence = results.sentence
    found.append(_claim(ids.make("sentence"), f"The answer in words: {sentence}", "/sentence", sentence, None))
    return found


def _orders(results: Results, ids: _Ids) -> list[EmpiricalClaim]:
    """Which arm is ahead on each rate, and the order of all arms by CAS; ties are not claimed."""
    found = []
    for rate in RATES_AND_MEAN:
        rates = {arm: results.arms[arm].rate_or_mean(rate).value for arm in arm_order(results)}
        values = {arm: value for arm, value in rates.items() if value is not None}
        if len(values) < 2 or len(values) < len(results.arms):
            continue
        order = sorted(values, key=lambda arm: -values[arm])
        calls = [f"{rate}({arm!r})" for arm in order]
        if values[order[0]] > values[order[1]]:
            rest = calls[1] if len(calls) == 2 else f"max({', '.join(calls[1:])})"
            statement = f"{rate} of {order[0]} is the highest of {len(order)} arms."
            found.append(_expression(ids.make("highest", rate), statement, f"{calls[0]} > {rest}"))
        if rate == "CAS" and len(order) > 2 and len(set(values.values())) == len(values):
            statement = f"By CAS the arms come in this order: {', '.join(order)}."
            found.append(_expression(ids.make("order", rate), statement, " > ".join(calls)))
    return found


def _expression(claim_id: str, statement: str, expression: str) -> EmpiricalClaim:
    check = Expression(expression=expression)
    return EmpiricalClaim(kind="empirical", id=claim_id, statement=statement, origin="build", check=check)
