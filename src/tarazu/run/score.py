"""`tarazu score`: a study's reward models on responses made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tarazu.data.rows import Prompt
from tarazu.errors import BadInput
from tarazu.run.facts import reward_identities
from tarazu.run.lengths import check_scoring
from tarazu.run.progress import Progress
from tarazu.run.rewards import score_texts, with_rewards
from tarazu.scores import response_rows, write_scores
from tarazu.study import Study
from tarazu.study.schema import TRAINED


def score_file(responses: Path, study: Study, out: Path, progress: Progress) -> int:
    """Score a table of responses and write it as a scores table (parquet); the number of rows.

    Each distinct (kind, prompt, response) is scored once. Raises BadInput.
    """
    if out.suffix != ".parquet":
        raise BadInput(f"{out}: a scores table is written as parquet; give a name that ends in .parquet")
    if out.is_dir() or (out.exists() and responses.exists() and out.samefile(responses)):
        raise BadInput(f"{out}: is a folder or the table of responses itself; choose another --out")
    for key, judge in study.reward.judges().items():
        if judge.model == TRAINED:
            raise BadInput(
                f"reward.{key}.model: the study {study.name} trains its own; name the one of its run, for example "
                f"--set reward.{key}.model=runs/{study.name}/reward_model and --set reward.train=null"
            )
    rows = response_rows(responses)
    reward_identities(study)
    check_scoring(study, [_as_prompt(row) for row in rows])
    progress.stage("rewards")
    texts = list(dict.fromkeys((row["kind"], row["prompt"], row["response"]) for row in rows))
    rewards, notes = score_texts(study, texts, progress)
    scored = [
        scored
        for row in rows
        for scored in with_rewards(study, row, rewards[row["kind"], row["prompt"], row["response"]])
    ]
    write_scores(out, scored, study.thresholds)
    progress.done(", ".join([f"{len(texts)} distinct texts", *(f"{count} {note}" for note, count in notes.items())]))
    return len(rows)


def _as_prompt(row: Mapping[str, Any]) -> Prompt:
    return Prompt(
        prompt_id=row["prompt_id"],
        language=row["language"],
        kind=row["kind"],
        source=row["source"],
        text=row["prompt"],
    )
