"""XQuAD: a passage and a question about it. Known answers are the answer and another span of the passage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tarazu.data._sources import NumberedRow, SourcePrompts, hub_rows, need_folder, only_existing, resolve
from tarazu.data._squad import Question, questions_of, request, squad_rows
from tarazu.data.rows import Kind
from tarazu.errors import BadInput
from tarazu.study.sources import XQuADPrompts

LANGUAGES_PUBLISHED = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")


def xquad_prompts(
    settings: XQuADPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """Passage, blank line, question, in each language. The bad answer is the answer to another question about the same
    passage. That question is the same in every language, and drawn by (seed, question id)."""
    # Always read all languages: a wrong span must be wrong in each of them, and the draw must not depend on the
    # languages of the study.
    questions = {code: questions_of(label, rows) for code, label, rows in _files(settings, root)}
    requests = SourcePrompts()
    wrong: dict[str, str | None] = {}
    for code in sorted(languages & set(questions)):
        for qid, question in questions[code].items():
            if qid not in wrong:
                wrong[qid] = _other_question(qid, questions, seed)
            other = wrong[qid]
            bad = None if other is None else questions[code][other].answer
            requests.rows.append(request(qid, "xquad", code, question, bad))
            requests.notes["answer not at its offset"] += question.start is None
    return requests


def _other_question(qid: str, questions: dict[str, dict[str, Question]], seed: int) -> str | None:
    """A question about the same passage whose answer does not overlap that of `qid`, in every language with `qid`."""
    holding = [by_id for by_id in questions.values() if qid in by_id]
    fitting = [
        other
        for other in _same_passage(holding[0], qid)
        if all(
            other in by_id and by_id[other].passage == by_id[qid].passage and by_id[qid].apart_from(by_id[other])
            for by_id in holding
        )
    ]
    return min(fitting, key=lambda other: hashlib.sha256(f"{seed}/{qid}/{other}".encode()).digest(), default=None)


def _same_passage(by_id: dict[str, Question], qid: str) -> Iterator[str]:
    passage = by_id[qid].passage
    return (other for other, question in by_id.items() if other != qid and question.passage == passage)


def _files(settings: XQuADPrompts, root: Path | None) -> Iterator[tuple[str, Path | str, Iterable[NumberedRow]]]:
    if settings.path is None:
        for code in LANGUAGES_PUBLISHED:
            rows = hub_rows(settings.hub, name=f"xquad.{code}", split="validation")
            yield code, f"Hub dataset {settings.hub} (xquad.{code})", rows
        return
    folder = resolve(settings.path, root)
    need_folder(folder, "xquad.<code>.json or .json.gz")
    is_empty = True
    for code in LANGUAGES_PUBLISHED:
        path = only_existing([folder / f"xquad.{code}.json", folder / f"xquad.{code}.json.gz"])
        if path is not None:
            is_empty = False
            yield code, path, squad_rows(path)
    if is_empty:
        raise BadInput(f"{folder}: contains no xquad.<code>.json and no xquad.<code>.json.gz; check the path")
