"""Caps: what a study cannot show limits its review score, and with the score its tier.

One table, `CAPS`. docs/records.md and the site's Verification page are written from it. A rule reads the results, which
the gate computes again from the scores, and the manifest; it reads what an author says only where the files hold
nothing else. What the files do not say counts against the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tarazu.assessment.facts import seeds_varied
from tarazu.assessment.tier import THRESHOLDS
from tarazu.data.prompts import PEOPLE_WROTE_OR_REVIEWED, REVIEWED
from tarazu.data.rows import KINDS
from tarazu.record.contracts import Cap, Tier
from tarazu.record.manifest import Model
from tarazu.record.reading import Record
from tarazu.record.verify.rerun import script_by
from tarazu.results import Results
from tarazu.study.schema import BUILTIN

_STEP: Final = 0.01
BELOW_FLAGSHIP: Final = THRESHOLDS["flagship_review_score"] - _STEP
BELOW_DOI: Final = THRESHOLDS["doi_review_score"] - _STEP
BELOW_PUBLIC: Final = THRESHOLDS["public_review_score"] - _STEP
_HIGHEST: Final[dict[float, Tier]] = {
    BELOW_FLAGSHIP: "DOI_GRADE",
    BELOW_DOI: "PUBLIC_RECORD",
    BELOW_PUBLIC: "WATCHLIST",
}
_TOY_BYTES: Final = 100 * 2**20
"""Weights of fewer bytes than this are a toy: 26 million parameters of 4 bytes, or 52 million of 2."""
_MOST_NAMED: Final = 6


@dataclass(frozen=True)
class CapRule:
    """`evaluate` says why the cap applies to a record, or None. `condition` says when, and `lift` what would end it."""

    id: str
    condition: str
    ceiling: float
    lift: str
    evaluate: Callable[[Record], str | None]

    @property
    def highest_tier(self) -> Tier:
        return _HIGHEST[self.ceiling]


def caps(record: Record) -> tuple[Cap, ...]:
    """The caps that apply to a record, in the order of the table."""
    found = ((rule, rule.evaluate(record)) for rule in CAPS)
    return tuple(
        Cap(id=rule.id, reason=reason, ceiling=rule.ceiling, highest_tier=rule.highest_tier, lift=rule.lift)
        for rule, reason in found
        if reason is not None
    )


def ceiling(applied: tuple[Cap, ...]) -> float:
    """The highest review score that the caps allow."""
    return min((cap.ceiling for cap in applied), default=10.0)


# --- the models -----------------------------------------------------------------------------------


def _toy(record: Record) -> str | None:
    starts = [model for model in record.manifest.environment.models if model.role == "start"]
    own = sorted(model.name for model in starts if model.name.startswith(BUILTIN))
    if own:
        return f"The arms start from {', '.join(own)}, a toy that comes with the package."
    if "training" in record.repro.depths and script_by(record, "training") == "package":
        return "The package's script trains its arms again, which it can do with the package's own toys only."
    sizes = [sum(file.size for file in model.files) for model in starts]
    if sizes and all(0 < size < _TOY_BYTES for size in sizes):
        return f"The largest model that the arms start from has {max(sizes) / 2**20:.1f} MiB of weights."
    return None


def _unnamed(record: Record) -> str | None:
    models = [model for model in record.manifest.environment.models if model.role != "reward"]
    if not any(model.role == "start" for model in models):
        return "The record does not say which models gave the responses."
    unidentified = [model.name for model in models if not _is_identified(model)]
    return f"By name only: {', '.join(unidentified[:_MOST_NAMED])}." if unidentified else None


def _is_identified(model: Model) -> bool:
    return bool(model.files) or model.revision is not None


def _caution(record: Record) -> str | None:
    caution = record.results.study.caution
    return f"The study itself says: {caution}" if caution else None


# --- the measurement ------------------------------------------------------------------------------


def _ruler(record: Record) -> str | None:
    results = record.results
    if results.tradeoff.labels == "people":
        return None
    if results.ruler.status == "unassessed":
        return "The judges were not tested on known answers."
    if results.ruler.status == "not_comparable":
        return "The judges are not as good in one group of languages as in the other."
    cells = list(_cells(results))
    trusted = cells.count("trusted")
    if 4 * trusted >= 3 * len(cells) and cells:
        return None
    return f"The judges are trusted in {trusted} of {len(cells)} pairs of language and kind."


def _cells(results: Results) -> Iterator[str]:
    """The status of the judges in every language that is in a group, for every kind of prompt that has a rate."""
    arm = results.arms[results.primary_arm]
    kinds = [kind for kind in KINDS if (arm.HmR if kind == "harmful" else arm.HpR).value is not None]
    for code in (*results.groups.high, *results.groups.low):
        known = results.validity.languages.get(code)
        for kind in kinds:
            yield "unassessed" if known is None else known.of(kind).status


def _prompts(record: Record) -> str | None:
    results = record.results
    reports = (results.data or {}).get("prompts")
    read = reports if isinstance(reports, list) else []
    unreviewed = {_source(report) for report in read if isinstance(report, dict) and not _is_reviewed(report)}
    named = {_source(report) for report in read if isinstance(report, dict)}
    shared = {*results.tradeoff.sources.harmful, *results.tradeoff.sources.benign}
    if not read or shared - named:
        return "The record does not say who wrote, translated or reviewed its prompts."
    if not unreviewed:
        return None
    return f"No native speaker is known to have written or reviewed the prompts of: {', '.join(sorted(unreviewed))}."


def _source(report: dict[str, object]) -> str:
    return str(report.get("source"))


def _is_reviewed(report: dict[str, object]) -> bool:
    """Whether people wrote, translated or reviewed every prompt of a source. `report` is the loader's."""
    notes = report.get("notes")
    reviewed = notes.get(REVIEWED) if isinstance(notes, dict) else None
    return _source(report) in PEOPLE_WROTE_OR_REVIEWED or (reviewed is not None and reviewed == report.get("kept"))


# --- the answer -----------------------------------------------------------------------------------


def _inconclusive(record: Record) -> str | None:
    primary = record.results.primary
    if primary.verdict is None:
        return f"There is no answer: {primary.reason or 'the estimate is not defined'}"
    return "The answer is inconclusive." if primary.verdict == "inconclusive" else None


def _low_power(record: Record) -> str | None:
    primary = record.results.primary
    if primary.mde is None:
        return "The minimum detectable effect is not known."
    if primary.margin is None:
        return "No margin says which effect is worth detecting."
    if primary.mde <= primary.margin:
        return None
    return f"Minimum detectable effect {primary.mde:.1f} {primary.unit}; margin {primary.margin:.1f}."


def _exploratory(record: Record) -> str | None:
    section = record.results.preregistration
    if section is None:
        return "No plan was registered before the responses existed, so the analysis is exploratory."
    return None if section.status == "confirmatory" else f"Exploratory: {section.reason}."


def _one_seed(record: Record) -> str | None:
    if seeds_varied(record.results):
        return None
    return "Each arm was trained once, or its seeds are not reported, so the effect of another seed is not known."


CAPS: Final = (
    CapRule(
        "toy-model",
        "the arms start from a model of the package, or from weights of less than 100 MiB",
        BELOW_PUBLIC,
        "Repeat the study with a model that people use.",
        _toy,
    ),
    CapRule(
        "caution",
        "the study has a caution of its own",
        BELOW_DOI,
        "Remove what the caution is about, and then the caution.",
        _caution,
    ),
    CapRule(
        "unnamed-model",
        "a model that gave responses is not identified by its weights' digests or a Hub revision, or none is named",
        BELOW_DOI,
        "Build the record from a `tarazu run`, with local weights or with `model.revision`.",
        _unnamed,
    ),
    CapRule(
        "ruler",
        "the judges are not comparable in both groups, were not tested, or are trusted in less than three quarters of "
        "the pairs of language and kind; people's labels lift it (`analysis.labels`)",
        BELOW_DOI,
        "Give known answers, use judges that are trusted in these languages, or let people's labels decide.",
        _ruler,
    ),
    CapRule(
        "unreviewed-prompts",
        "a prompt that was evaluated is machine-authored or machine-translated and no native speaker is known to have "
        "reviewed it, or nothing says who wrote it",
        BELOW_DOI,
        "Have native speakers review the prompts, and put their names into `reviewed` of each row.",
        _prompts,
    ),
    CapRule(
        "inconclusive",
        "the answer is inconclusive, or there is none",
        BELOW_FLAGSHIP,
        "Add languages, prompts or seeds until the answer is decided: `tarazu plan` says how many.",
        _inconclusive,
    ),
    CapRule(
        "low-power",
        "the minimum detectable effect is above the margin, or not known",
        BELOW_FLAGSHIP,
        "Add languages, prompts or seeds until the minimum detectable effect is at most the margin: `tarazu plan`.",
        _low_power,
    ),
    CapRule(
        "exploratory",
        "no plan was registered before the responses existed, or the results depart from it",
        BELOW_FLAGSHIP,
        "Register a plan (`tarazu preregister`) before the first response exists, and run the study by it.",
        _exploratory,
    ),
    CapRule(
        "one-seed",
        "each arm was trained with one seed, or the seeds are not reported",
        BELOW_FLAGSHIP,
        "Train every arm with several seeds (`seeds` in the study).",
        _one_seed,
    ),
)
"""Every rule. The lowest ceiling among those that apply is the record's."""


def table() -> str:
    """The rules as a table in Markdown."""
    rows = [
        f"| {rule.id} | {rule.condition} | {rule.ceiling:.2f} | {rule.highest_tier} | {rule.lift} |" for rule in CAPS
    ]
    head = "| cap | applies where | score at most | tier at most | what lifts it |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows])
