"""Scores as cells: one per (arm, kind, language, prompt), the mean over training seeds and samples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

import numpy as np

from tarazu.scores import ScoreTable
from tarazu.stats.prediction_powered import Labelled
from tarazu.study.schema import Thresholds


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Columns of shape (cells,), by seed (cells, seeds); their order does not depend on the order of the table's rows.

    A prompt is (source, prompt_id). `request` numbers the distinct (kind, language, prompt), so that the cells of two
    arms can be paired. `passed` counts the responses that passed, `reward` is their mean reward (NaN for labels).
    `index` is a cell's position among all cells of the table, also after `take`. By training seed: the share that
    passed, and the mean reward; NaN where a seed has no response.

    `counted` says whether a cell is a count (`tarazu.tables.counts`): its responses answer prompts of which nothing is
    known.

    `labelled` counts the responses that people labelled. `labelled_by_seed` has the same by training seed, as shares of
    the seed's responses. `category` and `translation_quality` are the prompt's, as in ScoreTable.
    """

    arm: np.ndarray
    kind: np.ndarray
    language: np.ndarray
    source: np.ndarray
    prompt: np.ndarray
    request: np.ndarray
    responses: np.ndarray
    passed: np.ndarray
    reward: np.ndarray
    index: np.ndarray
    passed_by_seed: np.ndarray
    reward_by_seed: np.ndarray
    labelled: Labelled
    labelled_by_seed: Labelled
    category: np.ndarray
    translation_quality: np.ndarray
    counted: np.ndarray

    def where(self, **values: str) -> Cells:
        """The cells whose columns have these values."""
        keep = np.ones(len(self.arm), dtype=bool)
        for column, value in values.items():
            keep &= getattr(self, column) == value
        return self.take(keep)

    def take(self, index: np.ndarray) -> Cells:
        """The cells at a mask or at positions."""
        return Cells(**{name: column[index] for name, column in vars(self).items()})

    def __len__(self) -> int:
        return len(self.arm)


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Which rows of a table make up a cell: `order` (rows,) sorts the rows by cell, `firsts` (cells,) is where each
    begins, `responses` (cells,) how many it has; `request` (rows,) as in Cells."""

    order: np.ndarray
    firsts: np.ndarray
    responses: np.ndarray
    request: np.ndarray

    def count(self, flags: np.ndarray) -> np.ndarray:
        """How many rows of each cell are flagged; `flags` is (rows,) boolean."""
        return np.add.reduceat(flags[self.order].astype(np.int64), self.firsts)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum of `values` (rows,) in each cell."""
        return np.add.reduceat(values[self.order], self.firsts)


def group_rows(table: ScoreTable) -> Grouping:
    """Group a table's rows into cells."""
    request = _codes(table.kind, table.language, table.source, table.prompt_id)
    key = _codes(table.arm, request)
    # Rewards are summed in ascending order, so that the sum does not depend on the order of rows.
    order = np.lexsort((table.reward, key))
    firsts = np.flatnonzero(np.diff(key[order], prepend=-1))
    return Grouping(order=order, firsts=firsts, responses=np.diff(firsts, append=len(order)), request=request)


def to_cells(table: ScoreTable, rows: Grouping, thresholds: Thresholds) -> Cells:
    """A table's cells, at the study's thresholds; `rows` is its grouping."""
    first = rows.order[rows.firsts]
    passed = table.passed(thresholds)
    # A table of borderline prompts has no other rows.
    seeds = [table.seed == seed for seed in np.unique(table.seed)] or [np.zeros(0, dtype=bool)]
    known = ~np.isnan(table.people)
    people = np.where(known, table.people, 0.0)
    judged = passed & known
    with np.errstate(invalid="ignore"):
        counts = np.stack([rows.count(of_seed) for of_seed in seeds], axis=1)
        shares = np.stack([rows.count(passed & of_seed) for of_seed in seeds], axis=1) / counts
        rewards = np.stack([rows.sum(np.where(of_seed, table.reward, 0.0)) for of_seed in seeds], axis=1) / counts
        by_seed = [_labelled(rows, known & of_seed, people, judged) for of_seed in seeds]
        labelled_by_seed = Labelled(
            **{
                item.name: np.stack([getattr(one, item.name) for one in by_seed], axis=1) / counts
                for item in fields(Labelled)
            }
        )
    return Cells(
        arm=table.arm[first],
        kind=table.kind[first],
        language=table.language[first],
        source=table.source[first],
        prompt=_codes(table.source, table.prompt_id)[first],
        request=rows.request[first],
        responses=rows.responses,
        passed=rows.count(passed),
        reward=rows.sum(table.reward) / rows.responses,
        index=np.arange(len(first)),
        passed_by_seed=shares,
        reward_by_seed=rewards,
        labelled=_labelled(rows, known, people, judged),
        labelled_by_seed=labelled_by_seed,
        category=table.category[first],
        translation_quality=table.translation_quality[first],
        counted=table.counted[first],
    )


def _labelled(rows: Grouping, known: np.ndarray, people: np.ndarray, judged: np.ndarray) -> Labelled:
    """What people labelled of each cell, of the responses that are `known` (rows,). `people` and `judged` (rows,) are
    their labels and the judge's."""
    return Labelled(
        count=rows.count(known),
        people=rows.sum(people * known),
        judged=rows.count(judged & known),
        product=rows.sum(people * (judged & known)),
    )


def _codes(*columns: np.ndarray) -> np.ndarray:
    """A number for each distinct row of the columns, ascending in their order."""
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        # Names come as Python strings, which a dictionary numbers about ten times as fast as sorting does.
        places = {value: place for place, value in enumerate(sorted(set(column.tolist())))}
        inverse = np.fromiter(map(places.__getitem__, column.tolist()), np.int64, len(column))
        codes = np.unique(codes * len(places) + inverse, return_inverse=True)[1]
    return codes


def among(column: np.ndarray, values: Collection[str]) -> np.ndarray:
    """Which of a column's names are among `values`, boolean."""
    wanted = set(values)
    return np.fromiter((value in wanted for value in column.tolist()), bool, len(column))


def positions(*columns: np.ndarray) -> dict[tuple[str, ...], np.ndarray]:
    """The rows of each distinct combination of names, ascending."""
    codes = _codes(*columns)
    order = np.argsort(codes, kind="stable")
    pieces = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
    return {tuple(column[piece[0]] for column in columns): piece for piece in pieces}


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Cells of an arm and of the base arm for the same requests, position by position."""

    arm: Cells
    base: Cells


def paired(cells: Cells, arm: str, base: str) -> Pairs:
    """The cells of two arms for the requests that both answered."""
    one, other = cells.where(arm=arm), cells.where(arm=base)
    _, first, second = np.intersect1d(one.request, other.request, assume_unique=True, return_indices=True)
    return Pairs(arm=one.take(first), base=other.take(second))


def restrict(pairs: Pairs, kind: str, languages: Collection[str], sources: Collection[str]) -> Pairs:
    """The pairs of a kind in these languages and from these sources."""
    keep = (pairs.arm.kind == kind) & among(pairs.arm.language, languages) & among(pairs.arm.source, sources)
    return Pairs(arm=pairs.arm.take(keep), base=pairs.base.take(keep))


def effect_matrix(pairs: Pairs, values: np.ndarray, languages: Sequence[str]) -> np.ndarray:
    """`values` (pairs,) as (languages, prompts), NaN where a language lacks a prompt."""
    _, column = np.unique(pairs.arm.prompt, return_inverse=True)
    row = np.searchsorted(np.array(languages, dtype=object), pairs.arm.language)
    matrix = np.full((len(languages), int(column.max()) + 1 if len(column) else 0), np.nan)
    matrix[row, column] = values
    return matrix


def change_in_points(pairs: Pairs) -> np.ndarray:
    """The change over base of each request's rate, in points, (pairs,)."""
    return 100 * (pairs.arm.passed / pairs.arm.responses - pairs.base.passed / pairs.base.responses)
