"""TyDiQA-GoldP: questions written in each language by itself, about passages of its Wikipedia."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from tarazu.data._sources import NumberedRow, Requests, hub_rows, is_folder, need_folder, only_existing, resolve
from tarazu.data._squad import questions_of, requests_with_drawn_spans, squad_rows
from tarazu.data.rows import Kind
from tarazu.errors import BadInput
from tarazu.readers import field
from tarazu.study.sources import TyDiQAPrompts

NAMES = {
    "arabic": "ar",
    "bengali": "bn",
    "english": "en",
    "finnish": "fi",
    "indonesian": "id",
    "korean": "ko",
    "russian": "ru",
    "swahili": "sw",
    "telugu": "te",
}
"""Languages by the word that their question ids begin with."""


def tydiqa_requests(
    settings: TyDiQAPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> Requests:
    """Passage, blank line, question. No request is the same in two languages, so `limit` keeps as many ids over all."""
    found = {code: questions_of(label, rows) for code, label, rows in _files(settings, root) if code in languages}
    return requests_with_drawn_spans("tydiqa", found, seed)


def _files(settings: TyDiQAPrompts, root: Path | None) -> Iterator[tuple[str, Path | str, Iterable[NumberedRow]]]:
    if settings.path is None:
        split = "validation" if settings.split == "dev" else settings.split
        label: Path | str = f"Hub dataset {settings.hub} (secondary_task)"
        yield from _apart(label, hub_rows(settings.hub, name="secondary_task", split=split))
        return
    path = resolve(settings.path, root)
    if is_folder(path):
        whole = f"tydiqa-goldp-v1.1-{settings.split}.json"
        file = only_existing([path / whole, path / f"{whole}.gz"])
        if file is None:
            yield from _by_language(path, settings.split)
            return
        path = file
    yield from _apart(path, squad_rows(path))


def _apart(label: Path | str, rows: Iterable[NumberedRow]) -> Iterator[tuple[str, Path | str, Iterable[NumberedRow]]]:
    """The rows of one file that holds all languages, language by language."""
    found: dict[str, list[NumberedRow]] = defaultdict(list)
    for number, row in rows:
        word = field(row, "id", str, label, number).partition("-")[0]
        if word not in NAMES:
            raise BadInput(f"{label}: question {number}: the id begins with '{word}', which is none of its languages")
        found[NAMES[word]].append((number, row))
    for code in sorted(found):
        yield code, label, found[code]


def _by_language(folder: Path, split: str) -> Iterator[tuple[str, Path | str, Iterable[NumberedRow]]]:
    """XTREME's files, one a language."""
    need_folder(folder, f"tydiqa-goldp-v1.1-{split}.json")
    paths = {}
    for code in sorted(NAMES.values()):
        names = (f"tydiqa.goldp.{code}.{split}.json", f"tydiqa.{code}.{split}.json")
        path = only_existing([folder / f"{name}{ending}" for name in names for ending in ("", ".gz")])
        if path is not None:
            paths[code] = path
    if not paths:
        raise BadInput(
            f"{folder}: holds no tydiqa-goldp-v1.1-{split}.json and no tydiqa.goldp.<code>.{split}.json; check the "
            "path and `split`"
        )
    for code, path in paths.items():
        yield code, path, squad_rows(path)
