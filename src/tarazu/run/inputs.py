"""What a study reads before anything runs: pairs, prompts, known answers, and proof that they do not overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tarazu.data.preferences import load_pairs, without_evaluated
from tarazu.data.prompts import load_known_answers, load_prompts
from tarazu.data.rows import KINDS, KnownAnswer, Loaded, PreferencePair, Prompt
from tarazu.errors import BadInput
from tarazu.files import digest
from tarazu.study import Study


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All rows of a study, and what was read, kept and dropped on the way."""

    pairs: tuple[PreferencePair, ...]
    prompts: tuple[Prompt, ...]
    known_answers: tuple[KnownAnswer, ...]
    reward_pairs: tuple[PreferencePair, ...]
    account: dict[str, Any]

    @property
    def pairs_digest(self) -> str:
        return digest([asdict(pair) for pair in self.pairs])

    @property
    def prompts_digest(self) -> str:
        return digest([asdict(prompt) for prompt in self.prompts])


def read_inputs(study: Study) -> Inputs:
    """Read every source of a study.

    Raises BadInput for a source that cannot be read, a study without a prompt, or one whose training pairs are all
    evaluated.
    """
    root = Path(study.data.root).expanduser() if study.data.root else None
    if root is not None and not root.is_dir():
        raise BadInput(
            f"data.root: {root}: no such folder; set data.root or TARAZU_DATA to the folder of the data files"
        )
    codes = study.language_codes()
    where = {"languages": codes, "root": root, "seed": study.seed}
    prompts = [
        load_prompts(source, kind, **where)  # type: ignore[arg-type]
        for kind in KINDS
        for source in study.prompts.kinds()[kind]
    ]
    known = [
        load_known_answers(source, kind, **where)  # type: ignore[arg-type]
        for kind in KINDS
        for source in study.reward.known_answers.kinds()[kind]
    ]
    _check_prompts(study, prompts)
    account: dict[str, Any] = {
        "prompts": [_account(loaded) for loaded in prompts],
        "known_answers": [_account(loaded) for loaded in known],
    }
    rows = tuple(row for loaded in prompts for row in loaded.rows)
    known_answers = tuple(row for loaded in known for row in loaded.rows)
    pairs: tuple[PreferencePair, ...] = ()
    if study.data.pairs is not None:
        loaded_pairs, overlap = without_evaluated(load_pairs(study.data.pairs, root=root, seed=study.seed), rows)
        _refuse_none_left("data.pairs", loaded_pairs)
        pairs = loaded_pairs.rows
        account["pairs"] = _account(loaded_pairs)
        account["overlap"] = overlap
    reward_pairs: tuple[PreferencePair, ...] = ()
    reward_source = study.reward_pairs()
    if reward_source is not None:
        # The answers that test a reward model must be as new to it as the prompts of the study.
        tested = [
            Prompt(prompt_id=row.prompt_id, language=row.language, kind=row.kind, source=row.source, text=row.prompt)
            for row in known_answers
        ]
        loaded_pairs, overlap = without_evaluated(
            load_pairs(reward_source, root=root, seed=study.seed), [*rows, *tested]
        )
        _refuse_none_left("reward.train.pairs", loaded_pairs)
        reward_pairs = loaded_pairs.rows
        account["reward_pairs"] = _account(loaded_pairs)
        account["reward_overlap"] = overlap
    return Inputs(
        pairs=pairs,
        prompts=rows,
        known_answers=known_answers,
        reward_pairs=reward_pairs,
        account=account,
    )


def _refuse_none_left(key: str, loaded: Loaded[PreferencePair]) -> None:
    if not loaded.rows:
        raise BadInput(f"{key}: no pair is left to train on; see what was dropped: " + _told(loaded))


def _check_prompts(study: Study, prompts: Sequence[Loaded[Prompt]]) -> None:
    if not any(loaded.rows for loaded in prompts):
        raise BadInput(
            f"prompts: no source has a prompt in the languages ({', '.join(study.language_codes()[:8])} ...); "
            "add a source or change languages"
        )
    keys = Counter((row.language, row.kind, row.prompt_id) for loaded in prompts for row in loaded.rows)
    twice = [key for key, count in keys.items() if count > 1]
    if twice:
        language, kind, prompt_id = twice[0]
        raise BadInput(f"prompts.{kind}: {prompt_id} ({language}) comes from two sources; leave one of them out")


def _account(loaded: Loaded[Any]) -> dict[str, Any]:
    by_language = Counter(getattr(row, "language", None) or "unknown" for row in loaded.rows)
    return {
        "source": loaded.source,
        "read": loaded.read,
        "kept": len(loaded.rows),
        "dropped": dict(sorted(loaded.dropped.items())),
        "notes": dict(sorted(loaded.notes.items())),
        "languages": dict(sorted(by_language.items())),
    }


def _told(loaded: Loaded[Any]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in loaded.dropped.items()) or "none was read"
