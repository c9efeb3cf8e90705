"""What the comparison page shows of a record: a script with data, beside the record's page.

It is a script, because a page that was opened from a file may not fetch data. It holds plain text only, and the
comparison page shows it as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from tarazu.assessment.facts import Facts, arm_rates
from tarazu.errors import visible
from tarazu.record.contracts import Assessment
from tarazu.record.model import Claim, EmpiricalClaim, Expression, MathematicalClaim
from tarazu.results.quantity import quantity_of
from tarazu.site.record_parts import check_of
from tarazu.site.summary import Summary, clip
from tarazu.site.templates import tier_words

SCRIPT: Final = "compare.js"
_MOST_CLAIMS: Final = 300
_MOST_SETTINGS: Final = 600
_MOST_ARMS: Final = 20
_LONGEST: Final = 300


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Interval(_Shown):
    """A value with its interval."""

    name: str
    value: float
    low: float | None
    high: float | None


class SharedClaim(_Shown):
    """A claim. Two claims with one key are about the same thing. `value` is what it says of it, if that is a value."""

    key: str
    statement: str
    value: str
    verdict: str


class Compared(_Shown):
    """A record, as the comparison page shows it. `facts` has the rows in which it has one text each."""

    srch_id: str
    title: str
    page: str
    facts: dict[str, str]
    unit: str
    difference: Interval | None
    margin: float | None
    cas: tuple[Interval, ...]
    claims: tuple[SharedClaim, ...]
    settings: dict[str, str]


def compared(facts: Facts, assessment: Assessment, summary: Summary, settings: Mapping[str, Any] | None) -> Compared:
    """`settings` are those of the study in the record's lock file, if it can be read."""
    results, primary = facts.results, facts.results.primary
    shown = not facts.unmade
    low, high = primary.ci_low, primary.ci_high
    difference = None
    if shown and primary.estimate is not None:
        difference = Interval(name=_text(primary.arm), value=primary.estimate, low=low, high=high)
    rates = [(arm, entry) for arm, rate, entry in arm_rates(results) if rate == "CAS" and entry.value is not None]
    return Compared(
        srch_id=summary.srch_id,
        title=_text(summary.title),
        page=summary.page,
        facts=dict(_facts(facts, assessment, summary)),
        unit=f"{quantity_of(primary).title}, {primary.unit}",
        difference=difference,
        margin=primary.margin if shown else None,
        cas=tuple(
            Interval(name=_text(arm), value=entry.value, low=entry.ci_low, high=entry.ci_high)
            for arm, entry in rates[:_MOST_ARMS]
            if shown and entry.value is not None
        ),
        claims=tuple(
            SharedClaim(
                key=_text(_key(claim)), statement=_text(claim.statement),
                value=_text(check_of(claim).partition(" = ")[2]) if _has_value(claim) else "",
                verdict=facts.verdict(claim).replace("_", " "),
            )
            for claim in facts.claims[:_MOST_CLAIMS]
        ),
        settings=dict(_flat(settings or {}, "")),
    )  # fmt: skip


def compare_script(record: Compared) -> str:
    """The data as a script that no parser can take for anything but text."""
    text = json.dumps(record.model_dump(mode="json"), ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return f'"use strict";\n(window.tarazuCompared ??= {{}})["{record.srch_id}"] = {text};\n'


def _facts(facts: Facts, assessment: Assessment, summary: Summary) -> Iterator[tuple[str, str]]:
    results = facts.results
    models = facts.record.manifest.environment.models
    yield "Question", _text(summary.research_question)
    yield "Study", _text(summary.study)
    yield "Submitted", summary.submitted
    yield "Authors", _text("; ".join(summary.authors)) or "not named"
    starts = [f"{one.name}{f' ({one.revision})' if one.revision else ''}" for one in models if one.role == "start"]
    yield "Starting model", _text(", ".join(starts)) or "not named"
    judges = [f"{one.name}{f' ({one.revision})' if one.revision else ''}" for one in models if one.role == "reward"]
    yield "Judge", _text(", ".join(judges)) or "not named"
    prompts = (results.data or {}).get("prompts")
    rows = [row for row in prompts if isinstance(row, dict)] if isinstance(prompts, list) else []
    yield "Prompts", _text(", ".join(sorted({str(row.get("source") or "?") for row in rows}))) or "sources not named"
    if facts.unmade:
        yield "Results", "not shown, because a re-run did not give them"
    else:
        yield "Arms", _text(", ".join(sorted(results.arms)))
        yield "Languages", _text(f"{len(summary.languages)}: {', '.join(summary.language_names)}")
        cuts = results.thresholds
        yield "Thresholds", f"harmless from {cuts.harmless:g}, helpful above {cuts.helpful:g}"
        yield "Answer", summary.verdict or "none"
        yield "Ruler", results.ruler.status.replace("_", " ")
    yield "Gate", summary.gate_status.capitalize()
    yield "Level", f"L{summary.verification_level}, {summary.verification_label}"
    yield "Tier", tier_words(summary.quality_tier)
    caps = ", ".join(cap.id.replace("-", " ") for cap in assessment.review.caps)
    yield "Review score", f"{summary.review_score:.2f} of 10"
    yield "Caps", caps or "none"
    yield "Corrections", str(summary.corrections)


def _key(claim: Claim) -> str:
    """What a claim is about, whatever its words and its value."""
    if isinstance(claim, EmpiricalClaim):
        return claim.check.expression if isinstance(claim.check, Expression) else claim.check.pointer
    if isinstance(claim, MathematicalClaim):
        return claim.lean.type if claim.lean else claim.smt.negation if claim.smt else claim.id
    return " ".join(claim.quote.casefold().split())


def _has_value(claim: Claim) -> bool:
    return isinstance(claim, EmpiricalClaim) and not isinstance(claim.check, Expression)


def _flat(value: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    """Every setting by its place in the study, such as `generation.seed`."""
    pending: list[tuple[str, Any]] = [(place, value)]
    count = 0
    while pending and count < _MOST_SETTINGS:
        name, one = pending.pop(0)
        if isinstance(one, dict) and one:
            pending += [(f"{name}.{key}" if name else str(key), inner) for key, inner in one.items()]
        else:
            count += 1
            yield _text(name), _text(json.dumps(one, ensure_ascii=False, default=str))


def _text(text: str) -> str:
    return visible(clip(text, _LONGEST))
