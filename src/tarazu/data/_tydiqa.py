"""TyDiQA-GoldP: questions written independently in each language, about passages of its Wikipedia."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from tarazu.data._sources import NumberedRow, SourcePrompts, hub_rows, is_folder, need_folder, only_existing, resolve
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
"""Languages by the word at the beginning of their question ids."""


def tydiqa_prompts(
    settings: TyDiQAPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """Passage, blank line, question. No request occurs in two languages, so `limit` counts the ids of all languages."""
    questions = {code: questions_of(label, rows) for code, label, rows in _files(settings, root) if code in languages}
    return requests_with_drawn_spans("tydiqa", questions, seed)


def _files(settings: TyDiQAPrompts, root: Path | None) -> Iterator[tuple[str, Path | str, Iterable[NumberedRow]]]:
    if settings.path is None:
        split = "validation" if settings.split == "dev" else settings.split
        label: Path | str = f"Hub dataset {settings.hub} (secondary_task)"
        yield from _split_by_language(label, hub_rows(settings.hub, name="secondary_task", split=split))
        return
    path = resolve(settings.path, root)
    if is_folder(path):
        name = f"tydiqa-goldp-v1.1-{settings.split}.json"
        file = only_existing([path / name, path / f"{name}.gz"])
        if file is None:
            yield from _by_language(path, settings.split)
            return
        path = file
    yield from _split_by_language(path, squad_rows(path))


def _split_by_language(
    label: Path | str, rows: Iterable[NumberedRow]
) -> Iterator[tuple[str, Path | str, Iterable[NumberedRow]]]:
    """The rows of a file with all languages, language by language."""
    by_language: dict[str, list[NumberedRow]] = defaultdict(list)
    for number, row in rows:
        word = field(row, "id", str, label, number).partition("-")[0]
        if word not in NAMES:
            raise BadInput(
                f"{label}: question {number}: the id begins with '{word}', which is not one of its languages"
            )
        by_language[NAMES[word]].append((number, row))
    for code in sorted(by_language):
        yield code, label, by_language[code]


def _by_language(folder: Path, split: str) -> Iterator[tuple[str, Path | str, Iterable[NumberedRow]]]:
    """XTREME's files, one for each language."""
    need_folder(folder, f"tydiqa-goldp-v1.1-{split}.json")
    paths = {}
    for code in sorted(NAMES.values()):
        names = (f"tydiqa.goldp.{code}.{split}.json", f"tydiqa.{code}.{split}.json")
        path = only_existing([folder / f"{name}{ending}" for name in names for ending in ("", ".gz")])
        if path is not None:
            paths[code] = path
    if not paths:
        raise BadInput(
            f"{folder}: contains no tydiqa-goldp-v1.1-{split}.json and no tydiqa.goldp.<code>.{split}.json; check the "
            "path and `split`"
        )
    for code, path in paths.items():
        yield code, path, squad_rows(path)
