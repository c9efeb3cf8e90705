"""Judges texts with all judges of their kind of prompt, one model in memory at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tarazu.data.rows import KINDS, Prompt
from tarazu.errors import BadInput
from tarazu.judge.judgement import Cache, Judge, Judged, Judgement, Row
from tarazu.judge.table import Text
from tarazu.progress import OnProgress
from tarazu.study import Study
from tarazu.study.judges import GenerativeGuard, GuardClassifier, RewardModel
from tarazu.study.judges import Judge as JudgeOfStudy
from tarazu.study.rubric import Rubric


@dataclass(frozen=True, kw_only=True)
class Caches:
    """Where judgements are kept until the work is complete: in `folder`, by the digest of each judge, which `judges`
    has by its key below `reward`. Those of rubric judges, which may have cost money, stay in `lasting` where it is
    given. Without a folder nothing is kept."""

    folder: Path | None = None
    lasting: Path | None = None
    judges: Mapping[str, str] = field(default_factory=dict)

    def of(self, key: str, settings: JudgeOfStudy) -> Cache:
        folder = self.lasting or self.folder if isinstance(settings, Rubric) else self.folder
        return Cache(folder, self.judges.get(key, ""))

    def clear(self) -> None:
        """Remove what is kept, once the work is complete."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def judge_texts(
    study: Study,
    texts: Sequence[Text],
    progress: OnProgress,
    prompts: Sequence[Prompt] = (),
    caches: Caches | None = None,
) -> tuple[dict[Text, Judged], dict[str, int]]:
    """The judgements of each (kind, prompt, response) by each judge of its kind, and counts that a reader should know.

    `prompts` are those whose turns may say more than their texts. A model that judges both kinds is loaded twice.
    """
    from tarazu.conversation.formats import conversation

    conversations = {prompt.text: conversation(prompt) for prompt in prompts if prompt.turns}
    judged: dict[Text, Judged] = {}
    notes: dict[str, int] = {}
    for kind in KINDS:
        own = list(dict.fromkeys(text for text in texts if text[0] == kind))
        if not own:
            continue
        rows: list[Row] = [(conversations.get(prompt, prompt), response) for _, prompt, response in own]
        columns = []
        judges = study.reward.judges(kind)
        if not judges:
            raise BadInput(
                f"reward.{kind}: the study {study.name} has no judge of responses to {kind} prompts; add one"
            )
        for key, settings in judges.items():
            with open_judge(settings, f"reward.{key}", (caches or Caches()).of(key, settings)) as judge:
                columns.append(judge.judge(rows, progress))
            notes |= _notes(key, settings, columns[-1])
        by_reward = isinstance(next(iter(judges.values())), RewardModel)
        judged |= {
            text: Judged(judgements=judgements, by_reward=by_reward)
            for text, judgements in zip(own, zip(*columns, strict=True), strict=True)
        }
    return judged, notes


@contextmanager
def open_judge(settings: JudgeOfStudy, key: str, cache: Cache) -> Iterator[Judge]:
    """Load a judge of a study. `key` is its own, such as `reward.harmful`."""
    if isinstance(settings, Rubric) and settings.server is not None:
        from tarazu.judge.chat import ServerChat
        from tarazu.judge.rubric import RubricJudge

        chat = ServerChat(settings, key=key)
        try:
            yield RubricJudge(chat, settings, cache=cache)
        finally:
            chat.close()
    else:
        yield _local_judge(settings, key, cache)


def _local_judge(settings: JudgeOfStudy, key: str, cache: Cache) -> Judge:
    from tarazu.align import checkpoints

    name = settings.name
    options: dict[str, Any] = {
        "key": f"{key}.model",
        "revision": settings.revision,
        "trust_remote_code": settings.trust_remote_code,
    }
    tokenizer = checkpoints.load_tokenizer(name, **options)
    if isinstance(settings, RewardModel):
        from tarazu.judge.score import RewardJudge

        model = checkpoints.load_reward_model(name, dtype=settings.dtype, **options)
        return RewardJudge(model, tokenizer, settings, key=key, cache=cache)
    if isinstance(settings, GuardClassifier):
        from tarazu.judge.guard import GuardJudge

        model = checkpoints.load_classifier(name, dtype=settings.dtype, **options)
        return GuardJudge(model, tokenizer, settings, key=key, cache=cache)
    model = checkpoints.load_causal_lm(name, dtype=settings.dtype, **options)
    if isinstance(settings, GenerativeGuard):
        from tarazu.judge.generative import GenerativeGuardJudge

        return GenerativeGuardJudge(model, tokenizer, settings, key=key, cache=cache)
    from tarazu.judge.chat import LocalChat
    from tarazu.judge.rubric import RubricJudge

    room = checkpoints.positions(name, **options)
    return RubricJudge(LocalChat(model, tokenizer, settings, key=key, positions=room), settings, cache=cache)


def token_notes(key: str) -> tuple[str, str]:
    """The names of the counts of tokens that the judge at `key` read and wrote."""
    return f"{key} tokens read by the judge", f"{key} tokens written by the judge"


def costs(study: Study, notes: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """What the study's rubric judges have read, written and cost, by their keys below `reward`. `notes` has the counts
    of each stage."""
    made: dict[str, dict[str, Any]] = {}
    for key, judge in study.reward.judges().items():
        if isinstance(judge, Rubric):
            read, written = (sum(own.get(name, 0) for own in notes.values()) for name in token_notes(key))
            cost = judge.cost(read, written)
            made[key] = {"model": judge.name, "tokens_read": read, "tokens_written": written, "cost": cost}
    return made


def _notes(key: str, settings: JudgeOfStudy, judgements: Sequence[Judgement]) -> dict[str, int]:
    what = "reward" if isinstance(settings, RewardModel) else "judge"
    unlabelled = 0 if what == "reward" else sum(one.label is None for one in judgements)
    read, written = token_notes(key)
    counts = {
        f"{key} {what} inputs cut": sum(one.shortened for one in judgements),
        f"{key} texts without a label": unlabelled,
        read: sum(one.tokens[0] for one in judgements),
        written: sum(one.tokens[1] for one in judgements),
    }
    return {name: count for name, count in counts.items() if count}
