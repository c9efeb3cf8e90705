"""D by people's labels of a random part of the responses, with the judge's labels of all of them."""

from __future__ import annotations

from tarazu.analysis.agreement.labels import by_people, labelled_languages
from tarazu.analysis.check import Check, Checked, CheckInputs
from tarazu.analysis.contrast import contrast
from tarazu.results.model import EstimateEntry, Tradeoff
from tarazu.stats.contrast import infer_nothing


def _estimate(inputs: CheckInputs) -> Checked | None:
    if inputs.people is None or not inputs.judged:
        return None
    chosen = labelled_languages(inputs.people, inputs.chosen)
    pairs = by_people(inputs.people, chosen, inputs.groups)
    effects = contrast(pairs, chosen, inputs.groups, inputs.quantity.kinds)
    if not effects.languages:
        return Checked(
            infer_nothing(f"in no language did people label responses of both arms to {_prompts(inputs)}"), effects.low
        )
    return Checked(effects.difference(), effects.low)


def _prompts(inputs: CheckInputs) -> str:
    kind = inputs.quantity.one_kind
    return "both kinds of prompt" if kind is None else f"{kind} prompts"


def _remark(people: EstimateEntry, tradeoff: Tradeoff) -> str:
    """Whether people's labels give the same verdict as the judge's."""
    verdict = tradeoff.primary.verdict
    if tradeoff.primary.estimate is None:
        return ""
    if people.estimate is None or people.ci_low is None:
        return f"By people's labels there is no answer: {people.reason}."
    numbers = f"D: {people.estimate:+.1f} points, 95 % interval [{people.ci_low:+.1f}, {people.ci_high:+.1f}]"
    if people.verdict == verdict:
        return f"By people's labels the verdict is the same ({numbers})."
    return f"Warning: by people's labels the verdict is {people.verdict}, not {verdict} ({numbers})."


CHECK = Check(
    place=45, name="people", title="{quantity} by people's labels of a part", estimate=_estimate, remark=_remark
)
