"""The user's own preference pairs, in any form that `tarazu.data.forms` knows, from a file or a Hub dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tarazu.data._sources import NumberedRow, content_id, hub_rows, resolve
from tarazu.data.forms.messages import Unusable
from tarazu.data.forms.pairs import preference
from tarazu.data.rows import PreferencePair
from tarazu.errors import BadInput
from tarazu.languages import UnknownLanguage, language_code
from tarazu.study.sources import HubPairs, JsonlPairs
from tarazu.tables import identifier, is_missing, open_table
from tarazu.tables.reading import renamed


def own_pairs(settings: JsonlPairs | HubPairs, root: Path | None, dropped: Counter[str]) -> Iterator[PreferencePair]:
    """The pairs of a file or of a Hub dataset. Rows that cannot be used are counted in `dropped`.

    Raises BadInput if no row can be used, with what the first of them is.
    """
    columns = settings.columns.given()
    rows: Iterable[NumberedRow]
    if isinstance(settings, JsonlPairs):
        path = resolve(settings.path, root)
        table = open_table(path, columns=columns, ids=["prompt_id"])
        label, unit, rows = str(path), table.form.unit, table.rows
    else:
        label, unit = f"Hub dataset {settings.hub}", "row"
        rows = renamed(hub_rows(settings.hub, name=settings.config, split=settings.split), columns, f"{label}: {unit}")
    usable, first = False, ""
    for line, row in rows:
        try:
            pair = _pair(settings, row)
        except Unusable as error:
            dropped[error.reason] += 1
            first = first or f"{label}: {unit} {line}: {error.detail}"
        else:
            usable = True
            yield pair
    if not usable:
        raise BadInput(first or f"{label}: has no rows")


def _pair(settings: JsonlPairs | HubPairs, row: Mapping[str, Any]) -> PreferencePair:
    found = preference(row)
    return PreferencePair(
        prompt_id=given_id(row) or content_id(settings.source, found.prompt),
        language=given_language(row) or settings.language,
        source=settings.source,
        prompt=found.prompt,
        chosen=_after_colon(found.chosen),
        rejected=_after_colon(found.rejected),
        turns=found.turns,
    )


def given_id(row: Mapping[str, Any]) -> str:
    """The prompt_id of a row, empty if it has none. Raises Unusable."""
    try:
        return identifier(row.get("prompt_id"))
    except ValueError as error:
        raise Unusable("prompt_id of another type", f"prompt_id {error}") from None


def given_language(row: Mapping[str, Any]) -> str | None:
    """The language of a row, None if it has none. Raises Unusable if it is not one of the 50."""
    value = row.get("language")
    if is_missing(value):
        return None
    if not isinstance(value, str):
        raise Unusable("language is not text", "'language' must be text")
    try:
        return language_code(value)
    except UnknownLanguage as error:
        raise Unusable("unknown language", str(error)) from None


def _after_colon(answer: str) -> str:
    """An answer as in a transcript, with a space before it."""
    return answer if answer[:1].isspace() else f" {answer}"
