"""Judges texts with all judges of their kind of prompt, one model in memory at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tarazu.data.rows import KINDS, Prompt
from tarazu.judge.judgement import Cache, Judge, Judged, Judgement, Row
from tarazu.judge.table import Text
from tarazu.progress import OnProgress
from tarazu.study import Study
from tarazu.study.judges import GenerativeGuard, RewardModel
from tarazu.study.judges import Judge as JudgeOfStudy


@dataclass(frozen=True, kw_only=True)
class Caches:
    """Where judgements are kept until the work is complete: in `folder`, by the digest of each judge, which `judges`
    has by its key below `reward`. Without a folder nothing is kept."""

    folder: Path | None = None
    judges: Mapping[str, str] = field(default_factory=dict)

    def of(self, key: str) -> Cache:
        return Cache(self.folder, self.judges.get(key, ""))

    def clear(self) -> None:
        """Remove what is kept, once the work is complete."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # the folders of other work are in it
                self.folder.parent.rmdir()


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
        for key, settings in judges.items():
            with open_judge(settings, f"reward.{key}", (caches or Caches()).of(key)) as judge:
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
    from tarazu.align import checkpoints

    options: dict[str, Any] = {
        "key": f"{key}.model",
        "revision": settings.revision,
        "trust_remote_code": settings.trust_remote_code,
    }
    tokenizer = checkpoints.load_tokenizer(settings.model, **options)
    if isinstance(settings, RewardModel):
        from tarazu.judge.score import RewardJudge

        model = checkpoints.load_reward_model(settings.model, dtype=settings.dtype, **options)
        yield RewardJudge(model, tokenizer, settings, key=key, cache=cache)
    elif isinstance(settings, GenerativeGuard):
        from tarazu.judge.generative import GenerativeGuardJudge

        model = checkpoints.load_causal_lm(settings.model, dtype=settings.dtype, **options)
        yield GenerativeGuardJudge(model, tokenizer, settings, key=key, cache=cache)
    else:
        from tarazu.judge.guard import GuardJudge

        model = checkpoints.load_classifier(settings.model, dtype=settings.dtype, **options)
        yield GuardJudge(model, tokenizer, settings, key=key, cache=cache)


def _notes(key: str, settings: JudgeOfStudy, judgements: Sequence[Judgement]) -> dict[str, int]:
    what = "reward" if isinstance(settings, RewardModel) else "judge"
    unlabelled = 0 if what == "reward" else sum(one.label is None for one in judgements)
    counts = {
        f"{key} {what} inputs cut": sum(one.shortened for one in judgements),
        f"{key} texts without a label": unlabelled,
        f"{key} judge's tokens read": sum(one.tokens[0] for one in judgements),
        f"{key} judge's tokens written": sum(one.tokens[1] for one in judgements),
    }
    return {name: count for name, count in counts.items() if count}
