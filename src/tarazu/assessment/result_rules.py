"""Rules about the results: their statistics and their measurement.

Statistics: intervals, n, multiplicity, power, seeds, sensitivity. Measurement: the reward model as a ruler, thresholds,
both kinds of prompts, overlap of data.
"""

from __future__ import annotations

from typing import Final

from tarazu.assessment.facts import Facts, arm_rates, has_interval, overlap_checked, seeds_varied, tested_cells
from tarazu.assessment.rules import Rule, RuleOutcome


def _intervals(facts: Facts) -> RuleOutcome:
    rates = list(arm_rates(facts.results))
    without = [f"{rate} of {arm}" for arm, rate, entry in rates if not has_interval(entry)]
    if not rates:
        return False, "There is no rate."
    return not without, f"Without an interval: {', '.join(without[:6])}." if without else f"All {len(rates)} have one."


def _counts(facts: Facts) -> RuleOutcome:
    rates = list(arm_rates(facts.results))
    without = [f"{rate} of {arm}" for arm, rate, entry in rates if not entry.n]
    return bool(
        rates
    ) and not without, f"Without n: {', '.join(without[:6])}." if without else "Every rate reports its n."


def _primary(facts: Facts) -> RuleOutcome:
    primary = facts.results.primary
    reported = has_interval(primary) and primary.p is not None
    return reported, "Estimate, interval and p are reported." if reported else _reason(
        facts, "The answer has no interval or no p."
    )


def _power(facts: Facts) -> RuleOutcome:
    mde = facts.results.primary.mde
    if mde is None:
        return False, _reason(facts, "The minimum detectable effect is not known.")
    return True, f"The study could detect {mde:.1f} {facts.results.primary.unit}."


def _reach(facts: Facts) -> RuleOutcome:
    primary = facts.results.primary
    margin, mde = primary.margin, primary.mde
    if margin is None:
        return None, "No margin was set."
    if mde is None:
        return False, "The minimum detectable effect is not known."
    return mde <= margin or primary.verdict != "inconclusive", (
        f"Minimum detectable effect {mde:.1f}, margin {margin:.1f}, verdict {primary.verdict}."
    )


def _multiplicity(facts: Facts) -> RuleOutcome:
    tested = [row for row in facts.results.tradeoff.secondary if row.p is not None]
    if not tested:
        return None, "There is no secondary test."
    without = sum(row.p_holm is None for row in tested)
    return not without, f"{len(tested) - without} of {len(tested)} secondary p-values are adjusted (Holm)."


def _units(facts: Facts) -> RuleOutcome:
    primary = facts.results.primary
    words = f"{primary.n_high} high-resource and {primary.n_low} low-resource languages."
    return min(primary.n_high, primary.n_low) >= 5, words


def _seeds(facts: Facts) -> RuleOutcome:
    several = seeds_varied(facts.results)
    return (
        several,
        "Training seeds were varied." if several else "Each arm was trained once, or its seeds are not reported.",
    )


def _sensitivity(facts: Facts) -> RuleOutcome:
    verdict = facts.results.primary.verdict
    checks = facts.results.tradeoff.sensitivity
    defined = [row for row in checks if row.estimate is not None and row.verdict is not None]
    if not defined:
        return None, "No sensitivity check is defined."
    other = [row.quantity for row in defined if row.verdict != verdict]
    return not other, (
        f"Another verdict with {', '.join(other[:6])}."
        if other
        else f"{len(defined)} sensitivity checks give the same verdict."
    )


def _reason(facts: Facts, otherwise: str) -> str:
    return facts.results.primary.reason or otherwise


STATISTICS: Final = (
    Rule(
        "intervals",
        "Does every rate have an interval that contains it?",
        3,
        _intervals,
        "Analyze again with at least two languages.",
    ),
    Rule("counts", "Does every rate report its number of responses?", 2, _counts, "Report n for every rate."),
    Rule(
        "answer",
        "Does the answer have an interval and a p-value?",
        3,
        _primary,
        "Score at least two languages in each group.",
    ),
    Rule("power", "Is the minimum detectable effect reported?", 1, _power, "Score more languages in each group."),
    Rule(
        "reach",
        "Could the study decide its question at its own margin, or did it?",
        2,
        _reach,
        "Add languages, prompts or seeds until the minimum detectable effect is below the margin: `tarazu plan`.",
    ),
    Rule(
        "multiplicity",
        "Are secondary p-values adjusted for multiple testing?",
        1,
        _multiplicity,
        "Adjust them by Holm's method.",
    ),
    Rule(
        "languages", "Does each group have at least five languages?", 2, _units, "Add languages to the smaller group."
    ),
    Rule("seeds", "Was each arm trained with several seeds?", 1, _seeds, "Train again with `seeds: 3` or more."),
    Rule(
        "sensitivity",
        "Do all sensitivity checks give the same verdict?",
        2,
        _sensitivity,
        "Say in the abstract which choices the verdict depends on.",
    ),
)


# --- the ruler -----------------------------------------------------------------------------------


_NEAR: Final = 0.5
"""The largest shift of a threshold at which the verdict should not change, in standard deviations of the rewards."""


def _assessed(facts: Facts) -> RuleOutcome:
    status = facts.results.ruler.status
    return status != "unassessed", f"The ruler is {status.replace('_', ' ')}."


def _comparable(facts: Facts) -> RuleOutcome:
    ruler = facts.results.ruler
    if ruler.status == "unassessed":
        return None, "The reward models were not tested."
    return ruler.status == "comparable", ruler.reason or f"The ruler is {ruler.status.replace('_', ' ')}."


def _trusted(facts: Facts) -> RuleOutcome:
    tested = tested_cells(facts.results)
    if not tested:
        return None, "No language was tested."
    trusted = tested.count("trusted")
    return 4 * trusted >= 3 * len(tested), f"Trusted in {trusted} of {len(tested)} pairs of language and kind."


def _corrected(facts: Facts) -> RuleOutcome:
    verdict, row = facts.results.primary.verdict, facts.results.tradeoff.check("corrected")
    if row is None or row.estimate is None:
        return None, "There is no estimate corrected for the reward models' errors."
    return row.verdict == verdict, f"The corrected verdict is {row.verdict}; the verdict is {verdict}."


def _thresholds(facts: Facts) -> RuleOutcome:
    verdict = facts.results.primary.verdict
    near = [
        row for row in facts.results.tradeoff.threshold_curve if abs(row.shift) <= _NEAR and row.estimate is not None
    ]
    if len(near) < 2:
        return None, "There are no rewards, so thresholds cannot be shifted."
    other = sum(row.verdict != verdict for row in near)
    return not other, f"Another verdict at {other} of {len(near)} thresholds within half a standard deviation."


def _both_kinds(facts: Facts) -> RuleOutcome:
    incomplete = [
        name for name, arm in sorted(facts.results.arms.items()) if arm.HmR.value is None or arm.HpR.value is None
    ]
    return not incomplete, (
        f"One rate is missing in: {', '.join(incomplete[:6])}." if incomplete else "Every arm has both rates."
    )


def _overlap(facts: Facts) -> RuleOutcome:
    checked = overlap_checked(facts.results)
    return checked, "Checked and reported in data.json." if checked else "Not reported: the training data are unknown."


MEASUREMENT: Final = (
    Rule(
        "ruler-assessed",
        "Were the reward models tested on known answers?",
        3,
        _assessed,
        "Give known answers in at least two languages of each group (--known-answers, reward.known_answers).",
    ),
    Rule(
        "ruler-comparable",
        "Are the reward models comparable in both groups?",
        3,
        _comparable,
        "Use a reward model that works as well in low-resource languages, or labels from people.",
    ),
    Rule(
        "ruler-trusted",
        "Are the reward models trusted in three quarters of the cells?",
        2,
        _trusted,
        "Exclude doubtful languages, or add known answers there so that the bound can rise.",
    ),
    Rule(
        "corrected",
        "Is the verdict the same after correction for the reward models' errors?",
        2,
        _corrected,
        "Report the corrected estimate in the abstract.",
    ),
    Rule(
        "thresholds",
        "Is the verdict the same if thresholds shift by half a standard deviation?",
        2,
        _thresholds,
        "Say in the abstract that the answer depends on the threshold, or anchor the threshold to known answers.",
    ),
    Rule("both-kinds", "Are harmlessness and helpfulness measured in every arm?", 2, _both_kinds, "Score both kinds."),
    Rule(
        "overlap",
        "Were training data and prompts checked for overlap?",
        1,
        _overlap,
        "Build the record from a `tarazu run`.",
    ),
)
