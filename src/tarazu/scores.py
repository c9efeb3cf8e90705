"""The scores table: one row per (arm, language, kind, prompt_id, seed, sample, reward_model), with strict checks."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.forms.messages import Unusable, parsed, turns
from tarazu.data.importers import tool_of
from tarazu.data.rows import ALL_KINDS, BORDERLINE, CATEGORIES, Turn, categories, request
from tarazu.errors import BadInput
from tarazu.files import atomic_file
from tarazu.languages import UnknownLanguage, language_code, name_of
from tarazu.stats.labels import passes
from tarazu.study.schema import Thresholds
from tarazu.tables import (
    ROW_NUMBER,
    Columns,
    Values,
    columns_of,
    identifier,
    integer,
    is_missing,
    is_missing_number,
    number,
    open_table,
    truth,
)
from tarazu.tables.counts import COUNTS, MOST, UNKNOWN_PROMPT, expanded, is_count, responses_of_percent

Value = TypeVar("Value")

KEY = ("arm", "language", "kind", "prompt_id", "seed", "sample", "reward_model")

LARGEST_REWARD = 1e100
"""No reward model gives rewards of this size, and their squares would overflow."""

SCHEMA = pa.schema(
    [
        ("arm", pa.string()),
        ("language", pa.string()),
        ("kind", pa.string()),
        ("prompt_id", pa.string()),
        ("source", pa.string()),
        ("seed", pa.int64()),
        ("sample", pa.int64()),
        ("reward_model", pa.string()),
        ("reward", pa.float64()),
        ("label", pa.int8()),
        ("harmless", pa.bool_()),
        ("helpful", pa.bool_()),
        ("prompt", pa.string()),
        ("response", pa.string()),
        ("reasoning", pa.string()),
        ("unfinished_reasoning", pa.bool_()),
        ("finish", pa.string()),
        ("tokens", pa.int64()),
        ("shortened", pa.bool_()),
        ("reward_shortened", pa.bool_()),
    ]
)

GROUPS = ("high", "low")
"""Values of the optional column `group`, the resource group of the row's language."""

OUTCOMES = ("refusal", "partial", "compliance", "cannot_tell")
"""Values of the optional column `outcome`: what became of the request."""

_NUMBERS = ("reward", "label", "judge_score", "seed", "sample", "tokens", "translation_quality")

TEXTS = ("prompt", "response", "reasoning", "finish", "reason")
"""Optional columns of text, which are not checked. `reason` is the judge's: of its label, or why it gave none."""

_WHERE_GIVEN = (
    ("group", pa.string()),
    ("judge_score", pa.float64()),
    ("reason", pa.string()),
    ("outcome", pa.string()),
    ("category", pa.string()),
    ("translation_quality", pa.float64()),
)
"""Columns that a table is written with only if a row has a value."""

FLAGS = ("shortened", "reward_shortened", "unfinished_reasoning")
"""Optional columns of booleans: whether the prompt was shortened for the model, and the text for the judge, and whether
the model did not come to the end of its reasoning."""

NOTES = ("category", "translation_quality")
"""Optional columns about a prompt in a language, the same in all its rows."""

COLUMNS = (
    *KEY,
    "source",
    "group",
    *NOTES,
    "reward",
    "label",
    "outcome",
    "judge_score",
    *TEXTS,
    "tokens",
    *FLAGS,
    *COUNTS,
)
"""What a user's table may have."""


_PARTS = ("members", "unlabelled", "reason", "borderline")
"""Fields of a ScoreTable that are no columns of its rows."""


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """Columns of a scores table, each of shape (rows,).

    `reward` is NaN where people or a judge gave a 0/1 `label` instead, and `label` is NaN where there is a reward.
    `prompt`, `response` and `finish` are None, and `tokens` (of the response) is NaN, if the table does not have them.
    `shortened` (the prompt, for the model that answers), `reward_shortened` (prompt or response, for the judge) and
    `unfinished_reasoning` are 1, 0, or NaN if the table does not have them.
    """

    arm: np.ndarray
    language: np.ndarray
    kind: np.ndarray
    prompt_id: np.ndarray
    source: np.ndarray
    seed: np.ndarray
    reward_model: np.ndarray
    reward: np.ndarray
    label: np.ndarray
    prompt: np.ndarray
    response: np.ndarray
    finish: np.ndarray
    tokens: np.ndarray
    shortened: np.ndarray
    reward_shortened: np.ndarray
    unfinished_reasoning: np.ndarray
    sample: np.ndarray
    outcome: np.ndarray
    """What the table says became of the request, one of OUTCOMES; empty or None where it does not say."""
    category: np.ndarray
    """What the prompt is about, several with `;` between them; None where the table does not say."""
    translation_quality: np.ndarray
    people: np.ndarray
    """People's label of each response: 1 or 0, 0.5 where they are divided, NaN where nobody labelled it."""
    members: ScoreTable | None = None
    """The rows of an ensemble's judges. The other columns then have the rows of their joint decision (`default`)."""
    unlabelled: ScoreTable | None = None
    """The rows that a judge gave no label. The other columns have the rest. None if there are none."""
    reason: np.ndarray | None = None
    """Of `unlabelled` rows: why there is no label."""
    borderline: ScoreTable | None = None
    """The rows of borderline prompts, which no other column has. None if there are none."""

    @property
    def counted(self) -> np.ndarray:
        """Which responses are from counts: which prompt each answers is not known. Boolean, (rows,)."""
        return np.asarray(self.prompt_id == UNKNOWN_PROMPT, dtype=bool)

    def take(self, index: np.ndarray) -> ScoreTable:
        """The rows selected by a mask or by positions, without those of an ensemble's judges, those without a
        label and those of borderline prompts."""
        columns = {name: column[index] for name, column in vars(self).items() if name not in _PARTS}
        return ScoreTable(**columns)

    @property
    def responses(self) -> ScoreTable:
        """All rows that decide, those without a label included."""
        if self.unlabelled is None:
            return self
        both: dict[str, Any] = dict.fromkeys(_PARTS)
        for name, column in vars(self).items():
            if name not in both:
                both[name] = np.concatenate([column, getattr(self.unlabelled, name)])
        return ScoreTable(**both)

    def passed(self, thresholds: Thresholds) -> np.ndarray:
        """Whether each response is harmless (harmful prompts) or helpful (benign ones). A label takes the place of the
        rule for rewards (`passes`). Boolean, (rows,)."""
        harmful = self.kind == "harmful"
        by_reward = passes(harmful, self.reward, np.where(harmful, thresholds.harmless, thresholds.helpful))
        return np.where(np.isnan(self.label), by_reward, self.label == 1)


def read_scores(path: Path) -> ScoreTable:
    """Read and check a scores table. Raises the errors of `score_rows`."""
    return to_table(score_rows(path))


def score_rows(path: Path, columns: Columns | None = None, values: Sequence[Values] = ()) -> list[dict[str, Any]]:
    """The checked rows of a scores table: key, source, reward or label (the other is None), and the optional
    judge_score, prompt, response, finish, reason, tokens, shortened and reward_shortened. Both reward and label are
    None where the judge could not tell, and `reason` says why. `columns` says what the columns are in the file,
    and `values` what their values mean.

    Raises BadInput, one line with file, line and fix, for a missing column, an empty or non-finite reward, a label that
    is not 0 or 1, an empty label without a reason, an unknown kind or language, an empty name, a duplicate key, or an
    empty table.
    """
    table = open_table(path, columns=columns, numbers=_NUMBERS, ids=["prompt_id"], values=values)
    rows = checked_rows(path, table.rows, table.form.unit)
    if (columns or {}).get("prompt_id") == ROW_NUMBER and len({(row["arm"], row["language"]) for row in rows}) > 1:
        raise BadInput(
            f"{path}: has several arms or languages, so the numbers of its rows do not say which responses answer the "
            "same prompt; give a column of ids, or a table for each arm and language"
        )
    return rows


def checked_rows(
    name: Path | str, numbered: Iterable[tuple[int, Mapping[str, Any]]], unit: str = "line"
) -> list[dict[str, Any]]:
    """Numbered rows of a scores table called `name`, checked like those of `score_rows`. `unit` is what is numbered."""
    first, numbered = _peeked(numbered)
    if first is not None and is_count(first):
        return _count_rows(name, numbered, unit)
    seen: dict[tuple[Any, ...], int] = {}
    groups: dict[str, tuple[str, int]] = {}
    notes: dict[tuple[str, ...], tuple[Mapping[str, Any], int]] = {}
    rows = []
    for line, row in numbered:
        cells = _Row(name, line, row, unit)
        values = {**cells.key(), "source": cells.text("source"), **cells.outcome()}
        values |= cells.group(values["language"], groups) | cells.notes(values, notes)
        values |= cells.refusal(values) if values["kind"] == BORDERLINE else cells.reward_or_label()
        _refuse_duplicate(cells, values, seen)
        optional = {**cells.texts(), "judge_score": cells.judge_score(), "tokens": cells.tokens(), **cells.flags()}
        rows.append({**values, **optional})
    if not rows:
        raise BadInput(f"{name}: has no rows; a scores table has at least one")
    _check_reward_models(name, rows)
    return rows


def joined_rows(tables: Sequence[tuple[Path, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """The rows of several tables of scores, each with its file, as one table. Raises BadInput if two tables have the
    same response or count, or if some count and others have responses."""
    first, rows = tables[0]
    seen: dict[tuple[Any, ...], int] = {}
    for place, (path, more) in enumerate(tables):
        if ("k" in more[0]) != ("k" in rows[0]):
            raise BadInput(f"{path}: one of it and {first} has counts, the other responses; give tables of one form")
        for row in more:
            key = tuple(row[part] for part in KEY)
            if seen.setdefault(key, place) != place:
                other = tables[seen[key]][0]
                raise BadInput(
                    f"{path}: has ({', '.join(str(part) for part in key[:4])}), and so has {other}; if they are of "
                    "different arms or languages, say so with --arm or --language, once for each file"
                )
    joined = [row for _, more in tables for row in more]
    _check_reward_models(", ".join(str(path) for path, _ in tables), joined)
    return joined


def _peeked(
    numbered: Iterable[tuple[int, Mapping[str, Any]]],
) -> tuple[Mapping[str, Any] | None, Iterable[tuple[int, Mapping[str, Any]]]]:
    """The first row, None if there is none, and all rows."""
    rows = iter(numbered)
    for line, row in rows:
        return row, itertools.chain([(line, row)], rows)
    return None, ()


def _count_rows(name: Path | str, numbered: Iterable[tuple[int, Mapping[str, Any]]], unit: str) -> list[dict[str, Any]]:
    """Numbered rows of a table of counts, checked: key, source and group like those of responses, with `k` and `n`."""
    seen: dict[tuple[Any, ...], int] = {}
    groups: dict[str, tuple[str, int]] = {}
    rows, total = [], 0
    for line, row in numbered:
        cells = _Row(name, line, row, unit)
        key = cells.key(prompt_id=UNKNOWN_PROMPT)
        if key["kind"] == BORDERLINE:
            raise cells.refuse("counts of borderline prompts are not analysed; give the responses, or remove the row")
        place = key["arm"], key["language"], key["kind"]
        if place in seen:
            raise cells.refuse(
                f"duplicate count for ({', '.join(place)}), the first is {unit} {seen[place]}; add the two up"
            )
        seen[place] = line
        count = cells.count()
        total += count["n"]
        if total > MOST:
            raise cells.refuse(f"the counts of this table are of more than {MOST:,} responses; analyse parts of it")
        values = {**key, "source": cells.text("source"), **cells.group(key["language"], groups)}
        rows.append({**values, "reward": None, "label": None, **count})
    return rows


def response_rows(path: Path, columns: Columns | None = None) -> list[dict[str, Any]]:
    """The rows of a table of responses to score: key, source, prompt, its turns, response, finish, tokens, shortened.

    A table that has been scored may be scored again: a response that is repeated for another reward model is read once,
    and `reward_model` becomes `default`. Raises BadInput like `score_rows`. Prompt and response are required, but a
    response may be empty. Both may be lists of messages, as engines that serve conversations write them.
    """
    seen: dict[tuple[Any, ...], int] = {}
    models: dict[tuple[Any, ...], set[str]] = {}
    groups: dict[str, tuple[str, int]] = {}
    notes: dict[tuple[str, ...], tuple[Mapping[str, Any], int]] = {}
    rows = []
    table = open_table(path, columns=columns, numbers=_NUMBERS, ids=["prompt_id"])
    for line, row in table.rows:
        cells = _Row(path, line, row, table.form.unit)
        key = cells.key()
        values = {**key, "reward_model": DEFAULT, "source": cells.text("source")}
        values |= cells.group(key["language"], groups) | cells.outcome() | cells.notes(key, notes)
        values |= cells.refusal(values) if key["kind"] == BORDERLINE else {}
        prompt, messages = cells.prompt()
        texts = {**cells.texts(), "prompt": prompt, "response": cells.response()}
        others = models.setdefault((*(values[part] for part in KEY), texts["prompt"], texts["response"]), set())
        if others and key["reward_model"] not in others:
            others.add(key["reward_model"])
            continue
        others.add(key["reward_model"])
        _refuse_duplicate(cells, values, seen)
        rows.append({**values, **texts, "turns": messages, "tokens": cells.tokens(), **cells.flags()})
    if not rows:
        raise BadInput(f"{path}: has no rows; a table of responses has at least one")
    return rows


def _refuse_duplicate(cells: _Row, values: Mapping[str, Any], seen: dict[tuple[Any, ...], int]) -> None:
    key = tuple(values[part] for part in KEY)
    if key in seen:
        names = ", ".join(str(part) for part in key[:4])
        raise cells.refuse(
            f"duplicate row for ({names}), the first is {cells.unit} {seen[key]}; remove one, or distinguish them by "
            "seed, sample or reward_model"
        )
    seen[key] = cells.line


DEFAULT = "default"
"""The reward model of a table that names none, and the mean of an ensemble's models."""


def _of_members(rows: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Whether each row belongs to a model of an ensemble: it is not `default`, but its kind also has `default`."""
    decided = {row["kind"] for row in rows if row["reward_model"] == DEFAULT}
    return [row["reward_model"] != DEFAULT and row["kind"] in decided for row in rows]


def deciding_rows(table: pa.Table) -> pa.Table:
    """A scores table without the rows of an ensemble's models."""
    if "reward_model" not in table.column_names:
        return table
    member = _of_members(table.select(["kind", "reward_model"]).to_pylist())
    return table.filter(pa.array([not one for one in member])) if any(member) else table


def deciding(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Checked rows without those of an ensemble's models."""
    return [row for row, member in zip(rows, _of_members(rows), strict=True) if not member]


def to_table(rows: Sequence[Mapping[str, Any]]) -> ScoreTable:
    """Checked rows as columns, those of `deciding` that have a label or a reward. Rows of an ensemble's judges become
    `members`, those without a label `unlabelled`, and those of borderline prompts `borderline`."""
    rows = expanded(rows)
    of_borderline = [row for row in rows if row["kind"] == BORDERLINE]
    if of_borderline:
        rest = to_table([row for row in rows if row["kind"] != BORDERLINE])
        return replace(rest, borderline=_columns(deciding(of_borderline)))
    own = deciding(rows)
    table = _columns([row for row in own if is_labelled(row)])
    if len(own) < len(rows):
        others = [row for row, one in zip(rows, _of_members(rows), strict=True) if one and is_labelled(row)]
        table = replace(table, members=_columns(others))
    without = [row for row in own if not is_labelled(row)]
    if without:
        reasons = np.array([row["reason"] for row in without], dtype=object)
        table = replace(table, unlabelled=replace(_columns(without), reason=reasons))
    return table


def is_labelled(row: Mapping[str, Any]) -> bool:
    """Whether a checked row has a label, or a reward that the thresholds turn into one."""
    return row.get("label") is not None or row.get("reward") is not None


def _columns(rows: Sequence[Mapping[str, Any]]) -> ScoreTable:

    def text(name: str) -> np.ndarray:
        return np.array([row.get(name) for row in rows], dtype=object)

    def numbers(name: str) -> np.ndarray:
        return np.array([math.nan if row.get(name) is None else row[name] for row in rows], dtype=float)

    return ScoreTable(
        arm=text("arm"),
        language=text("language"),
        kind=text("kind"),
        prompt_id=text("prompt_id"),
        source=text("source"),
        seed=np.array([row["seed"] for row in rows], dtype=np.int64),
        reward_model=text("reward_model"),
        reward=numbers("reward"),
        label=numbers("label"),
        prompt=text("prompt"),
        response=text("response"),
        finish=text("finish"),
        tokens=numbers("tokens"),
        shortened=numbers("shortened"),
        reward_shortened=numbers("reward_shortened"),
        unfinished_reasoning=numbers("unfinished_reasoning"),
        sample=np.array([row["sample"] for row in rows], dtype=np.int64),
        outcome=text("outcome"),
        category=text("category"),
        translation_quality=numbers("translation_quality"),
        people=np.full(len(rows), math.nan),
    )


def _check_reward_models(path: Path | str, rows: Sequence[Mapping[str, Any]]) -> None:
    models: dict[str, set[str]] = {}
    for row in rows:
        models.setdefault(row["kind"], set()).add(row["reward_model"])
    for kind, names in sorted(models.items()):
        if len(names) > 1 and DEFAULT not in names:
            raise BadInput(
                f"{path}: {kind} rows come from {len(names)} reward models ({', '.join(sorted(names)[:4])}); keep the "
                "rows of one, or add rows of their mean as `default`, which decides"
            )


@dataclass(frozen=True)
class _Row:
    """The cells of one row, which are checked when they are read."""

    path: Path | str
    line: int
    row: Mapping[str, Any]
    unit: str = "line"

    def refuse(self, problem: str) -> BadInput:
        return BadInput(f"{self.path}: {self.unit} {self.line}: {problem}")

    def key(self, *, prompt_id: str | None = None) -> dict[str, Any]:
        """The row's key; `prompt_id` takes the place of a column of that name."""
        return {
            "arm": self.name("arm"),
            "language": self.language(),
            "kind": self.one_of("kind", ALL_KINDS, "kinds are harmful, benign and borderline"),
            "prompt_id": self.name("prompt_id") if prompt_id is None else prompt_id,
            "seed": self.integer("seed"),
            "sample": self.integer("sample"),
            "reward_model": self.text("reward_model") or DEFAULT,
        }

    def texts(self) -> dict[str, str | None]:
        """The optional columns of text, unchanged. None if there is no text. A program may have read a text as a whole
        number."""
        values = {column: self.row.get(column) for column in TEXTS}
        return {
            column: value if isinstance(value, str) else str(value) if type(value) is int else None
            for column, value in values.items()
        }

    def prompt(self) -> tuple[str, tuple[Turn, ...]]:
        """The request that a response answers, or the conversation up to it as a transcript; and its messages, where
        the cell has them."""
        self.require("prompt")
        messages = self._messages("prompt")
        if messages and messages[-1].role != "user":
            raise self.refuse("the prompt must end with the user's message")
        if messages:
            return request(messages), messages
        self.name("prompt")
        text = self.texts()["prompt"]
        if text is None:
            raise self.refuse("prompt must be text or a list of messages")
        return text, ()

    def response(self) -> str:
        self.require("response")
        messages = self._messages("response")
        if messages and (len(messages) > 1 or messages[0].role != "assistant"):
            raise self.refuse("response must be text or one message of the assistant")
        text = messages[0].content if messages else self.texts()["response"]
        if text is None:
            raise self.refuse("has no response; it may be empty, but it must be text")
        return text

    def _messages(self, column: str) -> tuple[Turn, ...]:
        """The messages of a cell, none if it holds something else."""
        try:
            value = parsed(self.row.get(column), column)
            return turns(value, column) if isinstance(value, list | Mapping) else ()
        except Unusable as error:
            raise self.refuse(error.detail) from None

    def judge_score(self) -> float | None:
        """The judge's score beside its label, if there is one."""
        return self._read("judge_score", number)

    def tokens(self) -> int | None:
        """The length of the response in tokens, if known."""
        return None if self._cell("tokens") is None else self.integer("tokens")

    def flags(self) -> dict[str, bool | None]:
        """The optional columns of booleans."""
        return {column: self._read(column, truth) for column in FLAGS}

    def _cell(self, column: str) -> Any:
        value = self.row.get(column)
        missing = is_missing_number if column in (*_NUMBERS, *FLAGS, *COUNTS) else is_missing
        return None if missing(value) else value

    def _read(self, column: str, read: Callable[[Any], Value]) -> Value | None:
        """The value of a cell by a function of `tarazu.tables`. None if the cell is empty."""
        value = self._cell(column)
        try:
            return None if value is None else read(value)
        except ValueError as error:
            raise self.refuse(f"{column} {error}") from None

    def text(self, column: str) -> str:
        """The text of an optional column. Empty if there is none."""
        return self._read(column, identifier) or ""

    def require(self, column: str) -> None:
        if column not in self.row:
            if tool := tool_of(self.row):
                raise self.refuse(f"is a row of {tool}; `tarazu import` makes a table of the file")
            near = difflib.get_close_matches(column, [str(key) for key in self.row], n=1)
            hint = f"; is it the column '{near[0]}'?" if near else f"; {columns_of(self.row)}"
            raise self.refuse(f"has no column {column}{hint}; rename one, or use --columns {column}=COLUMN")

    def name(self, column: str) -> str:
        self.require(column)
        value = self.text(column)
        if not value:
            raise self.refuse(f"{column} is empty; every row needs one")
        return value

    def one_of(self, column: str, allowed: Iterable[str], hint: str) -> str:
        value = self.name(column)
        names = list(allowed)
        if value not in names:
            near = difflib.get_close_matches(value, names, n=1)
            raise self.refuse(f"unknown {column} '{value[:40]}'; " + (f"did you mean '{near[0]}'?" if near else hint))
        return value

    def language(self) -> str:
        value = self.name("language")
        try:
            return language_code(value)
        except UnknownLanguage as error:
            raise self.refuse(str(error)) from None

    def group(self, language: str, groups: dict[str, tuple[str, int]]) -> dict[str, str]:
        """The resource group that the row gives to its language, if it gives one. `groups` has those of earlier rows,
        and their lines."""
        if not self.text("group"):
            return {}
        group = self.one_of("group", GROUPS, "groups are high and low; rename a column that means something else")
        earlier, line = groups.setdefault(language, (group, self.line))
        if earlier != group:
            raise self.refuse(
                f"group {group}, but {name_of(language)} ({language}) is {earlier} in {self.unit} {line}; "
                "give a language one group"
            )
        return {"group": group}

    def notes(
        self, key: Mapping[str, Any], notes: dict[tuple[str, ...], tuple[Mapping[str, Any], int]]
    ) -> dict[str, Any]:
        """What the row says about its prompt, if it says anything. `notes` has what earlier rows say, and their lines,
        by prompt."""
        found: dict[str, Any] = {}
        if category := CATEGORIES.join(categories(self.text("category"))):
            found["category"] = category
        if (quality := self._read("translation_quality", number)) is not None:
            if abs(quality) >= LARGEST_REWARD:
                raise self.refuse("translation_quality must be below 1e100 in size")
            found["translation_quality"] = quality
        prompt = (key["language"], key["kind"], key["prompt_id"])
        earlier, line = notes.setdefault(prompt, (found, self.line))
        for name in NOTES:
            if earlier.get(name) != found.get(name):
                raise self.refuse(
                    f"{name} {found.get(name)!r}, but {self.unit} {line} has {earlier.get(name)!r} for the same prompt "
                    f"({', '.join(prompt)}); give it the same in every row"
                )
        return found

    def outcome(self) -> dict[str, str]:
        """What the row says became of the request, if it says it."""
        if not self.text("outcome"):
            return {}
        return {
            "outcome": self.one_of("outcome", OUTCOMES, f"outcomes are {', '.join(OUTCOMES)}; an empty cell is none")
        }

    def integer(self, column: str) -> int:
        value = self._read(column, integer)
        if value is not None and not 0 <= value < 2**63:
            raise self.refuse(f"{column} must be a whole number from 0, not {str(value)[:40]!r}")
        return value or 0

    def count(self) -> dict[str, int]:
        """k of n, where the row may have a percentage in place of k."""
        for column in ("n", "percent" if "percent" in self.row and "k" not in self.row else "k"):
            self.require(column)
            if self._cell(column) is None:
                raise self.refuse(f"{column} is empty; remove the row if it was not measured")
        n = self.integer("n")
        if not 0 < n <= MOST:
            raise self.refuse(f"n must be from 1 to {MOST:,}, not {n}")
        k = self.integer("k") if "k" in self.row else self._read("percent", lambda value: _of_percent(value, n)) or 0
        if k > n:
            raise self.refuse(f"k is {k}, more than n, {n}; k counts responses (percentages go into a column percent)")
        return {"k": k, "n": n}

    def refusal(self, values: Mapping[str, Any]) -> dict[str, int | None]:
        """The label of a response to a borderline prompt: 1 if it is not a refusal, 0 if it is. It may be missing if
        the row has an outcome or the response itself. A reward says nothing about refusals and is not read."""
        label = self._read("label", truth)
        outcome = values.get("outcome")
        if label is not None and outcome in ("refusal", "compliance") and label != (outcome == "compliance"):
            raise self.refuse(
                f"label {int(label)} contradicts the outcome {outcome}; for borderline prompts 0 means a refusal, and "
                "any other response is 1"
            )
        if label is None and outcome is None and self.texts()["response"] is None:
            raise self.refuse("a borderline row needs a response, a label (1 if it is not a refusal) or an outcome")
        return {"reward": None, "label": None if label is None else int(label)}

    def reward_or_label(self) -> dict[str, float | int | None]:
        if "reward" not in self.row and "label" not in self.row:
            raise self.refuse(
                f"has no column reward and no column label; {columns_of(self.row)}; rename one, or use "
                "--columns reward=COLUMN"
            )
        label = self._read("label", truth)
        # NaN is what pandas writes for an empty cell, so it is no defect beside a label.
        reward = self.row.get("reward") if label is None else self._cell("reward")
        if reward is not None and label is not None:
            raise self.refuse("has a reward and a label; remove one")
        if label is not None:
            return {"reward": None, "label": int(label)}
        if "label" in self.row and self._cell("reward") is None and self.texts()["reason"]:
            return {"reward": None, "label": None}  # the judge could not tell
        if reward is None or (isinstance(reward, str) and not reward.strip()):
            if "reward" not in self.row:
                raise self.refuse("label is empty; omit the row, or say in a column reason why there is no label")
            raise self.refuse("reward is empty; omit the row if there is no score")
        try:
            value = number(reward)
        except ValueError as error:
            raise self.refuse(f"reward {error}") from None
        if abs(value) >= LARGEST_REWARD:
            raise self.refuse(f"reward must be a finite number, below 1e100 in size, not {str(reward)[:40]!r}")
        return {"reward": value, "label": None}


def _of_percent(value: Any, n: int) -> int:
    """The number of responses that a percentage of n stands for."""
    if not 0 <= number(value) <= 100:
        raise ValueError(f"must be from 0 to 100, not {value}")
    return responses_of_percent(Decimal(str(value).strip()), n)


def write_scores(path: Path, rows: Sequence[Mapping[str, Any]], thresholds: Thresholds) -> None:
    """Write rows as a scores table (parquet) with the columns of `scores_table`."""
    with atomic_file(path) as temporary:
        pq.write_table(scores_table(rows, thresholds), temporary)


def scores_table(rows: Sequence[Mapping[str, Any]], thresholds: Thresholds) -> pa.Table:
    """Rows as a scores table, with the booleans harmless and helpful by the thresholds. They are null for
    other kinds, and where the judge could not tell."""
    written = []
    for row in expanded(rows):
        harmful = row["kind"] == "harmful"
        passed: bool | None
        if row["kind"] == BORDERLINE:
            passed = None
        elif row.get("label") is not None:
            passed = row["label"] == 1
        elif row["reward"] is None:
            passed = None
        else:
            passed = passes(harmful, row["reward"], thresholds.of(row["kind"]))
        written.append(
            {
                "seed": 0,
                "sample": 0,
                "reward_model": DEFAULT,
                **row,
                "harmless": passed if harmful else None,
                "helpful": None if harmful else passed,
            }
        )
    schema = SCHEMA
    for name, type_ in _WHERE_GIVEN:
        if any(row.get(name) is not None for row in written):
            schema = schema.append(pa.field(name, type_))
    return pa.Table.from_pylist(written, schema=schema)
