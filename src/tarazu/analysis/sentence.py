"""The answer in words: the caution, the ruler, then the estimate and its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tarazu.analysis.agreement.judges import unlabelled_words
from tarazu.analysis.agreement.words import people_words
from tarazu.analysis.checks import CHECKS
from tarazu.analysis.contrast import FROM_COUNTS
from tarazu.data.rows import Kind
from tarazu.preregistration.words import preregistration_words
from tarazu.results.fitting import Remark, fitted
from tarazu.results.model import (
    RATES,
    ChangeEntry,
    Comparison,
    EstimateEntry,
    GroupName,
    Measure,
    RateEntry,
    RateName,
    Results,
)
from tarazu.results.quantity import RATE_CHANGES, quantity_of
from tarazu.results.words import LONGEST_NAME, UNDEFINED, caution_words, clipped, p_words, short_names
from tarazu.stats.contrast import ALPHA
from tarazu.stats.rates import Rate, difference

_NO_RATES = "These scores have borderline prompts only, so there is no trade-off to compare."
_UNASSESSED = "Whether the reward models can be trusted in these languages was not assessed."


def worded(results: Results) -> Results:
    """The results with the answer in words: one paragraph from the other sections, of bounded length, and the remarks
    for which it has no room."""
    text, others = fitted(_remarks(results))
    caution = results.study.caution.strip()
    remarks = (*([] if caution == caution_words(caution) else [caution]), *(one.text for one in others))
    return results.model_copy(update={"sentence": text, "remarks": remarks or None})


def _remarks(results: Results) -> list[Remark]:
    """All that there is to say, in its order. What may change the verdict ranks first, then what may change a rate."""
    study, ruler = results.study, results.ruler
    has_rates = any(arm.languages for arm in results.arms.values())
    incomparable = ruler.status == "not_comparable"
    answer = _answer(results) if has_rates else _NO_RATES
    untested = ruler.status == "unassessed" and results.agreement is None and has_rates
    return [
        Remark(topic="the study's caution", rank=0, text=caution_words(study.caution)),
        Remark(topic="the ruler", rank=1, text=f"The ruler is not comparable: {ruler.reason}" if incomparable else ""),
        Remark(topic="doubtful languages", rank=3, text=_doubtful(results)),
        *(Remark(topic="the thresholds", rank=4, text=_one_sided(results, rate, kind)) for rate, kind in RATES.items()),
        Remark(topic="the answer", rank=0, text=_one_kind(results) if has_rates else ""),
        Remark(topic="the answer", rank=0, text=answer),
        Remark(topic="counts", rank=1, text=_counted(results) if has_rates else ""),
        Remark(topic="the plan", rank=1, text=preregistration_words(results.preregistration)),
        Remark(topic="power", rank=2, text=_power(results)),
        Remark(topic="one kind of prompts", rank=1, text=_by_kind(results)),
        Remark(topic="pairs of arms", rank=1, text=_distinguished(results)),
        Remark(topic="over-refusal", rank=6, text=_over_refusal(results)),
        *(
            Remark(topic=without.topic, rank=5, text=text)
            for without in (_DEGENERATE, _REPEATING)
            for text in _without(results, without)
        ),
        Remark(topic="shortened texts", rank=1, text=_shortened(results)),
        Remark(topic="responses without a label", rank=7, text=unlabelled_words(results)),
        *(Remark(topic=topic, rank=1, text=text) for topic, text in _of_checks(results)),
        Remark(topic="influence", rank=1, text=_influence(results)),
        Remark(topic="people's labels", rank=1, text=people_words(results)),
        Remark(topic="the ruler", rank=3, text=_UNASSESSED if untested else ""),
    ]


def _doubtful(results: Results) -> str:
    """In how many of the languages compared a reward model was not shown to tell good from bad."""
    compared = results.tradeoff.languages.included
    validity = results.validity.languages
    kinds = quantity_of(results.primary).kinds
    unsure = [code for code in compared if any(validity[code].of(kind).status == "doubtful" for kind in kinds)]
    if not unsure:
        return ""
    return (
        f"In {len(unsure)} of the {len(compared)} languages compared a judge was not shown to tell good from bad "
        "answers at the threshold in use (it is doubtful)."
    )


ONE_SIDED = 99.0
"""The percentage of passes, or of fails, from which a threshold is said to label nothing."""


def _one_sided(results: Results, rate: RateName, kind: Kind) -> str:
    """Where a threshold lets all or none of the responses, or of the known answers, pass: that its rate says nothing,
    and which threshold would do better."""
    in_use = results.ruler.thresholds.get(kind)
    if in_use is None:
        return ""
    texts = [
        f"{_extent(share.percent)} the {what}"
        for share, what in ((in_use.passed, "responses"), (in_use.known_passed, "known answers"))
        if share.percent is not None and not 100 - ONE_SIDED < share.percent < ONE_SIDED
    ]
    if not texts:
        return ""
    cut = f"{results.thresholds.of(kind):g}"
    text = f"At the threshold {cut}, {' and '.join(texts)} to {kind} prompts pass, so {rate} shows little."
    now, best = in_use.balanced_accuracy, in_use.best_balanced_accuracy
    if in_use.best is None or now is None or best is None or best <= now:
        return text
    return (
        f"{text} The known answers separate best at {in_use.best:.3g} (balanced accuracy {_plain(best)} %, not "
        f"{_plain(now)} %)."
    )


def _extent(percent: float) -> str:
    """A percentage next to 0 or 100 in words."""
    if percent > 50:
        return "all of" if percent == 100 else "nearly all of"
    return "none of" if percent == 0 else "hardly any of"


def _one_kind(results: Results) -> str:
    """That the answer is about one rate alone."""
    quantity = quantity_of(results.primary)
    if quantity.one_kind is None:
        return ""
    return (
        f"Both arms answered {quantity.one_kind} prompts only, so this is about the {quantity.subject}, not about the "
        "trade-off."
    )


def _answer(results: Results) -> str:
    primary, quantity = results.tradeoff.primary, quantity_of(results.primary)
    if primary.estimate is None:
        parts = [f"No answer: {_reason(primary.reason)}.", _none_included(results), _in_one_language(results)]
        return " ".join(part for part in parts if part)
    if primary.ci_low is None:
        but = _reason(primary.reason)
        return f"Inconclusive: the difference between the groups is {_points(primary.estimate)}, but {but}."
    names = _names(results)
    statement = f"from {names[results.base_arm]} to {names[results.primary_arm]}, {_compared(results)}."
    if primary.verdict == "differs":
        text = f"The {quantity.subject} differs: {statement}"
        if primary.within_margin:
            text += f" The interval lies within the margin of {_plain(primary.margin)} points: the difference is small."
        return text
    if primary.verdict == "equivalent":
        return f"The {quantity.subject} is equivalent within {_plain(primary.margin)} points: {statement}"
    return f"Inconclusive: {statement}"


def _power(results: Results) -> str:
    """What an inconclusive answer could have shown, and what it would take to show more."""
    primary = results.tradeoff.primary
    if primary.estimate is None or primary.ci_low is None or primary.verdict != "inconclusive":
        return ""
    assert primary.mde is not None and primary.margin is not None, "points have a margin, and an interval its error"
    times = max(2, math.ceil((primary.mde / primary.margin) ** 2))
    return (
        f"These data have 80 % power to detect {_plain(primary.mde)} points, and the "
        f"smallest margin for which they would show equivalence is {_plain(primary.smallest_margin)} points. Detecting "
        f"{_plain(primary.margin)} points would take about {times} times as many languages and prompts."
    )


def _over_refusal(results: Results) -> str:
    """How often the two arms compared refuse safe prompts that look harmful, and whether the change differs between the
    groups."""
    if results.over_refusal is None:
        return ""
    rates = {arm: results.over_refusal.arms.get(arm) for arm in (results.base_arm, results.primary_arm)}
    known = {arm: own.ORR for arm, own in rates.items() if own is not None and own.ORR.value is not None}
    if not known:
        return ""
    names = _names(results)
    shares = [
        f"{names[arm]} refuses {_plain(rate.value)} % [{_plain(rate.ci_low)}, {_plain(rate.ci_high)}]"
        for arm, rate in known.items()
    ]
    text = f"Of the safe prompts that look harmful, {' and '.join(shares)} (ORR, the over-refusal rate)."
    row = next((row for row in results.tradeoff.secondary if row.quantity == "dORR"), None)
    if row is None or row.estimate is None or row.ci_low is None:
        return text
    return (
        f"{text} The change of ORR in low- minus that in high-resource languages is {_points(row.estimate)}, 95 % "
        f"interval {_interval(row)} (p with Holm's correction {p_words(row.p_holm)})."
    )


def _by_kind(results: Results) -> str:
    """Where the tilt cannot be compared, the changes of the rates that can."""
    if results.primary.estimate is not None:
        return ""
    rows = [row for row in results.tradeoff.secondary if row.quantity in RATE_CHANGES and row.ci_low is not None]
    texts = [
        f"{RATE_CHANGES[row.quantity].phrase} in {row.n_low} low- minus that in {row.n_high} high-resource languages "
        f"is {_points(row.estimate)} {_interval(row)}"
        for row in rows
    ]
    return f"Of one kind of prompts alone: {'; '.join(texts)} (secondary estimates)." if texts else ""


def _counted(results: Results) -> str:
    """What counts leave open."""
    if results.primary.reason != FROM_COUNTS:
        return ""
    return (
        "The answer is from counts, without the responses: its error follows from how languages vary, and is too small "
        "by an unknown amount if all languages were given the same prompts."
    )


def _compared(results: Results) -> str:
    """The difference between the groups, with its interval and what it is based on."""
    primary, arm, quantity = results.primary, results.primary_arm, quantity_of(results.primary)
    name = _names(results)[arm]
    assert primary.estimate is not None, "the caller handles an undefined estimate"
    size = f"{abs(primary.estimate):.1f}"
    if float(size) == 0:
        comparison = "is the same, to 0.1 points, in low- as in high-resource languages"
    else:
        direction = "higher" if primary.estimate > 0 else "lower"
        comparison = f"is {size} points {direction} in low- than in high-resource languages"
    rates = results.arms[arm].languages
    count = sum(rates[code].rate(rate).n for code in results.tradeoff.languages.included for rate in quantity.rates)
    return (
        f"{quantity.phrase} {comparison} (D: {_points(primary.estimate)}, "
        f"95 % interval {_interval(primary)}, p {p_words(primary.p)}; {primary.n_low} low- and {primary.n_high} "
        f"high-resource languages, {count} responses of {name}{_labelled(results)})"
    )


def _labelled(results: Results) -> str:
    """How many of the primary arm's responses people labelled, where their labels decide."""
    if results.tradeoff.labels != "people" or results.agreement is None:
        return ""
    own = results.agreement.arms[results.primary_arm].languages
    rates = quantity_of(results.primary).rates
    count = sum(own[code].rate(rate).labelled for code in results.tradeoff.languages.included for rate in rates)
    return f", {count} of them labelled by people, whose labels decide"


def _none_included(results: Results) -> str:
    """Why no language was compared, where all have the same reason."""
    languages = results.tradeoff.languages
    reasons = set(languages.excluded.values())
    if languages.included or len(reasons) != 1:
        return ""
    return f"No language could be compared: {_reason(reasons.pop())}."


ENOUGH = 5.0
"""Points by which two arms' shares of responses of some sort must differ to be reported."""


@dataclass(frozen=True, kw_only=True)
class _Without:
    """Responses of some sort, without which results.json has rates and D: in words, and by their names there."""

    topic: str
    measure: Measure
    check: Literal["non_degenerate", "non_repeating"]
    those: str
    they: str


_DEGENERATE = _Without(
    topic="empty and looping responses",
    measure="degenerate",
    check="non_degenerate",
    those="empty or looping responses",
    they="are empty or looping",
)
_REPEATING = _Without(
    topic="repeated prompts",
    measure="repeats_prompt",
    check="non_repeating",
    those="responses that repeat their prompt",
    they="repeat the prompt",
)


def _without(results: Results, some: _Without) -> list[str]:
    """The rates without some responses, where one of the two arms compared has many more of them; and whether the
    verdict depends on them.

    Rule: rates are reported for each kind of prompt in which the shares differ by 5 points or more and the 95 %
    interval of that difference excludes 0. A different verdict without such responses is always reported.
    """
    texts = [text for rate, kind in RATES.items() if (text := _without_in(results, some, rate, kind))]
    verdict = results.primary.verdict
    check = results.tradeoff.check(some.check)
    if check is not None and check.estimate is not None and check.verdict != verdict:
        texts.append(f"Without {some.those} the verdict would be {check.verdict}: D is {_points(check.estimate)}.")
    return texts


def _without_in(results: Results, some: _Without, rate: RateName, kind: Kind) -> str:
    """The shares for one kind of prompt, and its rate without them; empty where the shares differ too little."""
    base, arm = results.base_arm, results.primary_arm
    health = [results.health.arms.get(name) for name in (base, arm)]
    shares = [entry.kinds[kind].share(some.measure) for entry in health if entry and kind in entry.kinds]
    if len(shares) < 2:
        return ""
    apart = difference(_as_rate(shares[0]), _as_rate(shares[1]))
    if apart.value is None or apart.ci_low is None or apart.ci_high is None:
        return ""
    if abs(apart.value) < ENOUGH or apart.ci_low <= 0 <= apart.ci_high:
        return ""
    short = _names(results)
    text = (
        f"Of the responses to {kind} prompts {_plain(shares[0].value)} % of {short[base]}'s and "
        f"{_plain(shares[1].value)} % of {short[arm]}'s {some.they}"
    )
    kept = [rates for entry in health if entry and (rates := entry.without(some.check))]
    clean = [rates.rate(rate).value for rates in kept]
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
    """Whether texts were shortened more often in one resource group than in the other.

    Rule: reported for each kind of prompt in which the groups' mean shares differ by 1 point or more, over the
    languages compared. The shares are the primary arm's or, where those do not differ, the base arm's. Prompts
    shortened for the model and texts shortened for the reward model are reported separately.
    """
    measures: tuple[Shortened, ...] = ("shortened", "reward_shortened")
    texts = [_uneven(results, measure, kind) for measure in measures for kind in RATES.values()]
    return " ".join(text for text in texts if text)


def _uneven(results: Results, measure: Shortened, kind: Kind) -> str:
    for arm in (results.primary_arm, results.base_arm):
        low, high = (_mean_share(results, arm, group, measure, kind) for group in ("low", "high"))
        if low is None or high is None or abs(low - high) < UNEVEN:
            continue
        name = _names(results)[arm]
        shares = f"{_plain(low)} % in low- and {_plain(high)} % in high-resource languages"
        if measure == "shortened":
            return f"Of the {kind} prompts to {name}, {shares} were shortened to fit the model."
        return f"Of {name}'s responses to {kind} prompts, {shares} were scored with a text shortened to fit the judge."
    return ""


def _mean_share(results: Results, arm: str, group: GroupName, measure: Shortened, kind: Kind) -> float | None:
    """The mean share over the languages of a group that are compared; None where it is not known."""
    health = results.health.arms.get(arm)
    codes = set(results.groups.of(group)) & set(results.tradeoff.languages.included)
    kinds = [health.languages.get(code, {}) for code in sorted(codes)] if health else []
    values = [own[kind].share(measure).value for own in kinds if kind in own]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _influence(results: Results) -> str:
    """The languages on which the verdict hinges."""
    influence = results.tradeoff.influence
    if influence is None or not influence.hinges_on:
        return ""
    rows = {row.name: row for row in influence.without if row.what == "language"}
    changed = [f"{clipped(results.name(code), LONGEST_NAME)} ({rows[code].verdict})" for code in influence.hinges_on]
    return f"The verdict hinges on single languages: it would be another without {_some(changed)}."


def _of_checks(results: Results) -> list[tuple[str, str]]:
    """What the sensitivity checks add, in their order, each with its topic."""
    tradeoff, title = results.tradeoff, quantity_of(results.primary).title
    rows = [(check, tradeoff.check(check.name)) for check in CHECKS]
    return [(check.title.format(quantity=title), check.remark(row, tradeoff)) for check, row in rows if row is not None]


def _in_one_language(results: Results) -> str:
    """With one language, the changes of the arms' rates, since groups cannot be compared."""
    codes = sorted({code for arm in results.arms.values() for code in arm.languages})
    if len(codes) != 1:
        return ""
    moved = results.arms[results.primary_arm].languages[codes[0]]
    changes = [
        f"{name} changed by {_points(change.value)} {_interval(change)} ({_basis(results, change.n)})"
        for name, change in (("HmR", moved.dHm), ("HpR", moved.dHp))
        if change is not None and change.value is not None
    ]
    if not changes:
        return ""
    names = _names(results)
    where = clipped(results.name(codes[0]), LONGEST_NAME)
    statement = (
        f"One language cannot show how resource groups differ. In {where}, from {names[results.base_arm]} to "
        f"{names[results.primary_arm]}, {' and '.join(changes)}."
    )
    if _one_by_one_unknown(results.comparisons):
        statement += (
            " These are counts, which do not show which responses answer the same prompt: intervals and tests are as "
            "if the arms had answered different ones."
        )
    return statement


MOST_PAIRS = 6
"""Pairs of arms that the sentence lists: those of four arms. Of more, it lists those with the primary arm."""
MOST_NAMES = 4


def _distinguished(results: Results) -> str:
    """With one language, which pairs of arms differ significantly in either rate, and which do not."""
    comparisons, primary = results.comparisons, results.primary_arm
    names = _names(results)
    smallest: dict[tuple[str, str], float] = {}
    for entry in comparisons:
        if entry.p_holm is not None:
            pair = entry.arm, entry.other
            smallest[pair] = min(entry.p_holm, smallest.get(pair, 1.0))
    apart = [pair for pair, p in smallest.items() if p < ALPHA]
    alike = [pair for pair in smallest if pair not in apart]
    listed = {"These data distinguish": apart, "These data do not distinguish": alike}
    many = len(smallest) > MOST_PAIRS
    if many:
        texts = [
            f"{words} {names[primary]} from "
            f"{_some([names[other] for pair in pairs for other in pair if other != primary])}"
            for words, pairs in (
                (words, [pair for pair in pairs if primary in pair]) for words, pairs in listed.items()
            )
            if pairs
        ]
        texts.append(f"Of all {len(smallest)} pairs of arms they distinguish {len(apart)}")
    else:
        texts = [
            f"{words} {', '.join(f'{names[one]} from {names[other]}' for one, other in pairs)}"
            for words, pairs in listed.items()
            if pairs
        ]
    if not smallest:
        return ""
    tests = sum(entry.p_holm is not None for entry in comparisons)
    counted = _one_by_one_unknown(comparisons)
    test = "Fisher's exact tests of the counts" if counted else "McNemar's exact tests on the same prompts"
    return f"{'. '.join(texts)} ({test}, Holm over {tests})."


def _some(names: Sequence[str]) -> str:
    """The first names, and how many others there are."""
    others = len(names) - MOST_NAMES
    return f"{', '.join(names[:MOST_NAMES])} and {others} others" if others > 1 else ", ".join(names)


def _basis(results: Results, n: int) -> str:
    """What a change in one language rests on."""
    return f"{n} {'response' if _one_by_one_unknown(results.comparisons) else 'prompt'}{'' if n == 1 else 's'}"


def _one_by_one_unknown(comparisons: Sequence[Comparison]) -> bool:
    """Whether the two arms of a comparison are known by counts alone."""
    return any(entry.only_arm is None for entry in comparisons)


def _names(results: Results) -> dict[str, str]:
    """The names of the arms as the sentence writes them."""
    return short_names(sorted(results.arms))


LONGEST_REASON = 200
"""Characters of a reason; results.json has all of it."""


def _reason(reason: str | None) -> str:
    return clipped(reason or UNDEFINED, LONGEST_REASON)


def _plain(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.1f}".removesuffix(".0")


def _points(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:+.1f} points"


def _interval(entry: EstimateEntry | ChangeEntry) -> str:
    return (
        UNDEFINED if entry.ci_low is None or entry.ci_high is None else f"[{entry.ci_low:+.1f}, {entry.ci_high:+.1f}]"
    )
