"""What departs from a plan, and so whether results are confirmatory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import JsonValue

from tarazu.preregistration.conduct import Answered, Conduct
from tarazu.preregistration.model import Plan, TextSet
from tarazu.results.model import GROUPS, Departure, Preregistration, Results
from tarazu.study.schema import flatten

_NO_SETTINGS: Final = ("name", "title", "caution", "sources", "reference", "data.root")
"""Keys of a study that no result depends on: names, notes, and where the data are, whose texts have digests."""
ANALYSIS_KEYS: Final = ("seed", "groups", "thresholds", "analysis")
"""Keys of the settings that an analysis of scores made elsewhere has."""


def preregistration_section(conduct: Conduct, results: Results) -> Preregistration:
    """`preregistration` of results.json. It is confirmatory only where the order is shown, every part of the plan could
    be compared, and nothing departs from it."""
    departures = tuple(sorted(_departures(conduct, results), key=lambda one: one.key))
    unchecked = tuple(_unchecked(conduct))
    reason = _why_exploratory(conduct, departures, unchecked)
    return Preregistration(
        status="exploratory" if reason else "confirmatory",
        reason=reason or "the plan came before the responses, and nothing departs from it",
        plan=conduct.frozen.sha256,
        date=conduct.frozen.plan.date,
        order=conduct.order,
        departures=departures,
        unchecked=unchecked,
    )


def _why_exploratory(conduct: Conduct, departures: tuple[Departure, ...], unchecked: tuple[str, ...]) -> str:
    reasons = []
    if conduct.order == "after_responses":
        reasons.append("the plan was made after its responses, or they were made without it")
    elif conduct.order == "not_shown":
        reasons.append("nothing shows that the plan came before the responses")
    if departures:
        count = "1 departure" if len(departures) == 1 else f"{len(departures)} departures"
        reasons.append(f"{count} from the plan")
    if unchecked:
        reasons.append(f"not compared with the plan: {', '.join(unchecked)}")
    return "; ".join(reasons)


def _unchecked(conduct: Conduct) -> Iterator[str]:
    if conduct.inputs is None:
        yield from ("generation", "known answers", "models")
    if not all(answered.shows_texts for answered in conduct.answered.values()):
        yield "texts of prompts"


def _departures(conduct: Conduct, results: Results) -> Iterator[Departure]:
    plan = conduct.frozen.plan
    yield from _of_settings(plan, conduct)
    yield from _of_prompts(plan, conduct)
    yield from _of_inputs(plan, conduct)
    yield from _differs("estimand.quantity", plan.estimand.quantity, results.tradeoff.primary.quantity)
    for group in GROUPS:
        yield from _differs(f"groups.{group}", list(plan.estimand.groups.of(group)), list(results.groups.of(group)))
    compared = results.tradeoff
    yield from _differs("compared.languages", list(plan.languages.included), list(compared.languages.included))
    yield from _differs("compared.sources", plan.languages.sources.model_dump(mode="json"), _sources(results))


def _sources(results: Results) -> JsonValue:
    sources: JsonValue = results.tradeoff.sources.model_dump(mode="json")
    return sources


def _differs(key: str, planned: JsonValue, done: JsonValue) -> Iterator[Departure]:
    if planned != done or isinstance(planned, bool) != isinstance(done, bool):
        yield Departure(key=key, planned=planned, done=done)


def _of_settings(plan: Plan, conduct: Conduct) -> Iterator[Departure]:
    """Every setting of the study; for scores made elsewhere, those that an analysis has."""
    planned, done = _settings(plan.study), _settings(conduct.settings)
    if conduct.inputs is None:
        planned, done = (
            {key: value for key, value in one.items() if key.partition(".")[0] in ANALYSIS_KEYS}
            for one in (planned, done)
        )
    for key in planned.keys() | done.keys():
        yield from _differs(key, planned.get(key), done.get(key))


def _settings(study: Mapping[str, Any]) -> dict[str, JsonValue]:
    return {
        key: value
        for key, value in flatten(dict(study)).items()
        if not any(key == name or key.startswith(f"{name}.") for name in _NO_SETTINGS)
    }


def _of_prompts(plan: Plan, conduct: Conduct) -> Iterator[Departure]:
    """The prompts that each arm answered, by kind and language."""
    arms = sorted({arm for _, _, arm in conduct.answered} | _arms(plan))
    planned: dict[tuple[str, str], TextSet] = {
        (kind, code): own for kind, by_code in plan.inputs.prompts.items() for code, own in by_code.items()
    }
    for kind, code in planned.keys() | {(kind, code) for kind, code, _ in conduct.answered}:
        wanted = planned.get((kind, code))
        done = {
            arm: _Done(answered=conduct.answered.get((kind, code, arm)), repeats=conduct.repeats.get(arm))
            for arm in arms
        }
        others = {arm: own.words() for arm, own in done.items() if not own.as_planned(wanted)}
        if len(others) == len(arms) and len(set(others.values())) == 1:
            others = {"": next(iter(others.values()))}
        for arm, words in others.items():
            of = f" of {arm}" if arm else ""
            yield Departure(key=f"prompts.{kind}.{code}{of}", planned=_texts(wanted), done=words)


def _arms(plan: Plan) -> set[str]:
    arms = plan.study.get("arms")
    return set(arms) if isinstance(arms, dict) else set()


@dataclass(frozen=True, kw_only=True)
class _Done:
    """The prompts of a cell, None where it has none, and how many responses each needs."""

    answered: Answered | None
    repeats: int | None

    def as_planned(self, wanted: TextSet | None) -> bool:
        answered = self.answered
        if answered is None or wanted is None:
            return answered is None and wanted is None
        same = answered.texts == wanted if answered.shows_texts else answered.texts.n == wanted.n
        return same and answered.complete(self.repeats)

    def words(self) -> str | None:
        if self.answered is None:
            return None
        answered = self.answered
        words = _texts(answered.texts) if answered.shows_texts else f"{answered.texts.n} prompts without texts"
        return words if answered.complete(self.repeats) else f"{words}; {answered.responses} responses"


def _texts(texts: TextSet | None) -> str | None:
    return None if texts is None else f"{texts.n} texts, sha256 {texts.sha256}"


def _of_inputs(plan: Plan, conduct: Conduct) -> Iterator[Departure]:
    """Known answers and checkpoints, where a run loaded any."""
    if conduct.inputs is None:
        return
    planned, done = plan.inputs, conduct.inputs
    for kind in planned.known_answers.keys() | done.known_answers.keys():
        wanted, had = (one.known_answers.get(kind, {}) for one in (planned, done))
        for code in wanted.keys() | had.keys():
            yield from _differs(f"known_answers.{kind}.{code}", _texts(wanted.get(code)), _texts(had.get(code)))
    for key in planned.models.keys() | done.models.keys():
        yield from _differs(f"checkpoints.{key}", planned.models.get(key), done.models.get(key))
