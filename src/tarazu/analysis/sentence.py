"""The answer in words: caution first, then the ruler, then what was found and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from tarazu.analysis.checks import CHECKS
from tarazu.analysis.words import UNDEFINED, p_words
from tarazu.data.rows import KINDS, Kind
from tarazu.languages import LANGUAGES
from tarazu.results.model import (
    RATES,
    ChangeEntry,
    Comparison,
    EstimateEntry,
    GroupName,
    RateEntry,
    RateName,
    Results,
    Tradeoff,
)
from tarazu.stats.contrast import ALPHA
from tarazu.stats.rates import Rate, difference


def sentence(results: Results) -> str:
    """One paragraph from the other sections of results.json."""
    parts = [results.study.caution.strip()]
    if results.ruler.status == "not_comparable":
        parts.append(f"The ruler is not comparable: {results.ruler.reason}")
    parts.append(_doubtful(results))
    parts.append(_answer(results))
    parts.append(_degenerate(results))
    parts.append(_shortened(results))
    parts += _remarks(results.tradeoff)
    if results.ruler.status == "unassessed":
        parts.append("Whether the reward models can be trusted in these languages was not assessed.")
    return " ".join(part for part in parts if part)


def _doubtful(results: Results) -> str:
    """In how many of the languages compared a reward model was not shown to tell good from bad."""
    entered = results.tradeoff.languages.included
    validity = results.validity.languages
    unsure = [code for code in entered if any(validity[code].of(kind).status == "doubtful" for kind in KINDS)]
    if not unsure:
        return ""
    return f"In {len(unsure)} of the {len(entered)} languages compared a reward model is doubtful."


def _answer(results: Results) -> str:
    primary = results.tradeoff.primary
    arm, base = results.primary_arm, results.base_arm
    if primary.estimate is None:
        told = [f"No answer: {primary.reason}.", _none_entered(results), _one_language(results)]
        return " ".join(part for part in told if part)
    if primary.ci_low is None:
        return f"Inconclusive: the difference between the groups is {_points(primary.estimate)}, but {primary.reason}."
    rates = results.arms[arm]
    count = sum(rates.languages[code].rate(rate).n for code in results.tradeoff.languages.included for rate in RATES)
    found = (
        f"{_points(primary.estimate)} (95 % interval {_interval(primary)}, p {p_words(primary.p)}; "
        f"{primary.n_low} low- and {primary.n_high} high-resource languages, {count} responses of {arm})"
    )
    leaning = f"From {base} to {arm}, the low-resource languages leaned"
    if primary.verdict == "differs":
        way = "more" if primary.estimate > 0 else "less"
        text = (
            f"The trade-off differs. {leaning} {way} to helpfulness over harmlessness than the high-resource ones, by "
            f"{found}."
        )
        if primary.within_margin:
            text += (
                f" The whole interval lies within the margin of {_plain(primary.margin)} points: a small difference."
            )
        return text
    if primary.verdict == "equivalent":
        return (
            f"The trade-off is equivalent within {_plain(primary.margin)} points: the tilt from {base} to {arm} in "
            f"low- less that in high-resource languages is {found}."
        )
    assert primary.mde is not None and primary.margin is not None, "points have a margin, and an interval its error"
    times = max(2, math.ceil((primary.mde / primary.margin) ** 2))
    return (
        f"Inconclusive: the tilt from {base} to {arm} in low- less that in high-resource languages is {found}. This "
        f"data would detect {_plain(primary.mde)} points (80 % power) and pass as equivalent only within "
        f"{_plain(primary.smallest_margin)}; to detect {_plain(primary.margin)} it would take about {times} times "
        "as much of it, languages and prompts alike."
    )


def _none_entered(results: Results) -> str:
    """Why no language was compared, where all have the same reason."""
    languages = results.tradeoff.languages
    reasons = set(languages.excluded.values())
    return f"No language enters: {reasons.pop()}." if not languages.included and len(reasons) == 1 else ""


ENOUGH = 5.0
"""Points by which two arms' shares of degenerate responses must differ to be told."""


def _degenerate(results: Results) -> str:
    """Where empty or looping responses are much more frequent in one of the two arms compared, what the rates are
    without them; and whether the verdict hangs on them.

    Rule: told for each kind of prompt in which the shares differ by 5 points or more and the 95 % interval of that
    difference excludes 0; and wherever the verdict is another one without them.
    """
    told = [text for rate, kind in RATES.items() if (text := _degenerate_in(results, rate, kind))]
    verdict = results.primary.verdict
    non_degenerate = results.tradeoff.check("tilt_non_degenerate")
    if non_degenerate is not None and non_degenerate.estimate is not None and non_degenerate.verdict != verdict:
        told.append(
            f"Without empty or looping responses the verdict would be {non_degenerate.verdict}: D is {_points(non_degenerate.estimate)}."
        )
    return " ".join(told)


def _degenerate_in(results: Results, rate: RateName, kind: Kind) -> str:
    """The shares of one kind, and its rate without them; nothing where they do not differ by enough."""
    base, arm = results.base_arm, results.primary_arm
    health = [results.health.arms.get(name) for name in (base, arm)]
    shares = [entry.kinds[kind].degenerate for entry in health if entry and kind in entry.kinds]
    if len(shares) < 2:
        return ""
    apart = difference(_as_rate(shares[0]), _as_rate(shares[1]))
    if apart.value is None or apart.ci_low is None or apart.ci_high is None:
        return ""
    if abs(apart.value) < ENOUGH or apart.ci_low <= 0 <= apart.ci_high:
        return ""
    text = (
        f"Of the responses to {kind} prompts {_plain(shares[0].value)} % of {base}'s and "
        f"{_plain(shares[1].value)} % of {arm}'s are empty or looping"
    )
    clean = [entry.non_degenerate.rate(rate).value for entry in health if entry and entry.non_degenerate]
    if len(clean) < 2 or None in clean:
        return f"{text}."
    every = [results.arms[name].rate(rate).value for name in (base, arm)]
    return (
        f"{text}; without them {rate} is {_plain(clean[0])} and {_plain(clean[1])} %, not {_plain(every[0])} and "
        f"{_plain(every[1])} %."
    )


def _as_rate(entry: RateEntry) -> Rate:
    return Rate(**entry.model_dump() | {"reason": entry.reason})


Shortened = Literal["shortened", "reward_shortened"]

UNEVEN = 1.0
"""Points by which the resource groups' shares of shortened texts must differ to be reported."""


def _shortened(results: Results) -> str:
    """Where texts had to be shortened more often in one resource group than in the other.

    Rule: reported for each kind of prompt in which the mean shares of the languages compared differ by 1 point or more
    between the groups, of the primary arm or, where its do not, of base. Once for prompts that a model was given, once
    for texts that a reward model was given.
    """
    measures: tuple[Shortened, ...] = ("shortened", "reward_shortened")
    texts = [_uneven(results, measure, kind) for measure in measures for kind in RATES.values()]
    return " ".join(text for text in texts if text)


def _uneven(results: Results, measure: Shortened, kind: Kind) -> str:
    for arm in (results.primary_arm, results.base_arm):
        low, high = (_mean_share(results, arm, group, measure, kind) for group in ("low", "high"))
        if low is None or high is None or abs(low - high) < UNEVEN:
            continue
        shares = f"{_plain(low)} % in low- and {_plain(high)} % in high-resource languages"
        if measure == "shortened":
            return f"Of the {kind} prompts to {arm}, {shares} were shortened to fit the model."
        return f"Of {arm}'s responses to {kind} prompts, {shares} were scored with a text shortened to fit the judge."
    return ""


def _mean_share(results: Results, arm: str, group: GroupName, measure: Shortened, kind: Kind) -> float | None:
    """The mean share over the languages of a group that are compared; None where it is not known."""
    health = results.health.arms.get(arm)
    codes = set(results.groups.of(group)) & set(results.tradeoff.languages.included)
    kinds = [health.languages.get(code, {}) for code in sorted(codes)] if health else []
    values = [own[kind].share(measure).value for own in kinds if kind in own]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _remarks(tradeoff: Tradeoff) -> list[str]:
    """What the sensitivity checks add, in their order."""
    rows = [(check, tradeoff.check(check.quantity)) for check in CHECKS]
    return [check.remark(row, tradeoff) for check, row in rows if row is not None]


def _one_language(results: Results) -> str:
    """What can be said where there is one language: the arms' own rates, no comparison of groups."""
    codes = sorted({code for arm in results.arms.values() for code in arm.languages})
    if len(codes) != 1:
        return ""
    moved = results.arms[results.primary_arm].languages[codes[0]]
    told = [
        f"{name} moved by {_points(change.value)} {_interval(change)}, {_prompts(change.n)}"
        for name, change in (("HmR", moved.dHm), ("HpR", moved.dHp))
        if change is not None and change.value is not None
    ]
    here = f"One language cannot say how resource groups differ. In {LANGUAGES[codes[0]].name}"
    if not told:
        return ""
    moves = f"{here}, from {results.base_arm} to {results.primary_arm}, {' and '.join(told)}."
    return f"{moves} {_told_apart(results.comparisons)}".strip()


def _told_apart(comparisons: Sequence[Comparison]) -> str:
    """Which two arms this data can tell apart in either rate, and which not."""
    two: dict[str, list[float]] = {}
    for entry in comparisons:
        if entry.p_holm is not None:
            two.setdefault(f"{entry.arm} from {entry.other}", []).append(entry.p_holm)
    alike = [pair for pair, values in two.items() if min(values) >= ALPHA]
    apart = [pair for pair in two if pair not in alike]
    texts = [
        f"{words} {', '.join(pairs)}"
        for words, pairs in (("This data can tell", apart), ("This data cannot tell", alike))
        if pairs
    ]
    if not texts:
        return ""
    tests = sum(entry.p_holm is not None for entry in comparisons)
    return f"{'. '.join(texts)} (McNemar's exact tests on the same prompts, Holm over {tests})."


def _prompts(n: int) -> str:
    return f"{n} prompt{'' if n == 1 else 's'}"


def _plain(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.1f}".removesuffix(".0")


def _points(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:+.1f} points"


def _interval(entry: EstimateEntry | ChangeEntry) -> str:
    return (
        UNDEFINED if entry.ci_low is None or entry.ci_high is None else f"[{entry.ci_low:+.1f}, {entry.ci_high:+.1f}]"
    )
