"""Reviewers behind one interface: language models and, for comparison, the gate and the rules of the assessment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tarazu.assessment.challenge.cases import Case
from tarazu.assessment.challenge.paper import write_record
from tarazu.assessment.challenge.prompt import INSTRUCTION, Finding, findings_in, prompt_of
from tarazu.assessment.facts import read_facts
from tarazu.assessment.review import KEY, REVIEWERS, check_address
from tarazu.data.rows import Turn
from tarazu.errors import BadInput, TarazuError
from tarazu.judge.chat import Chat, LocalChat, ServerChat
from tarazu.record.ceilings import Ceilings
from tarazu.record.reading import Record, read_record
from tarazu.record.verify.gate import verify
from tarazu.study.rubric import JudgeServer, Rubric

LONGEST_ANSWER: Final = 400
"""Tokens of a language model's answer."""
_REFUSED: Final = ("failed", "vacuous")
_PLACES: Final = {
    "title": "title",
    "question": "question",
    "abstract-numbers": "abstract",
    "abstract-sure": "abstract",
    "limitations": "limitations",
    "caution": "limitations",
}
"""Where the rules of the assessment look that are about a text. The others are about the record as one."""


class Reviewer(Protocol):
    """Something that reads a case and says what is wrong, and where."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    def findings(self, case: Case) -> tuple[Finding, ...] | None:
        """None where its answer cannot be read."""
        ...


@dataclass(frozen=True)
class Gate:
    """The gate, on a copy of the record with the fault. A finding is a claim that failed or is vacuous."""

    record: Record
    ceilings: Ceilings
    name: str = "gate"
    kind: str = "gate"

    def findings(self, case: Case) -> tuple[Finding, ...]:
        with _copied(self.record, case) as folder:
            report = verify(folder, ceilings=self.ceilings)
        if any(one.verdict == "not_run" for one in report.claims) or not report.intact:
            raise TarazuError(f"the gate could not check {case.id}: {report.reason}")
        refused = (one for one in report.claims if one.verdict in _REFUSED)
        return tuple(Finding(place=one.id, reason=one.reason[:2000]) for one in refused)


@dataclass(frozen=True)
class Rules:
    """The rules of the assessment, without the gate. A finding is a rule that is not met."""

    record: Record
    name: str = "rules"
    kind: str = "rules"

    def findings(self, case: Case) -> tuple[Finding, ...]:
        with _copied(self.record, case) as folder:
            facts = read_facts(read_record(folder))
        missed = [check for one in REVIEWERS for check in one.review(facts).checks if check.passed is False]
        places: dict[str, Finding] = {}
        for check in missed:
            place = _PLACES.get(check.id, f"record: {check.id}")
            places.setdefault(place, Finding(place=place, reason=check.finding[:2000]))
        return tuple(places.values())


@dataclass(frozen=True)
class LanguageModel:
    """A language model that reads the case as text. What it answers is data."""

    chat: Chat
    name: str
    kind: str = "language model"

    def findings(self, case: Case) -> tuple[Finding, ...] | None:
        (answer,) = self.chat.answers([[Turn("user", prompt_of(case.paper))]])
        return None if answer.text is None else findings_in(answer.text)


@contextmanager
def served_model(url: str, model: str, *, retries: int = 2) -> Iterator[LanguageModel]:
    """A model behind an OpenAI-compatible address, at temperature 0."""
    check_address(url)
    if not model:
        raise BadInput("--judge-model: is empty; give the name of the model at that address")
    server = JudgeServer(url=url, model=model, key_variable=KEY, concurrency=1, retries=retries)
    chat = ServerChat(_settings(server=server), key="language model", kept="nothing was written")
    try:
        yield LanguageModel(chat, model)
    finally:
        chat.close()


def local_model(checkpoint: str) -> LanguageModel:
    """A checkpoint with a chat template, which decodes greedily. Raises BadInput."""
    from tarazu.align import checkpoints

    key = "--checkpoint"
    tokenizer = checkpoints.load_tokenizer(checkpoint, key=key)
    room = checkpoints.positions(checkpoint, key=key)
    settings = _settings(model=checkpoint)
    model = checkpoints.load_causal_lm(checkpoint, key=key)
    return LanguageModel(LocalChat(model, tokenizer, settings, key=key, positions=room), Path(checkpoint).name)


def _settings(*, server: JudgeServer | None = None, model: str | None = None) -> Rubric:
    return Rubric(kind="rubric", rubric=INSTRUCTION, server=server, model=model, max_new_tokens=LONGEST_ANSWER)


@contextmanager
def _copied(record: Record, case: Case) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tarazu-reviewers-") as folder:
        yield write_record(record, case.paper, Path(folder) / "record")
