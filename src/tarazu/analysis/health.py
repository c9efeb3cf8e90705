"""Response health: properties of each arm's responses other than their rewards, and rates without degenerate ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from tarazu.analysis.cells import Cells, Grouping, group_rows, positions, to_cells
from tarazu.analysis.entries import rate_entry
from tarazu.analysis.rates import average_rates, rates_by_language
from tarazu.data import identify
from tarazu.data.rows import KINDS, Kind
from tarazu.health import refusals
from tarazu.health.repeated_prompts import repeats_prompt
from tarazu.health.repetition import is_empty, looping
from tarazu.languages import primary
from tarazu.results.model import (
    RATES,
    ArmHealth,
    Health,
    HealthEntry,
    Identifier,
    LengthEntry,
    Measure,
    RefusalErrors,
    Refusals,
    TwoRates,
)
from tarazu.scores import ScoreTable
from tarazu.stats.rates import Rate, complement, of_prompts, over_languages, undefined, wilson
from tarazu.stats.ruler import corrected_share
from tarazu.study.schema import Thresholds

MEASURES: tuple[Measure, ...] = get_args(Measure)
"""Shares of responses that are reported; `degenerate` is empty or looping. `shortened`: the prompt was, for the model
that answers; `reward_shortened`: prompt or response was, for the reward model."""

LENGTHS = ("characters", "tokens")

NO_RESPONSES = "the scores come without the responses' text"
NO_PROMPTS = "the scores come without the prompts' text"
NO_FINISH = "the scores do not say how responses ended"
NONE_SOUND = "every response is empty, looping or without text"
NONE_OWN = "every response repeats its prompt, or its text or that of its prompt is missing"
NO_SHORTENED = "the scores do not say which prompts were shortened"
NO_REWARD_SHORTENED = "the scores do not say which texts were shortened for the reward model"
NO_REASONING = "the scores do not say which responses end within their reasoning"
UNASSESSED = "the detector's errors were not measured on real responses in this language"
NOT_INSTALLED = f"{identify.PACKAGE} is not installed: pip install 'tarazu[health]'"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The properties of each response. By measure, boolean (rows,): `shows` says whether the response has the property,
    and `known` whether that could be determined. `lengths` (rows,) is NaN where unknown. `reasons` says, by (measure,
    language), why nothing could be determined there."""

    shows: Mapping[Measure, np.ndarray]
    known: Mapping[Measure, np.ndarray]
    lengths: Mapping[str, np.ndarray]
    reasons: Mapping[tuple[str, str], str]

    @property
    def non_degenerate(self) -> np.ndarray:
        """Responses known to be neither empty nor looping, boolean (rows,)."""
        return self.known["degenerate"] & ~self.shows["degenerate"]

    @property
    def non_repeating(self) -> np.ndarray:
        """Responses known not to repeat their prompt, boolean (rows,)."""
        return self.known["repeats_prompt"] & ~self.shows["repeats_prompt"]

    @property
    def untruncated(self) -> np.ndarray:
        """Responses known to have ended by themselves, boolean (rows,)."""
        return self.known["truncated"] & ~self.shows["truncated"]


def judge(table: ScoreTable) -> Judged:
    """Judge every response of a table, each distinct text once."""
    here = np.array([text is not None for text in table.response.tolist()], dtype=bool)
    texts = [text or "" for text in table.response.tolist()]
    distinct = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    place = np.fromiter(map(distinct.__getitem__, texts), np.int64, len(texts))
    empty = np.array([is_empty(text) for text in distinct], dtype=bool)[place]
    loops = looping(list(distinct))[place]
    finished = np.array([bool(finish) for finish in table.finish.tolist()], dtype=bool)
    by_language = {code: rows for (code,), rows in positions(table.language).items()}
    prompted = here & np.array([not is_empty(text or "") for text in table.prompt.tolist()], dtype=bool)
    reasons: dict[tuple[str, str], str] = {}
    language, identified = _in_language(table, here & ~empty, by_language, reasons)
    refused, judgeable = _refused(table, here, by_language, reasons)
    shows: dict[Measure, np.ndarray] = {
        "degenerate": empty | loops,
        "empty": empty,
        "looping": loops,
        "repeats_prompt": _repeats_prompt(table, prompted),
        "truncated": table.finish == "length",
        "in_language": language,
        "refused": refused,
        "shortened": table.shortened == 1,
        "reward_shortened": table.reward_shortened == 1,
        "unfinished_reasoning": table.unfinished_reasoning == 1,
    }
    known: dict[Measure, np.ndarray] = {
        **dict.fromkeys(MEASURES, here),
        "repeats_prompt": prompted,
        "truncated": finished,
        "in_language": identified,
        "refused": judgeable,
        "shortened": ~np.isnan(table.shortened),
        "reward_shortened": ~np.isnan(table.reward_shortened),
        "unfinished_reasoning": ~np.isnan(table.unfinished_reasoning),
    }
    unknown: dict[Measure, str] = {
        **dict.fromkeys(("degenerate", "empty", "looping"), NO_RESPONSES),
        "repeats_prompt": NO_PROMPTS if here.any() else NO_RESPONSES,
        "truncated": NO_FINISH,
        "shortened": NO_SHORTENED,
        "reward_shortened": NO_REWARD_SHORTENED,
        "unfinished_reasoning": NO_REASONING,
    }
    for code, rows in by_language.items():
        for measure, reason in unknown.items():
            if not known[measure][rows].any():
                reasons[measure, code] = reason
    lengths = np.array([len(text) for text in distinct], dtype=float)[place]
    return Judged(
        shows={measure: shows[measure] & known[measure] for measure in MEASURES},
        known=known,
        lengths={"characters": np.where(here, lengths, np.nan), "tokens": table.tokens},
        reasons=reasons,
    )


def judge_refusals(table: ScoreTable) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Which responses are detected as refusals, and of which that could be determined; boolean, (rows,). By language,
    why it could not be."""
    here = np.array([text is not None for text in table.response.tolist()], dtype=bool)
    by_language = {code: rows for (code,), rows in positions(table.language).items()}
    reasons: dict[tuple[str, str], str] = {}
    refused, judgeable = _refused(table, here, by_language, reasons)
    return refused, judgeable, {code: reason for (_, code), reason in reasons.items()}


def _repeats_prompt(table: ScoreTable, eligible: np.ndarray) -> np.ndarray:
    """Which of the `eligible` responses repeat their prompt."""
    rows = np.flatnonzero(eligible)
    repeats = np.zeros(len(eligible), dtype=bool)
    cut = (table.finish[rows] == "length").tolist()
    repeats[rows] = repeats_prompt(table.prompt[rows].tolist(), table.response[rows].tolist(), cut)
    return repeats


def _in_language(
    table: ScoreTable,
    eligible: np.ndarray,
    by_language: Mapping[str, np.ndarray],
    reasons: dict[tuple[str, str], str],
) -> tuple[np.ndarray, np.ndarray]:
    """Which responses are in their prompt's language, and for which of the `eligible` ones that could be determined.
    Adds to `reasons` why it could not be for the others."""
    shows, known = np.zeros(len(eligible), dtype=bool), np.zeros(len(eligible), dtype=bool)
    for code, rows in by_language.items():
        own = rows[eligible[rows]]
        if not len(own):
            reasons["in_language", code] = "no response with letters" if eligible.any() else NO_RESPONSES
        elif not identify.is_installed():
            reasons["in_language", code] = NOT_INSTALLED
        elif primary(code) not in identify.covered():
            reasons["in_language", code] = f"{identify.PACKAGE} does not know this language"
        else:
            texts = table.response[own].tolist()
            identified = identify.identify(texts)
            known[own] = [identified[text] is not None for text in texts]
            shows[own] = [identified[text] == primary(code) for text in texts]
            if not known[own].any():
                reasons["in_language", code] = "every response is too short to identify its language"
    return shows, known


def _refused(
    table: ScoreTable,
    eligible: np.ndarray,
    by_language: Mapping[str, np.ndarray],
    reasons: dict[tuple[str, str], str],
) -> tuple[np.ndarray, np.ndarray]:
    """Which responses decline to help, and for which of the `eligible` ones that could be determined. Adds to `reasons`
    why it could not be for the others."""
    shows, known = np.zeros(len(eligible), dtype=bool), np.zeros(len(eligible), dtype=bool)
    for code, rows in by_language.items():
        own = rows[eligible[rows]]
        if not len(own):
            reasons["refused", code] = NO_RESPONSES
        elif code not in refusals.judged_languages():
            reasons["refused", code] = "no known refusals in this language to judge by"
        else:
            known[own], shows[own] = True, refusals.refusing(table.response[own].tolist(), code)
    return shows, known


def cells_of(table: ScoreTable, keep: np.ndarray, thresholds: Thresholds) -> Cells | None:
    """The cells of the rows that `keep` (rows,) marks; None where it marks none."""
    if not keep.any():
        return None
    part = table.take(keep)
    return to_cells(part, group_rows(part), thresholds)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The cells of the responses that are neither empty nor looping, and of those that do not repeat their prompt."""

    non_degenerate: Cells | None
    non_repeating: Cells | None


def health_section(cells: Cells, rows: Grouping, judged: Judged, kept: Kept) -> Health:
    """`health` of results.json; `rows` groups the table into `cells`."""
    if not any(known.any() for known in judged.known.values()):
        return Health(reason=NO_RESPONSES, identifier=None, refusals=None, arms={})
    languages = sorted(set(cells.language))
    counts = {measure: (rows.count(judged.shows[measure]), rows.count(judged.known[measure])) for measure in MEASURES}
    sizes = {
        name: (rows.sum(np.nan_to_num(values)), rows.count(~np.isnan(values)))
        for name, values in judged.lengths.items()
    }
    arms = {}
    for arm in sorted(set(cells.arm)):
        over, by_language = _arm_entries(cells, arm, languages, counts, sizes, judged.reasons)
        arms[arm] = ArmHealth(
            kinds=over,
            languages=by_language,
            non_degenerate=_rates_of(kept.non_degenerate, cells, arm, NONE_SOUND),
            non_repeating=_rates_of(kept.non_repeating, cells, arm, NONE_OWN),
        )
    return Health(reason=None, identifier=_identifier_entry(languages), refusals=_refusals_entry(languages), arms=arms)


def _rates_of(kept: Cells | None, cells: Cells, arm: str, none: str) -> TwoRates | None:
    """HmR and HpR of an arm over languages, of the responses `kept` of those in `cells`; `none` says why an arm has
    none of them. None where no arm has any."""
    if kept is None:
        return None
    averages = average_rates(kept, arm, rates_by_language(kept, arm, sorted(set(cells.language))))
    reasons = {name: none if len(cells.where(arm=arm, kind=kind)) else None for name, kind in RATES.items()}
    rates = {name: rate_entry(_with_reason(averages[name], reasons[name])) for name in RATES}
    return TwoRates(HmR=rates["HmR"], HpR=rates["HpR"])


Counts = Mapping[Any, tuple[np.ndarray, np.ndarray]]
"""By measure: how many of each cell's responses show it, and of how many that is known; each (cells,)."""


def _arm_entries(
    cells: Cells,
    arm: str,
    languages: Sequence[str],
    counts: Counts,
    sizes: Counts,
    reasons: Mapping[tuple[str, str], str],
) -> tuple[dict[Kind, HealthEntry], dict[str, dict[Kind, HealthEntry]]]:
    """An arm's health by kind over languages, and by language and kind."""
    mine = np.flatnonzero(cells.arm == arm)
    by_kind = {kind: mine[places] for (kind,), places in positions(cells.kind[mine]).items()}
    by_language = {key: mine[places] for key, places in positions(cells.language[mine], cells.kind[mine]).items()}
    over: dict[Kind, HealthEntry] = {}
    each: dict[str, dict[Kind, HealthEntry]] = {code: {} for code in languages}
    for kind in KINDS:
        codes = [code for code in languages if (code, kind) in by_language]
        if not codes:
            continue
        shares = {}
        for measure in MEASURES:
            own = [
                _with_reason(_share(counts[measure], by_language[code, kind]), reasons.get((measure, code)))
                for code in codes
            ]
            why = {rate.reason for rate in own}
            pooled = over_languages(own, _share(counts[measure], by_kind[kind]))
            shares[measure] = own, _with_reason(pooled, why.pop() if len(why) == 1 else None)
        without_errors = [_without_errors(rate, code) for code, rate in zip(codes, shares["refused"][0], strict=True)]
        means = {name: [_mean(sizes[name], by_language[code, kind]) for code in codes] for name in LENGTHS}
        over[kind] = HealthEntry(
            n=int(cells.responses[by_kind[kind]].sum()),
            **{measure: rate_entry(rate) for measure, (_, rate) in shares.items()},
            refused_corrected=rate_entry(_mean_without_errors(without_errors)),
            **{name: _length(values) for name, values in means.items()},
        )
        for place, code in enumerate(codes):
            each[code][kind] = HealthEntry(
                n=int(cells.responses[by_language[code, kind]].sum()),
                **{measure: rate_entry(own[place]) for measure, (own, _) in shares.items()},
                refused_corrected=rate_entry(without_errors[place]),
                **{name: _length([values[place]]) for name, values in means.items()},
            )
    return over, each


def _without_errors(refused: Rate, code: str) -> Rate:
    """The share of refusals, corrected for the detector's errors in a language."""
    if refused.value is None:
        return refused
    errors = refusals.refusal_errors(code)
    if not errors.real:
        return undefined(UNASSESSED, refused.n)
    return corrected_share(refused, errors.detected, complement(errors.false))


def _mean_without_errors(rates: Sequence[Rate]) -> Rate:
    """The mean over the languages where the share could be corrected."""
    known = [rate for rate in rates if rate.value is not None]
    if not known:
        reasons = {rate.reason for rate in rates if rate.reason}
        return undefined(reasons.pop() if len(reasons) == 1 else UNASSESSED)
    pooled = sum(rate.value * rate.n for rate in known if rate.value is not None) / 100
    return over_languages(known, wilson(pooled, sum(rate.n for rate in known)))


def _share(counts: tuple[np.ndarray, np.ndarray], places: np.ndarray) -> Rate:
    """The share of the responses of some cells that show a property, of those of which that is known."""
    shows, known = (column[places] for column in counts)
    some = known > 0
    return of_prompts(shows[some], known[some])


def _with_reason(rate: Rate, reason: str | None) -> Rate:
    """The rate, with `reason` in place of its own if it is undefined and `reason` is given."""
    return replace(rate, reason=reason) if rate.value is None and reason else rate


def _mean(sizes: tuple[np.ndarray, np.ndarray], places: np.ndarray) -> tuple[float, int]:
    total, n = (column[places].sum() for column in sizes)
    return (float(total) / int(n) if n else float("nan")), int(n)


def _length(means: Sequence[tuple[float, int]]) -> LengthEntry:
    """The mean of the languages' mean lengths, of those that have one."""
    known = [mean for mean, n in means if n]
    n = sum(n for _, n in means)
    if not known:
        return LengthEntry(value=None, n=0, reason="not in the scores")
    return LengthEntry(value=float(np.mean(known)), n=n)


def _identifier_entry(languages: Sequence[str]) -> Identifier:
    """The identifier of languages, and how often it is right on the texts of the shipped set."""
    installed = identify.is_installed()
    return Identifier(
        name=identify.PACKAGE,
        version=identify.installed_version(),
        reason=None if installed else NOT_INSTALLED,
        languages={code: rate_entry(identifier_accuracy(code)) for code in languages} if installed else {},
    )


def identifier_accuracy(code: str) -> Rate:
    """The share of the shipped set's answers in a language that are identified as that language."""
    if primary(code) not in identify.covered():
        return undefined(f"{identify.PACKAGE} does not know this language")
    rows = refusals.read_shipped().get(code, [])
    if not rows:
        return undefined("no known texts in this language to test it on")
    texts = [text for row in rows for text in (row.good, row.bad)]
    identified = identify.identify(texts)
    codes = [identified[text] for text in texts if identified[text] is not None]
    return wilson(float(sum(name == code for name in codes)), len(codes))


def _refusals_entry(languages: Sequence[str]) -> Refusals:
    """The errors in recognising refusals, by language."""
    judged = [code for code in languages if code in refusals.judged_languages()]
    errors = {code: refusals.refusal_errors(code) for code in judged}
    return Refusals(
        languages={
            code: RefusalErrors(
                measured_on="real responses" if error.real else "shipped answers",
                detected=rate_entry(error.detected),
                false_positives=rate_entry(error.false),
            )
            for code, error in errors.items()
        }
    )
