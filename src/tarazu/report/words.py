"""Verdicts and quantities in words."""

from __future__ import annotations

from tarazu.analysis.checks import CHECKS
from tarazu.report.text import number
from tarazu.results.model import EstimateEntry, Results
from tarazu.results.quantity import QUANTITIES, quantity_of

WORDS = {
    **{one.name: one.title for one in QUANTITIES.values()},
    "dORR": "change of the over-refusal rate",
    "slope": "slope on log10 Common Crawl pages",
    **{one.part("standardised"): f"{one.title} of standardised rewards" for one in QUANTITIES.values()},
    **{one.part(check.name): check.title.format(quantity=one.title) for check in CHECKS for one in QUANTITIES.values()},
}
"""The quantity of an estimate, in words."""


def quantity_words(name: str) -> str:
    """A quantity of the trade-off in words, or its name if it has none."""
    return WORDS.get(name, name.replace("_", " "))


def remarks_beside(results: Results) -> list[str]:
    """The remarks for which the answer has no room, without the caution: pages show that on its own."""
    return [text for text in results.remarks or () if text != results.study.caution.strip()]


def verdict_words(primary: EstimateEntry) -> tuple[str, str]:
    """The verdict as a headline and what it means."""
    margin = number(primary.margin) if primary.margin is not None else "the margin"
    if primary.verdict == "differs":
        if primary.within_margin:
            return "Differs, within the margin", (
                f"The groups differ (p < 0.05), but the interval lies within ±{margin} points: a real difference "
                "that is small by the study's own standard."
            )
        direction = "higher" if (primary.estimate or 0) > 0 else "lower"
        phrase = quantity_of(primary).phrase
        return "Differs", (
            f"{phrase[0].upper()}{phrase[1:]} is {direction} in low- than in high-resource languages (p < 0.05)."
        )
    if primary.verdict == "equivalent":
        return "Equivalent", f"Any difference between the groups is smaller than {margin} points (two one-sided tests)."
    if primary.estimate is None:
        return "No answer", "The difference between the groups is not defined here."
    if primary.ci_low is None:
        why = primary.reason or "its error is not known"
        return "Inconclusive", f"The difference between the groups has no interval here: {why}."
    return "Inconclusive", (
        f"The data neither show a difference between the groups nor rule out one of {margin} points."
    )
