"""Judgements of texts as a file of a run, and as rows of the scores table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.rows import BORDERLINE
from tarazu.files import atomic_file
from tarazu.judge.judgement import Judged, Judgement
from tarazu.scores import DEFAULT
from tarazu.study import Study
from tarazu.study.judges import RewardModel

Text = tuple[str, str, str]
"""Prompt kind, prompt, response."""

_COLUMNS = [
    ("kind", pa.string()),
    ("prompt", pa.string()),
    ("response", pa.string()),
    ("rewards", pa.list_(pa.float64())),
    ("shortened", pa.bool_()),
]
_OF_LABELS = [("labels", pa.list_(pa.int8())), ("reasons", pa.list_(pa.string()))]
"""Further columns, where a study has judges that give labels."""


def text_of(row: Mapping[str, Any]) -> Text:
    return row["kind"], row["prompt"], row["response"]


def write_judged(path: Path, study: Study, judged: Mapping[Text, Judged]) -> None:
    """Write the judgements of texts: the rewards (or scores), labels and reasons of each judge of the text's kind."""
    by_reward = all(isinstance(judge, RewardModel) for judge in study.reward.judges().values())
    rows = []
    for (kind, prompt, response), one in judged.items():
        row: dict[str, Any] = {"kind": kind, "prompt": prompt, "response": response, "shortened": one.shortened}
        row["rewards"] = [judgement.score for judgement in one.judgements]
        if not one.by_reward:
            row["labels"] = [judgement.label for judgement in one.judgements]
            row["reasons"] = [judgement.reason for judgement in one.judgements]
        rows.append(row)
    schema = pa.schema(_COLUMNS if by_reward else [*_COLUMNS, *_OF_LABELS])
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)


def read_rewards(out: Path, files: Sequence[str]) -> dict[Text, Judged]:
    """The judgements of every text in these files of the run."""
    return {text_of(row): _judged(row) for file in files for row in pq.read_table(out / file).to_pylist()}


def _judged(row: Mapping[str, Any]) -> Judged:
    labels = row.get("labels")
    nothing = [None] * len(row["rewards"])
    judgements = tuple(
        Judgement(score=score, label=label, reason=reason, shortened=row["shortened"])
        for score, label, reason in zip(row["rewards"], labels or nothing, row.get("reasons") or nothing, strict=True)
    )
    return Judged(judgements=judgements, by_reward=labels is None)


def judge_names(study: Study, kind: str) -> list[str]:
    """The names of a kind's judges in the scores table: the last part of each model's name, with a number where two are
    equal."""
    names = [judge.name.rstrip("/").rsplit("/", 1)[-1] for judge in study.reward.judges(kind).values()]
    # `default` is the name of their joint decision.
    alike = [name == DEFAULT or names.count(name) > 1 for name in names]
    return [f"{name}-{index + 1}" if alike[index] else name for index, name in enumerate(names)]


def with_rewards(
    responses: Iterable[Mapping[str, Any]], rewards: Mapping[Text, Judged], ensembles_of: Study | None = None
) -> list[dict[str, Any]]:
    """Rows of the scores table: one per response, with the reward or label that decides. If `ensembles_of` is a study,
    also one for each judge of its ensembles."""
    rows = []
    for response in responses:
        if response["kind"] == BORDERLINE:  # refusals need no judge
            rows.append({**response, "reward": None})
            continue
        judged = rewards[text_of(response)]
        row = {**response, "reward_shortened": judged.shortened}
        rows.append({**row, **_decided(judged)})
        if ensembles_of is not None and len(judged.judgements) > 1:
            named = zip(judge_names(ensembles_of, row["kind"]), judged.judgements, strict=True)
            rows += [
                {**row, "reward_model": name, **({"reward": one.score} if judged.by_reward else _labelled(one))}
                for name, one in named
            ]
    return rows


def _decided(judged: Judged) -> dict[str, Any]:
    return {"reward": judged.reward} if judged.by_reward else _labelled(judged.decision())


def _labelled(judgement: Judgement) -> dict[str, Any]:
    """The cells of a row that a judge labelled, or could not."""
    return {"reward": None, "label": judgement.label, "judge_score": judgement.score, "reason": judgement.reason}
