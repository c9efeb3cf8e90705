"""SQuAD's format: passages with questions whose answers are spans of the passage (XQuAD, MLQA, TyDiQA)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tarazu.data._sources import WORDS, NumberedRow, SourcePrompt, SourcePrompts, normalised
from tarazu.errors import BadInput
from tarazu.readers import field, read_json

_LARGEST = 256 * 2**20
"""Bytes of a file. Those of SQuAD 2.0 have 42 MB."""
NO_WRONG_SPAN = "no other span of the passage is surely wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    passage: str
    question: str
    answer: str
    start: int | None
    """Offset of the answer in the passage, or None if it is not there."""

    def apart_from(self, other: Question) -> bool:
        """Whether the two answers do not overlap in the passage, and neither text contains the other."""
        mine, theirs = normalised(self.answer), normalised(other.answer)
        if not theirs or mine in theirs or theirs in mine:
            return False
        if self.start is None or other.start is None:
            return False
        return self.start + len(self.answer) <= other.start or other.start + len(other.answer) <= self.start


def request(qid: str, source: str, language: str, question: Question, bad: str | None) -> SourcePrompt:
    """Passage, blank line, question. The known answers are the question's answer and `bad`."""
    return SourcePrompt(
        prompt_id=f"{source}-{qid}",
        language=language,
        text=f"{question.passage}\n\n{question.question}",
        good=question.answer,
        bad=bad,
        without_answers=NO_WRONG_SPAN,
    )


def requests_with_drawn_spans(source: str, by_language: dict[str, dict[str, Question]], seed: int) -> SourcePrompts:
    """The requests of each language. The wrong answer is a span of the passage that is as long as the right one."""
    requests = SourcePrompts()
    for code in sorted(by_language):
        for qid, question in by_language[code].items():
            requests.rows.append(request(qid, source, code, question, wrong_span(qid, question, seed)))
            requests.notes["answer not at its offset"] += question.start is None
    return requests


def wrong_span(qid: str, question: Question, seed: int) -> str | None:
    """A span of the passage with as many words as the answer, drawn by (seed, id), or None if there is none.

    The span must not overlap the answer, and neither text may contain the other.
    """
    if question.start is None or not normalised(question.answer):
        return None
    words = list(WORDS.finditer(question.passage))
    count = max(1, len(WORDS.findall(question.answer)))
    end = question.start + len(question.answer)
    spans = [
        (first.start(), last.end())
        for first, last in zip(words, words[count - 1 :], strict=False)
        if first.start() >= end or last.end() <= question.start
    ]
    mine = normalised(question.answer)
    for start, stop in sorted(spans, key=lambda span: hashlib.sha256(f"{seed}/{qid}/{span[0]}".encode()).digest()):
        text = question.passage[start:stop].strip(" .,;:!?()\"'\u060c\u3002\u0964")
        theirs = normalised(text)
        if theirs and mine not in theirs and theirs not in mine:
            return text
    return None


def squad_rows(path: Path) -> Iterator[NumberedRow]:
    """Numbered rows as on the Hub, from the nested SQuAD format, numbered by question."""

    def members(holder: Any, name: str, where: str) -> list[Any]:
        value = holder.get(name) if isinstance(holder, dict) else None
        if not isinstance(value, list):
            raise BadInput(f"{path}: {where} has no list '{name}'; the file must be in the SQuAD format")
        return value

    number = 0
    for article_number, article in enumerate(members(read_json(path, largest=_LARGEST), "data", "the file"), 1):
        for paragraph in members(article, "paragraphs", f"article {article_number}"):
            for row in members(paragraph, "qas", f"a paragraph of article {article_number}"):
                number += 1
                answers = members(row, "answers", f"question {number}")
                if not all(isinstance(answer, dict) for answer in answers):
                    raise BadInput(
                        f"{path}: question {number}: an answer is not an object; it must have text, answer_start"
                    )
                columns = {name: [answer.get(name) for answer in answers] for name in ("text", "answer_start")}
                yield number, {**row, "context": paragraph.get("context"), "answers": columns}


def questions_of(label: Path | str, rows: Iterable[NumberedRow]) -> dict[str, Question]:
    """Questions by id, in the order of the rows. Raises BadInput for a duplicate id or a missing answer."""
    questions: dict[str, Question] = {}
    for number, row in rows:
        qid = field(row, "id", str, label, number)
        if qid in questions:
            raise BadInput(f"{label}: line {number}: duplicate question id '{qid}'; keep one")
        passage = field(row, "context", str, label, number)
        answers = field(row, "answers", dict, label, number)
        texts = field(answers, "text", list, label, number)
        starts = field(answers, "answer_start", list, label, number)
        if not texts or not starts or type(texts[0]) is not str or type(starts[0]) is not int:
            raise BadInput(f"{label}: line {number}: question '{qid}' has no answer with text and answer_start")
        questions[qid] = Question(
            passage=passage.strip(),
            question=field(row, "question", str, label, number).strip(),
            answer=texts[0].strip(),
            start=_offset(passage, texts[0], starts[0]),
        )
    return questions


def _offset(passage: str, answer: str, start: int) -> int | None:
    """`start` if the answer is there, else the only place where the answer occurs, else None."""
    if start >= 0 and answer and passage.startswith(answer, start):
        return start
    return passage.find(answer) if answer and passage.count(answer) == 1 else None
