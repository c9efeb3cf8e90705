"""MLQA: questions about passages of Wikipedia, matched across languages by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tarazu.data._sources import NumberedRow, SourcePrompts, hub_rows, need_folder, only_existing, resolve
from tarazu.data._squad import questions_of, requests_with_drawn_spans, squad_rows
from tarazu.data.rows import Kind
from tarazu.errors import BadInput
from tarazu.study.sources import MLQAPrompts

LANGUAGES_PUBLISHED = ("ar", "de", "en", "es", "hi", "vi", "zh")


def mlqa_prompts(
    settings: MLQAPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """Passage, blank line, question, with passage and question in the same language. The passages come from each
    language's own Wikipedia and agree in the sentence that contains the answer."""
    questions = {code: questions_of(label, rows) for code, label, rows in _files(settings, languages, root)}
    return requests_with_drawn_spans("mlqa", questions, seed)


def _files(
    settings: MLQAPrompts, languages: frozenset[str], root: Path | None
) -> Iterator[tuple[str, Path | str, Iterable[NumberedRow]]]:
    codes = [code for code in LANGUAGES_PUBLISHED if code in languages]
    if settings.path is None:
        split = "validation" if settings.split == "dev" else settings.split
        for code in codes:
            name = f"mlqa.{code}.{code}"
            yield code, f"Hub dataset {settings.hub} ({name})", hub_rows(settings.hub, name=name, split=split)
        return
    folder = resolve(settings.path, root)
    need_folder(folder, f"{settings.split}-context-<code>-question-<code>.json")
    paths = {}
    for code in LANGUAGES_PUBLISHED:
        name = f"{settings.split}-context-{code}-question-{code}.json"
        path = only_existing(
            [folder / f"{prefix}{name}{ending}" for prefix in ("", f"{settings.split}/") for ending in ("", ".gz")]
        )
        if path is not None:
            paths[code] = path
    if not paths:
        raise BadInput(
            f"{folder}: contains no {settings.split}-context-<code>-question-<code>.json; check the path and `split`"
        )
    for code in codes:
        if code in paths:
            yield code, paths[code], squad_rows(paths[code])
