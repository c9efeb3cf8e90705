"""People's labels beside the scores: which responses they belong to, and effects by them in place of the judge's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tarazu.analysis.cells import Cells, Pairs, among
from tarazu.analysis.selection import Selection
from tarazu.data.rows import KINDS, Kind
from tarazu.errors import BadInput
from tarazu.judge.ratings import KEY, Rating
from tarazu.scores import ScoreTable
from tarazu.stats.prediction_powered import Responses, correction, judge_weights
from tarazu.study.schema import Groups


@dataclass(frozen=True, kw_only=True)
class Rated:
    """A table of scores with people's labels (`scores`), all of its responses with them (`table`: also those that the
    judge could not label), and the labels one by one.

    `rows` (responses,) are the rows of the table that have a label. `labels` (responses, raters) numbers the labels as
    they were written, -1 where a person gave none.
    """

    scores: ScoreTable
    table: ScoreTable
    raters: tuple[str, ...]
    rows: np.ndarray
    labels: np.ndarray
    matched: int
    cannot_tell: int
    unmatched: int
    revised: int


def with_people(table: ScoreTable, ratings: Sequence[Rating]) -> Rated:
    """Find the responses that people labelled.

    People's label of a response is that of the majority; 0.5 where they are divided. Empty labels, and those whose
    class means neither 1 nor 0, do not count. Raises BadInput if no label belongs to a response of the table.
    """
    every = table.responses
    place = _places(every, {one.response for one in ratings})
    matched = [one for one in ratings if one.response in place]
    if not matched:
        first = ratings[0]
        raise BadInput(
            f"ratings: none of the {len(ratings)} labels belongs to a response of the scores; the first is of "
            f"({', '.join(map(str, first.response))}); its {', '.join(KEY)} must be those of a row of the scores"
        )
    raters = tuple(sorted({one.rater for one in matched}))
    rows = np.array(sorted({place[one.response] for one in matched}), dtype=np.int64)
    line = {row: index for index, row in enumerate(rows.tolist())}
    column = {name: index for index, name in enumerate(raters)}
    classes = {name: index for index, name in enumerate(sorted({one.label for one in matched if one.label}))}
    labels = np.full((len(rows), len(raters)), -1)
    outcomes = np.full(labels.shape, np.nan)
    for one in matched:
        spot = line[place[one.response]], column[one.rater]
        labels[spot] = -1 if one.label is None else classes[one.label]
        outcomes[spot] = np.nan if one.outcome is None else one.outcome
    people = np.full(len(every.arm), np.nan)
    people[rows] = _majority(outcomes)
    members = (
        None if table.members is None else replace(table.members, people=_of_members(table.members, every, people))
    )
    return Rated(
        scores=replace(table, people=people[: len(table.arm)], members=members),
        table=replace(every, people=people, members=members),
        raters=raters,
        rows=rows,
        labels=labels,
        matched=len(matched),
        cannot_tell=sum(one.label is None for one in matched),
        unmatched=len(ratings) - len(matched),
        revised=sum(one.revisions > 0 for one in matched),
    )


def _places(table: ScoreTable, wanted: set[tuple[str, str, str, str, int, int]]) -> dict[tuple[object, ...], int]:
    """The row of each wanted response."""
    keys = zip(*(getattr(table, name).tolist() for name in KEY), strict=True)
    return {key: row for row, key in enumerate(keys) if key in wanted}


def _majority(outcomes: np.ndarray) -> np.ndarray:
    """1, 0, or 0.5 for a tie; NaN without any outcome. (responses, raters) to (responses,)."""
    ones, zeros = (outcomes == 1).sum(axis=1), (outcomes == 0).sum(axis=1)
    return np.where(ones + zeros == 0, np.nan, 0.5 + 0.5 * np.sign(ones - zeros))


def _of_members(members: ScoreTable, table: ScoreTable, people: np.ndarray) -> np.ndarray:
    """People's labels beside the scores of an ensemble's models, (rows,)."""
    known = np.flatnonzero(~np.isnan(people))
    keys = list(zip(*(getattr(table, name)[known].tolist() for name in KEY), strict=True))
    label_of = dict(zip(keys, people[known].tolist(), strict=True))
    rows = zip(*(getattr(members, name).tolist() for name in KEY), strict=True)
    return np.array([label_of.get(key, np.nan) for key in rows])


def pools_of(languages: Sequence[str], groups: Groups) -> np.ndarray:
    """A number for the resource group of each language, (languages,): the judge has one weight in each group."""
    numbers = {"high": 0, "low": 1, None: 2}
    return np.array([numbers[groups.of(code)] for code in languages], dtype=np.int64)


def responses_of(cells: Cells, languages: Sequence[str]) -> Responses:
    """Cells of one arm and kind in these languages, for prediction-powered rates."""
    place = {code: index for index, code in enumerate(languages)}
    return Responses(
        count=cells.responses,
        passed=cells.passed,
        labelled=cells.labelled,
        language=np.array([place[code] for code in cells.language.tolist()], dtype=np.int64),
    )


def by_people(pairs: Pairs, chosen: Selection, groups: Groups) -> Pairs:
    """Pairs whose shares of passed responses are prediction-powered: by people's labels of a part of the responses and
    the judge's of all.

    They are NaN in languages and sources that are not compared, and where people labelled no response of the kind. The
    labelled responses are taken for a random sample of those compared, separately by arm, language and kind.
    """
    languages = chosen.languages
    pools = pools_of(languages, groups)
    keep: Mapping[Kind, np.ndarray] = {
        kind: (pairs.arm.kind == kind)
        & among(pairs.arm.language, languages)
        & among(pairs.arm.source, chosen.sources.get(kind, ()))
        for kind in KINDS
    }
    return Pairs(arm=_corrected(pairs.arm, keep, languages, pools), base=_corrected(pairs.base, keep, languages, pools))


def _corrected(cells: Cells, keep: Mapping[Kind, np.ndarray], languages: Sequence[str], pools: np.ndarray) -> Cells:
    passed = np.full(len(cells), np.nan)
    by_seed = np.full(cells.passed_by_seed.shape, np.nan)
    for inside in keep.values():
        part = cells.take(inside)
        if not len(part):
            continue
        responses = responses_of(part, languages)
        made = correction(responses, judge_weights(responses, pools))
        passed[inside] = part.responses * made.rates(part.passed / part.responses, part.labelled.over(part.responses))
        by_seed[inside] = made.by_seed().rates(part.passed_by_seed, part.labelled_by_seed)
    return replace(cells, passed=passed, passed_by_seed=by_seed)


def labelled_languages(pairs: Pairs, chosen: Selection) -> Selection:
    """The languages of a selection in which people labelled responses of both arms to prompts of each kind compared."""
    excluded = dict(chosen.excluded)
    included = []
    for code in chosen.languages:
        missing = [
            f"{kind} prompts by {side.arm[0]}"
            for kind, sources in chosen.sources.items()
            for side in (pairs.base, pairs.arm)
            if not _labels(side, kind, code, sources)
        ]
        if missing:
            excluded[code] = f"people labelled no response to {' and none to '.join(missing)}"
        else:
            included.append(code)
    return Selection(languages=tuple(included), sources=chosen.sources, excluded=excluded)


def _labels(cells: Cells, kind: str, code: str, sources: Sequence[str]) -> int:
    here = (cells.kind == kind) & (cells.language == code) & among(cells.source, sources)
    return int(cells.labelled.count[here].sum())
