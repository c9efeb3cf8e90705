"""XQuAD: a passage and a question about it; known answers are the answer and another span of the passage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tarazu.data._sources import (
    NumberedRow,
    Request,
    Requests,
    hub_rows,
    need_folder,
    normalised,
    only_existing,
    resolve,
)
from tarazu.data.rows import Kind
from tarazu.errors import BadInput
from tarazu.readers import field, read_json
from tarazu.study.schema import XQuADPrompts

LANGUAGES_PUBLISHED = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    passage: str
    question: str
    answer: str
    start: int | None
    """Where the answer stands in the passage; None where it does not."""

    def apart_from(self, other: _Question) -> bool:
        """Whether the two answers share no stretch of the passage and neither text contains the other."""
        mine, theirs = normalised(self.answer), normalised(other.answer)
        if not theirs or mine in theirs or theirs in mine:
            return False
        if self.start is None or other.start is None:
            return False
        return self.start + len(self.answer) <= other.start or other.start + len(other.answer) <= self.start


def xquad_requests(
    settings: XQuADPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> Requests:
    """Passage, blank line, question, in each language. The bad answer is that of another question of the passage,
    the same question in every language, drawn by (seed, question id)."""
    # All languages are read whatever is asked for: a wrong span must be wrong in each of them, and the draw must
    # not depend on the languages of the study.
    questions = {code: _questions(label, rows) for code, label, rows in _files(settings, root)}
    requests = Requests()
    wrong: dict[str, str | None] = {}
    for code in sorted(languages & set(questions)):
        for qid, question in questions[code].items():
            if qid not in wrong:
                wrong[qid] = _other_question(qid, questions, seed)
            other = wrong[qid]
            requests.rows.append(
                Request(
                    prompt_id=f"xquad-{qid}",
                    language=code,
                    text=f"{question.passage}\n\n{question.question}",
                    good=question.answer,
                    bad=None if other is None else questions[code][other].answer,
                    without_answers="no other span of the passage is surely wrong",
                )
            )
            requests.notes["answer not at its offset"] += question.start is None
    return requests


def _other_question(qid: str, questions: dict[str, dict[str, _Question]], seed: int) -> str | None:
    """A question of the same passage whose answer is apart from that of `qid` in every language that has `qid`."""
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


def _same_passage(by_id: dict[str, _Question], qid: str) -> Iterator[str]:
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
    found = False
    for code in LANGUAGES_PUBLISHED:
        path = only_existing([folder / f"xquad.{code}.json", folder / f"xquad.{code}.json.gz"])
        if path is not None:
            found = True
            yield code, path, _squad_rows(path)
    if not found:
        raise BadInput(f"{folder}: holds no xquad.<code>.json and no xquad.<code>.json.gz; check the path")


def _squad_rows(path: Path) -> Iterator[NumberedRow]:
    """The rows that the Hub has, from the nested SQuAD format, numbered by question."""

    def members(holder: Any, name: str, where: str) -> list[Any]:
        value = holder.get(name) if isinstance(holder, dict) else None
        if not isinstance(value, list):
            raise BadInput(f"{path}: {where} has no list '{name}'; the file must be in the SQuAD format")
        return value

    number = 0
    for article_number, article in enumerate(members(read_json(path), "data", "the file"), 1):
        for paragraph in members(article, "paragraphs", f"article {article_number}"):
            for row in members(paragraph, "qas", f"a paragraph of article {article_number}"):
                number += 1
                answers = members(row, "answers", f"question {number}")
                if not all(isinstance(answer, dict) for answer in answers):
                    raise BadInput(
                        f"{path}: question {number}: an answer is no object; it must have text, answer_start"
                    )
                columns = {name: [answer.get(name) for answer in answers] for name in ("text", "answer_start")}
                yield number, {**row, "context": paragraph.get("context"), "answers": columns}


def _questions(label: Path | str, rows: Iterable[NumberedRow]) -> dict[str, _Question]:
    questions: dict[str, _Question] = {}
    for number, row in rows:
        qid = field(row, "id", str, label, number)
        if qid in questions:
            raise BadInput(f"{label}: line {number}: the question id '{qid}' stands twice; leave one")
        passage = field(row, "context", str, label, number)
        answers = field(row, "answers", dict, label, number)
        texts = field(answers, "text", list, label, number)
        starts = field(answers, "answer_start", list, label, number)
        if not texts or not starts or type(texts[0]) is not str or type(starts[0]) is not int:
            raise BadInput(f"{label}: line {number}: question '{qid}' has no answer with text and answer_start")
        questions[qid] = _Question(
            passage=passage.strip(),
            question=field(row, "question", str, label, number).strip(),
            answer=texts[0].strip(),
            start=_offset(passage, texts[0], starts[0]),
        )
    return questions


def _offset(passage: str, answer: str, start: int) -> int | None:
    """`start`, or where the answer stands once and only once; None where neither holds."""
    if start >= 0 and answer and passage.startswith(answer, start):
        return start
    return passage.find(answer) if answer and passage.count(answer) == 1 else None
