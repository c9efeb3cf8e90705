"""Draft claims from a study's results: every arm's rates, the answer, and the order of the arms."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from tarazu.pool.model import Pool
from tarazu.record.model import EmpiricalClaim, Expression, Tolerance, Value
from tarazu.results import Results
from tarazu.results.model import RATES_AND_MEAN
from tarazu.scores import ScoreTable
from tarazu.study.schema import Thresholds
from tarazu.summary import arm_order

EXACT: Final = Tolerance(relative=1e-9, absolute=1e-12)
"""Tolerance for the same computation on the same inputs, where only the order of sums may differ."""

Spread = Mapping[tuple[str, str], float]
"""(arm, rate): how much another training may change the rate, in points."""


def draft_claims(results: Results, table: ScoreTable) -> list[EmpiricalClaim]:
    """Draft claims from results.json and the scores behind it. Null values are not claimed.

    At depths analysis and responses, the tolerance is `EXACT`. At depth training it is also `EXACT`, because the seeds
    are the same, and the same machine and packages give the same numbers. But if there are several training seeds, they
    show how much training changes a number. Then the tolerance is twice the standard error of the difference between
    two such studies."""
    ids = _Ids()
    spread = seed_spread(table, Thresholds(harmless=results.thresholds.harmless, helpful=results.thresholds.helpful))
    seeds = len(set(table.seed[table.arm == results.primary_arm]))
    return [
        *_rates(results, spread, ids),
        *_over_refusal(results, ids),
        *_answer(results, seeds, ids),
        *_orders(results, ids),
    ]


def draft_pool_claims(pool: Pool) -> list[EmpiricalClaim]:
    """Draft claims from several runs pooled: the mean D with its interval and p, the verdict, and how runs differ."""
    mean, spread = pool.pooled, pool.heterogeneity
    drafted: list[tuple[str, str, float | str, str]] = [
        ("pooled-d", "/pool/pooled/estimate", mean.estimate, f"The mean D of the runs is {mean.estimate:+.1f} points."),
        ("pooled-low", "/pool/pooled/ci_low", mean.ci_low, f"Its 95 % interval begins at {mean.ci_low:+.1f} points."),
        ("pooled-high", "/pool/pooled/ci_high", mean.ci_high, f"Its 95 % interval ends at {mean.ci_high:+.1f} points."),
        ("pooled-p", "/pool/pooled/p", mean.p, f"Its p is {mean.p:.3g}."),
        ("pooled-verdict", "/pool/pooled/verdict", mean.verdict, f"The pooled verdict is: {mean.verdict}."),
        (
            "pooled-tau",
            "/pool/heterogeneity/tau",
            spread.tau,
            f"From run to run D varies with a standard deviation of {spread.tau:.1f} points.",
        ),
    ]
    return [
        EmpiricalClaim(
            kind="empirical",
            id=name,
            statement=statement,
            origin="build",
            check=Value(
                pointer=pointer, value=value, tolerance={"analysis": EXACT} if isinstance(value, float) else {}
            ),
        )
        for name, pointer, value, statement in drafted
    ]


def seed_spread(table: ScoreTable, thresholds: Thresholds) -> dict[tuple[str, str], float]:
    """For each arm with several training seeds, the tolerance of each rate at depth training, in points.

    It is twice the standard error of the difference between two means over as many seeds as the arm has.
    """
    passed = table.passed(thresholds).astype(float)
    spread: dict[tuple[str, str], float] = {}
    for arm in sorted(set(table.arm)):
        seeds = sorted(set(table.seed[table.arm == arm]))
        if len(seeds) < 2:
            continue
        by_seed = [_rates_of(table, passed, (table.arm == arm) & (table.seed == seed)) for seed in seeds]
        for index, rate in enumerate(RATES_AND_MEAN):
            values = np.array([rates[index] for rates in by_seed])
            if np.isfinite(values).all():
                spread[arm, rate] = 2 * math.sqrt(2 / len(seeds)) * float(values.std(ddof=1))
    return spread


def _rates_of(table: ScoreTable, passed: np.ndarray, where: np.ndarray) -> tuple[float, float, float]:
    """HmR, HpR and CAS, in percent, of the rows selected by `where`: means over languages, NaN if there are none."""
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
    """Unique ids of claims."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def make(self, *parts: str) -> str:
        slug = re.sub(r"[^a-z0-9_]+", "-", "-".join(parts).casefold()).strip("-_")[:56] or "claim"
        claim_id, number = slug, 1
        while claim_id in self._used:
            number += 1
            claim_id = f"{slug}-{number}"
        self._used.add(claim_id)
        return claim_id


def pointer(*parts: str) -> str:
    """The JSON Pointer (RFC 6901) for the keys `parts`."""
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
    claims = []
    for arm in arm_order(results):
        for rate in RATES_AND_MEAN:
            entry = results.arms[arm].rate_or_mean(rate)
            if entry.value is None:
                continue
            statement = f"{rate} of {arm} is {entry.value:.1f} percent, the mean over {_languages(entry.n_languages)}."
            place = pointer("arms", arm, rate, "value")
            claims.append(
                _claim(ids.make(rate, arm), statement, place, entry.value, "percent", spread.get((arm, rate), 0.0))
            )
            if rate != "CAS":
                statement = f"{rate} of {arm} is based on {entry.n} responses."
                place = pointer("arms", arm, rate, "n")
                claims.append(_claim(ids.make("n", rate, arm), statement, place, entry.n, "responses"))
    return claims


def _over_refusal(results: Results, ids: _Ids) -> list[EmpiricalClaim]:
    """How often each arm refuses safe prompts that look harmful."""
    claims = []
    for arm in arm_order(results):
        own = results.over_refusal.arms.get(arm) if results.over_refusal else None
        if own is None or own.ORR.value is None:
            continue
        over = _languages(own.ORR.n_languages)
        statement = f"The over-refusal rate of {arm} is {own.ORR.value:.1f} percent, the mean over {over}."
        place = pointer("over_refusal", "arms", arm, "ORR")
        claims.append(_claim(ids.make("ORR", arm), statement, f"{place}/value", own.ORR.value, "percent"))
        statement = f"The over-refusal rate of {arm} is based on {own.ORR.n} responses."
        claims.append(_claim(ids.make("n", "ORR", arm), statement, f"{place}/n", own.ORR.n, "responses"))
    return claims


def _languages(count: int) -> str:
    return f"{count} language" + ("" if count == 1 else "s")


def _answer(results: Results, seeds: int, ids: _Ids) -> list[EmpiricalClaim]:
    """The primary estimate, its interval, p-value and verdict, the number of languages, the ruler and the sentence."""
    primary = results.primary
    arm, unit = primary.arm, primary.unit
    what = f"the difference of {arm}'s {primary.quantity} between the groups (low minus high)"
    components = results.tradeoff.components  # null if groups were not compared
    seed_sd = components.seed_sd if components else None
    # The difference of two groups has the variance 2 seed_sd^2 / seeds, and that of two such studies has twice as much.
    training = 4 * seed_sd / math.sqrt(seeds) if seed_sd else 0.0
    statements = {
        "estimate": (f"The primary estimate, {what}, is {{:+.1f}} {unit}.", unit, training),
        "ci_low": (f"The lower end of the 95 % interval of {what} is {{:+.1f}} {unit}.", unit, training),
        "ci_high": (f"The upper end of the 95 % interval of {what} is {{:+.1f}} {unit}.", unit, training),
        "p": (f"The p-value of {what} is {{:.3g}}.", None, 0.0),
        "verdict": (f"The verdict on {what} is '{{}}'.", None, 0.0),
        "n_low": ("The primary estimate is based on {} low-resource languages.", "languages", 0.0),
        "n_high": ("The primary estimate is based on {} high-resource languages.", "languages", 0.0),
    }
    claims = []
    for key, (statement, its_unit, its_training) in statements.items():
        value = getattr(primary, key)
        if value is not None:
            place = pointer("tradeoff", "primary", key)
            text = statement.format(value)
            claims.append(_claim(ids.make("primary", key), text, place, value, its_unit, its_training))
    status = results.ruler.status
    claims.append(_claim(ids.make("ruler"), f"The ruler is '{status}'.", "/ruler/status", status, None))
    sentence = results.sentence
    claims.append(_claim(ids.make("sentence"), f"The answer in words: {sentence}", "/sentence", sentence, None))
    return claims


def _orders(results: Results, ids: _Ids) -> list[EmpiricalClaim]:
    """The arm with the highest rate, for each rate, and the order of all arms by CAS. Ties are not claimed."""
    claims = []
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
            claims.append(_expression(ids.make("highest", rate), statement, f"{calls[0]} > {rest}"))
        if rate == "CAS" and len(order) > 2 and len(set(values.values())) == len(values):
            statement = f"By CAS, the order of the arms is {', '.join(order)}."
            claims.append(_expression(ids.make("order", rate), statement, " > ".join(calls)))
    return claims


def _expression(claim_id: str, statement: str, expression: str) -> EmpiricalClaim:
    check = Expression(expression=expression)
    return EmpiricalClaim(kind="empirical", id=claim_id, statement=statement, origin="build", check=check)
