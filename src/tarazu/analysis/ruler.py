"""Can the ruler be trusted: the reward models' accuracy on known answers, per language and kind and between groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tarazu.analysis.entries import rate_entry
from tarazu.data.rows import KINDS, Kind
from tarazu.results.model import KnownAnswersEntry, KnownPerKind, RateEntry, RatePerKind, RulerEntry, Tradeoff, Validity
from tarazu.stats.contrast import ALPHA
from tarazu.stats.rates import Rate, over_languages, undefined, wilson
from tarazu.stats.ruler import Ruler, accuracy, apart_without_spread, best_cut, groups_compared, ruler_at, status
from tarazu.study.schema import Groups, Thresholds

Accuracies = dict[Kind, dict[str, Rate]]
"""By kind, then by language."""

ANCHORS = 5
"""Known answers of a kind that a language needs for a threshold of its own or a correction."""


@dataclass(frozen=True, kw_only=True)
class KnownAnswers:
    """The thresholds on known answers, by (kind, language) with at least ANCHORS of them: `rulers` measures the study's
    own thresholds, `cuts` has the thresholds that separate good from bad answers best."""

    rulers: dict[tuple[Kind, str], Ruler]
    cuts: dict[tuple[Kind, str], float]

    def tested(self, language: str) -> bool:
        """Whether both kinds can be corrected in a language."""
        return all((kind, language) in self.rulers for kind in KINDS)


def tested_thresholds(known: Sequence[Mapping[str, Any]], thresholds: Thresholds) -> KnownAnswers:
    """Rulers and cuts from the rows of known_answers.parquet."""
    rulers, cuts = {}, {}
    for (kind, code), rewards in sorted(_by_kind_and_language(known).items()):
        if len(rewards) < ANCHORS:
            continue
        good, bad = np.array(rewards).T
        rulers[kind, code] = ruler_at(good, bad, thresholds.of(kind), harmful=kind == "harmful")
        cuts[kind, code] = best_cut(good, bad)
    return KnownAnswers(rulers=rulers, cuts=cuts)


def _by_kind_and_language(known: Sequence[Mapping[str, Any]]) -> dict[tuple[Kind, str], list[tuple[float, float]]]:
    rewards: dict[tuple[Kind, str], list[tuple[float, float]]] = {}
    for row in known:
        rewards.setdefault((row["kind"], row["language"]), []).append((row["reward_good"], row["reward_bad"]))
    return rewards


def accuracies(known: Sequence[Mapping[str, Any]], languages: Sequence[str]) -> Accuracies:
    """Accuracy of each kind's reward model in each language; not defined without known answers."""
    rewards = _by_kind_and_language(known)
    nothing = undefined("no known answers in this language")
    by_kind: Accuracies = {}
    for kind in KINDS:
        pairs = {code: np.array(rewards.get((kind, code), np.empty((0, 2)))) for code in languages}
        by_kind[kind] = {code: accuracy(*rows.T) if len(rows) else nothing for code, rows in pairs.items()}
    return by_kind


def validity_section(by_kind: Accuracies, known: KnownAnswers, trusted: float) -> Validity:
    """`validity` of results.json."""

    def entry(kind: Kind, code: str) -> KnownAnswersEntry:
        rate, ruler = by_kind[kind][code], known.rulers.get((kind, code))
        return KnownAnswersEntry(
            status=status(rate, trusted),
            accuracy=rate.value,
            ci_low=rate.ci_low,
            ci_high=rate.ci_high,
            n=rate.n,
            reason=rate.reason,
            sensitivity=100 * ruler.passed_good / ruler.n if ruler else None,
            specificity=100 * ruler.failed_bad / ruler.n if ruler else None,
            anchored_threshold=known.cuts.get((kind, code)),
        )

    languages = sorted({code for rates in by_kind.values() for code in rates})
    return Validity(
        languages={
            code: KnownPerKind(harmful=entry("harmful", code), benign=entry("benign", code)) for code in languages
        }
    )


def doubtful(by_kind: Accuracies, trusted: float) -> set[str]:
    """Languages in which a reward model is doubtful for either kind."""
    return {code for rates in by_kind.values() for code, rate in rates.items() if status(rate, trusted) == "doubtful"}


def ruler_section(by_kind: Accuracies, groups: Groups, tradeoff: Tradeoff) -> RulerEntry:
    """`ruler` of results.json: are the reward models equally good in both groups of the languages compared?

    `not_comparable` where their accuracies differ (p < 0.05), since the ruler alone can then cause a difference between
    the groups. Also where the verdict changes when languages with a doubtful reward model are excluded, or when D is
    corrected for the reward models' errors, where that is defined.
    """
    included, verdict = tradeoff.languages.included, tradeoff.primary.verdict
    trusted, unbiased = tradeoff.check("tilt_trusted"), tradeoff.check("tilt_corrected")
    without_doubtful = trusted.verdict if trusted else verdict
    corrected = unbiased.verdict if unbiased and unbiased.estimate is not None else None
    members = {name: [code for code in included if groups.of(code) == name] for name in ("high", "low")}
    by_group: dict[str, dict[str, list[Rate]]] = {
        name: {kind: [by_kind[kind][code] for code in codes] for kind in KINDS} for name, codes in members.items()
    }
    values: dict[str, dict[str, list[float]]] = {
        name: {kind: [rate.value for rate in rates if rate.value is not None] for kind, rates in kinds.items()}
        for name, kinds in by_group.items()
    }
    p = groups_compared(values["high"], values["low"])
    high, low = (
        RatePerKind(
            harmful=rate_entry(_mean(by_group[name]["harmful"])), benign=rate_entry(_mean(by_group[name]["benign"]))
        )
        for name in ("high", "low")
    )
    missing = sum(rate.value is None for kinds in by_group.values() for rates in kinds.values() for rate in rates)
    apart = apart_without_spread(values["high"], values["low"])
    if p is None and apart is None:
        state, reason = (
            "unassessed",
            "The ruler was not tested: that needs known answers in two languages of each group.",
        )
    elif apart or (p is not None and p < ALPHA):
        state = "not_comparable"
        reason = f"The reward models' accuracy on known answers differs between the groups ({_both(high, low)})."
    elif without_doubtful != verdict:
        state = "not_comparable"
        reason = (
            f"Without the languages in which a reward model is doubtful, the verdict is {without_doubtful}, "
            f"not {verdict}."
        )
    elif corrected not in (verdict, None):
        state = "not_comparable"
        reason = f"Corrected for the reward models' errors, the verdict is {corrected}, not {verdict}."
    else:
        state = "comparable"
        reason = f"Its accuracy on known answers was not shown to differ between the groups ({_both(high, low)})."
    if p is None and apart is not None:
        reason += " It is the same in every language of a group, so no test of the difference is defined."
    if missing and state != "unassessed":
        reason += f" {missing} of {2 * len(included)} pairs of language and kind have no known answers."
    return RulerEntry(status=state, reason=reason, p=p, high=high, low=low)


def _mean(rates: Sequence[Rate]) -> Rate:
    counts = [rate for rate in rates if rate.value is not None]
    passed = sum(rate.value * rate.n / 100 for rate in counts if rate.value is not None)
    return over_languages(rates, wilson(passed, sum(rate.n for rate in counts)))


def _both(high: RatePerKind, low: RatePerKind) -> str:
    """Accuracies of the two groups in words."""

    def words(rate: RateEntry) -> str:
        return "not tested" if rate.value is None else f"{rate.value:.0f} %"

    parts = [
        f"{kind} prompts: {words(high.of(kind))} in high-, {words(low.of(kind))} in low-resource languages"
        for kind in KINDS
    ]
    return "; ".join(parts)
