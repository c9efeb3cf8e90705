"""Loads prompts, and prompts with a response known to be good and one known to be bad.

Each source is a function from its settings to `SourcePrompts`. `_SOURCES` lists them with their prompt kinds.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from tarazu.data._hh import hh_id, hh_pairs
from tarazu.data._mlqa import mlqa_prompts
from tarazu.data._multichecklist import multichecklist_prompts
from tarazu.data._own_pairs import given_id, given_language
from tarazu.data._parallel_set import read_parallel
from tarazu.data._safety_sets import (
    aya_prompts,
    polyguard_prompts,
    polyrefuse_prompts,
    xsafety_prompts,
    xstest_prompts,
)
from tarazu.data._sources import (
    OTHER_LANGUAGE,
    OVER_LIMIT,
    NumberedRow,
    SourcePrompt,
    SourcePrompts,
    counted,
    drawn,
    first_seen,
    hub_rows,
    human_turns,
    resolve,
    user_turns,
)
from tarazu.data._tydiqa import tydiqa_prompts
from tarazu.data._xcopa import xcopa_prompts
from tarazu.data._xnli import xnli_prompts
from tarazu.data._xquad import xquad_prompts
from tarazu.data.forms.messages import Unusable, parsed
from tarazu.data.forms.pairs import prompt_turns, text_prompt
from tarazu.data.rows import (
    ALL_KINDS,
    BORDERLINE,
    KINDS,
    AnyKind,
    Kind,
    KnownAnswer,
    Loaded,
    Prompt,
    as_transcript,
    categories,
    request,
)
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES, UnknownLanguage, language_code, name_of
from tarazu.readers import field
from tarazu.study.sources import AnyPromptSource, HHPrompts, JsonlPrompts, MultiJailPrompts, ParallelPrompts
from tarazu.tables import columns_of, is_missing_number, number, open_table, read_rows

WITHOUT_ANSWERS = frozenset({"multijail", "polyrefuse", "xstest", "polyguard", "xsafety", "aya-redteaming"})
"""Sources that never have known answers."""
PEOPLE_WROTE_OR_REVIEWED = frozenset(
    {"hh-rlhf", "multijail", "xquad", "mlqa", "tydiqa", "xstest", "xsafety", "aya-redteaming"}
)
"""Sources whose publishers say that people wrote, translated or corrected every prompt. XCOPA and XNLI are not among
them, because the project wrote their questions."""
REVIEWED = "reviewed by a native speaker"
"""The note that counts the prompts for which a row names who reviewed them."""


def load_prompts(
    settings: AnyPromptSource, kind: AnyKind, *, languages: Collection[str], root: Path | None, seed: int
) -> Loaded[Prompt]:
    """The prompts of a source in `languages`. A language that the source lacks gives no rows.

    A prompt_id means the same request in every language, and `limit` keeps the same ids in each. Relative paths start
    from `root`. Raises BadInput if the source cannot be read or has no prompts of this kind, and MissingExtra if it
    needs the Hub and `datasets` is not installed.
    """
    requests = _prompts(settings, kind, f"prompts.{kind}", languages, root, seed)
    rows = tuple(
        Prompt(
            prompt_id=row.prompt_id,
            language=row.language,
            kind=kind,
            source=settings.source,
            text=row.text,
            turns=row.turns,
            category=row.category,
            translation_quality=row.translation_quality,
        )
        for row in requests.rows
    )
    return _loaded(settings.source, rows, requests)


def load_known_answers(
    settings: AnyPromptSource, kind: Kind, *, languages: Collection[str], root: Path | None, seed: int
) -> Loaded[KnownAnswer]:
    """The known answers of a source in `languages`, with the same arguments and result as `load_prompts`.

    Prompts without known answers are dropped and counted. Raises BadInput for a source that never has any.
    """
    key = f"reward.known_answers.{kind}"
    if settings.source in WITHOUT_ANSWERS:
        raise BadInput(f"{key}: {settings.source} has prompts but no known answers; name another source")
    requests = _prompts(settings, kind, key, languages, root, seed)
    rows = []
    for row in requests.rows:
        if row.good is None or row.bad is None:
            requests.dropped[row.without_answers] += 1
        elif not row.good.strip() or not row.bad.strip():
            requests.dropped["empty answer"] += 1
        elif row.good.strip() == row.bad.strip():
            requests.dropped["good equals bad"] += 1
        else:
            rows.append(
                KnownAnswer(
                    prompt_id=row.prompt_id,
                    language=row.language,
                    kind=kind,
                    source=settings.source,
                    prompt=row.text,
                    good=row.good,
                    bad=row.bad,
                    turns=row.turns,
                )
            )
    return _loaded(settings.source, tuple(rows), requests)


def _loaded(source: str, rows: tuple[Any, ...], requests: SourcePrompts) -> Loaded[Any]:
    return Loaded(
        source=source,
        rows=rows,
        read=len(rows) + sum(requests.dropped.values()),
        dropped=counted(requests.dropped),
        notes=counted(requests.notes),
    )


def _prompts(
    settings: AnyPromptSource, kind: AnyKind, key: str, languages: Collection[str], root: Path | None, seed: int
) -> SourcePrompts:
    read, kinds = _SOURCES[settings.source]
    if kind not in kinds and kind == BORDERLINE:
        raise BadInput(f"{key}: {settings.source} has no prompts that look harmful and are safe; use xstest or jsonl")
    if kind not in kinds:
        raise BadInput(
            f"{key}: {settings.source} has {kinds[0]} prompts only; "
            f"move it to {key.removesuffix(kind)}{kinds[0]} or name another source"
        )
    requests = read(settings, kind, frozenset(languages), root, seed)
    requests.rows = _within_limit(settings, _distinct(requests), requests.dropped, seed)
    requests.notes[REVIEWED] = sum(row.reviewed for row in requests.rows)
    return requests


def _distinct(requests: SourcePrompts) -> list[SourcePrompt]:
    kept: list[SourcePrompt] = []
    seen: set[tuple[str, str]] = set()
    for row in requests.rows:
        text = row.text.strip()
        if not user_turns(as_transcript(text), row.turns)[-1]:
            requests.dropped["empty prompt"] += 1
        elif (row.language, text) in seen:
            requests.dropped["duplicate text"] += 1
        else:
            seen.add((row.language, text))
            kept.append(row)
    return kept


def _within_limit(
    settings: AnyPromptSource, rows: list[SourcePrompt], dropped: Counter[str], seed: int
) -> list[SourcePrompt]:
    ids = first_seen([row.prompt_id for row in rows])
    if settings.limit is None or len(ids) <= settings.limit:
        return rows
    if settings.select == "first":
        kept_ids = set(ids[: settings.limit])
    else:
        # Draw from sorted ids, so that the order of languages does not matter.
        ordered = sorted(ids)
        kept_ids = {ordered[index] for index in drawn(len(ids), settings.limit, seed, "prompts", settings.source)}
    kept = [row for row in rows if row.prompt_id in kept_ids]
    dropped[OVER_LIMIT] += len(rows) - len(kept)
    return kept


# --- sources that need little code ----------------------------------------------------------------


def _parallel(
    settings: ParallelPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    folder = None if settings.path is None else resolve(settings.path, root)
    requests = SourcePrompts()
    for code, rows in read_parallel(folder).items():
        requests.rows += [
            SourcePrompt(
                prompt_id=row.id,
                language=code,
                text=row.prompt,
                good=row.good,
                bad=row.bad,
                reviewed=bool(row.reviewed),
                category=(row.category,),
            )
            for row in rows
            if code in languages and row.kind == kind and row.split == settings.split
        ]
    return requests


def _hh(settings: HHPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int) -> SourcePrompts:
    requests = SourcePrompts()
    if "en" not in languages:
        return requests
    wanted = [re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE) for word in settings.contains]
    for _, pair in hh_pairs(settings, root, requests.dropped):
        turns = human_turns(pair.prompt)
        text = turns[0] if settings.turns == "first" else pair.prompt
        if wanted and not any(word.search(text) for word in wanted):
            requests.dropped["contains none of the words"] += 1
            continue
        answered = settings.turns == "all" or len(turns) == 1
        requests.rows.append(
            SourcePrompt(
                # For a single turn, the request and the transcript are the same prompt with the same id.
                prompt_id=hh_id(as_transcript(text)),
                language="en",
                text=text,
                good=pair.chosen if answered else None,
                bad=pair.rejected if answered else None,
                without_answers="its answers are to a later turn",
            )
        )
    return requests


def _multijail(
    settings: MultiJailPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    label: Path | str
    rows: Iterable[NumberedRow]
    if settings.path is None:
        label, rows = f"Hub dataset {settings.hub}", hub_rows(settings.hub, split="train")
    else:
        label = resolve(settings.path, root)
        rows = read_rows(label)
    requests = SourcePrompts()
    lines: dict[str, int] = {}
    for line, row in rows:
        # The id is text in the published csv, and a number on the Hub.
        row_id = str(row["id"]) if type(row.get("id")) is int else field(row, "id", str, label, line)
        if row_id in lines:
            raise BadInput(f"{label}: line {line}: the id '{row_id}' is also in line {lines[row_id]}; keep one")
        lines[row_id] = line
        field(row, "en", str, label, line)
        tags = _tags(row.get("tags"))
        requests.rows += [
            SourcePrompt(
                prompt_id=f"multijail-{row_id}",
                language=code,
                text=field(row, column, str, label, line),
                category=tags,
            )
            for code, column in _language_columns(tuple(row), f"{label}: line {line}").items()
            if code in languages
        ]
    return requests


def _tags(value: Any) -> tuple[str, ...]:
    """MultiJail's tags: a list, or in its csv the text of a Python list. None where there is no such list."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ()
    return (
        tuple(one.strip() for one in value if isinstance(one, str) and one.strip()) if isinstance(value, list) else ()
    )


def _language_columns(columns: tuple[str, ...], place: str) -> dict[str, str]:
    """The columns with prompts, by language. The column `id` is the row's id, not Indonesian."""
    found: dict[str, str] = {}
    for column in columns:
        try:
            code = language_code(column)
        except UnknownLanguage:
            continue
        if column == "id":
            continue
        if code in found:
            raise BadInput(
                f"{place}: the columns '{found[code]}' and '{column}' are both {name_of(code)} ({code}); keep one"
            )
        found[code] = column
    return found


def _jsonl(
    settings: JsonlPrompts, kind: AnyKind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    table = open_table(resolve(settings.path, root), columns=settings.columns.given(), ids=["prompt_id"])
    requests = SourcePrompts()
    lines: dict[tuple[str, str], int] = {}
    first = ""
    for line, row in table.rows:
        place = f"{table.path}: {table.form.unit} {line}"
        try:
            prompt = _own_prompt(row, settings.language)
        except Unusable as error:
            requests.dropped[error.reason] += 1
            first = first or f"{place}: {error.detail}"
            continue
        key = (prompt.prompt_id, prompt.language)
        if key in lines:
            raise BadInput(
                f"{place}: prompt_id '{key[0]}' in {key[1]} is also in {table.form.unit} {lines[key]}; "
                "give each request its own prompt_id"
            )
        lines[key] = line
        if prompt.language in languages:
            requests.rows.append(prompt)
        else:
            requests.dropped[OTHER_LANGUAGE] += prompt.language not in LANGUAGES
    if not lines:
        raise BadInput(first or f"{table.path}: has no rows")
    return requests


def _own_prompt(row: Mapping[str, Any], language: str | None) -> SourcePrompt:
    """A row with prompt_id, language, prompt and optionally good, bad, reviewed and notes. Raises Unusable."""
    for name in ("prompt_id", "language", "prompt"):
        if name not in row and not (name == "language" and language):
            raise Unusable(f"no {name}", f"no field '{name}'; {columns_of(row)}; name it in `columns`, or add it")
    row_id, code = given_id(row), given_language(row) or language
    if not row_id:
        raise Unusable("empty prompt_id", "prompt_id is empty; write one")
    if code is None:
        raise Unusable("empty language", "language is empty; write one")
    value = parsed(row["prompt"], "prompt")
    turns = prompt_turns(value, "prompt") if isinstance(value, list) else ()
    good, bad = (_answer(row, name) for name in ("good", "bad"))
    if (good is None) != (bad is None):
        raise Unusable("only one of good and bad", "good and bad go together; give both or neither")
    return SourcePrompt(
        prompt_id=row_id,
        language=code,
        text=request(turns) if turns else text_prompt(value, "prompt"),
        turns=turns,
        good=good,
        bad=bad,
        reviewed=_names_a_reviewer(row.get("reviewed")),
        category=categories(row.get("category")),
        translation_quality=_quality(row.get("translation_quality")),
    )


def _quality(value: object) -> float | None:
    if is_missing_number(value):
        return None
    try:
        return number(value)
    except ValueError as error:
        raise Unusable("translation_quality is not a number", f"translation_quality {error}") from None


def _names_a_reviewer(value: object) -> bool:
    """Whether the field `reviewed` is a name; a table may also say no in words."""
    return isinstance(value, str) and value.strip().casefold() not in ("", "false", "no", "none", "null", "0")


def _answer(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise Unusable(f"{name} is not text", f"'{name}' must be text")
    return value


_Reader = Callable[[Any, Any, frozenset[str], Path | None, int], SourcePrompts]
"""From settings, a kind that the source has, languages, root and seed."""

_SOURCES: dict[str, tuple[_Reader, tuple[AnyKind, ...]]] = {
    "parallel": (_parallel, KINDS),
    "hh-rlhf": (_hh, KINDS),
    "multijail": (_multijail, ("harmful",)),
    "xquad": (xquad_prompts, ("benign",)),
    "mlqa": (mlqa_prompts, ("benign",)),
    "tydiqa": (tydiqa_prompts, ("benign",)),
    "xcopa": (xcopa_prompts, ("benign",)),
    "xnli": (xnli_prompts, ("benign",)),
    "multichecklist": (multichecklist_prompts, ("benign",)),
    "polyrefuse": (polyrefuse_prompts, KINDS),
    "xstest": (xstest_prompts, ALL_KINDS),
    "polyguard": (polyguard_prompts, KINDS),
    "xsafety": (xsafety_prompts, ("harmful",)),
    "aya-redteaming": (aya_prompts, ("harmful",)),
    "jsonl": (_jsonl, ALL_KINDS),
}
