"""How far the judges of an ensemble disagree, and what judges could not label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from tarazu.analysis.cells import positions
from tarazu.analysis.entries import rate_entry
from tarazu.data.rows import KINDS
from tarazu.results.model import Disagreement, RateEntry, Results, Unlabelled
from tarazu.results.words import short_names
from tarazu.scores import KEY, ScoreTable
from tarazu.stats.rates import wilson
from tarazu.study.schema import Thresholds


def judges_section(members: ScoreTable | None, thresholds: Thresholds) -> tuple[Disagreement, ...]:
    """For each kind and pair of judges of it: Pearson's correlation of their rewards, and the percent of responses that
    pass by only one of the two, over the `n` responses that both judged and in each language. Empty where one judge
    decides alone.
    """
    if members is None:
        return ()
    passed = members.passed(thresholds)
    disagreements = []
    for kind in KINDS:
        by_model: dict[str, dict[Any, int]] = {}
        for index in np.flatnonzero(members.kind == kind):
            key = tuple(getattr(members, name)[index] for name in KEY if name != "reward_model")
            by_model.setdefault(members.reward_model[index], {})[key] = int(index)
        for one, other in combinations(sorted(by_model), 2):
            shared = sorted(by_model[one].keys() & by_model[other].keys())
            a, b = ([by_model[name][key] for key in shared] for name in (one, other))
            differ = passed[a] != passed[b]
            correlation = _correlation(members.reward[a], members.reward[b])
            reason = None
            if correlation is None:
                labels = shared and np.isnan(members.reward[[*a, *b]]).any()
                reason = "labels, not rewards" if labels else "fewer than 3 responses, or rewards that do not vary"
            disagreements.append(
                Disagreement(
                    kind=kind,
                    model=one,
                    other=other,
                    n=len(shared),
                    correlation=correlation,
                    labels_differ=float(100 * np.mean(differ)) if shared else None,
                    languages=_by_language(members.language[a], differ),
                    reason=reason,
                )
            )
    return tuple(disagreements)


def _by_language(language: np.ndarray, differ: np.ndarray) -> dict[str, RateEntry]:
    """The share of responses that are labelled differently, in each language."""
    return {
        code: rate_entry(wilson(float(differ[rows].sum()), len(rows)))
        for (code,), rows in sorted(positions(language).items())
    }


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 3 or not (np.ptp(a) > 0 and np.ptp(b) > 0):
        return None
    return float(np.corrcoef(a, b)[0, 1])


def unlabelled_section(table: ScoreTable, frontier: ScoreTable | None = None) -> tuple[Unlabelled, ...] | None:
    """`unlabelled` of results.json: per arm, language and kind, how many responses have no label and why. The models of
    the frontier are arms called `frontier 0.2` and so on."""
    entries = [*_unlabelled(table)]
    if frontier is not None:  # its ends are arms of the table
        entries += (one for one in _unlabelled(frontier, "frontier ") if one.arm not in ("frontier 0", "frontier 1"))
    return tuple(entries) or None


def _unlabelled(table: ScoreTable, prefix: str = "") -> Iterator[Unlabelled]:
    rows = table.unlabelled
    if rows is None or rows.reason is None:
        return
    labelled = positions(table.arm, table.language, table.kind)
    for key, places in sorted(positions(rows.arm, rows.language, rows.kind).items()):
        arm, language, kind = key
        yield Unlabelled(
            arm=f"{prefix}{arm}",
            language=language,
            kind="harmful" if kind == "harmful" else "benign",
            n=len(places),
            of=len(places) + len(labelled.get(key, ())),
            reasons=dict(sorted(Counter(map(_category, rows.reason[places].tolist())).items())),
        )


def _category(reason: str) -> str:
    """A reason without its details, which follow a colon."""
    return reason.partition(": ")[0]


def unlabelled_words(results: Results) -> str:
    """How many responses of the two arms compared have no label, for the answer in words."""
    arms = (results.base_arm, results.primary_arm)
    entries = [entry for entry in results.unlabelled or () if entry.arm in arms]
    if not entries:
        return ""
    counts = [sum(entry.n for entry in entries if entry.arm == arm) for arm in arms]
    base, primary = (short_names(sorted(results.arms))[arm] for arm in arms)
    return (
        f"The judge could not label {counts[0]} responses of {base} and {counts[1]} of {primary}; no rate includes "
        "them."
    )
