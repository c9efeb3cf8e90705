"""Rewards: each distinct (kind, prompt, response) scored once, and the known answers; and `tarazu score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.rows import KINDS, Prompt
from tarazu.errors import BadInput
from tarazu.files import atomic_file, digest
from tarazu.known_answers import write_known_answers
from tarazu.progress import Progress
from tarazu.run.facts import reward_identities, torch_facts
from tarazu.run.inputs import Inputs
from tarazu.run.lengths import check_scoring
from tarazu.run.stages import Stage
from tarazu.scores import response_rows, write_scores
from tarazu.study import Study
from tarazu.study.replicates import replicates
from tarazu.study.schema import TRAINED

Text = tuple[str, str, str]
"""Prompt kind, prompt, response."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The reward of a text by each model of its kind, and whether it was too long for one of them and shortened."""

    rewards: tuple[float, ...]
    shortened: bool

    @property
    def deciding(self) -> float:
        """The reward that decides: the mean of the models'."""
        return float(np.mean(self.rewards))


def reward_stages(
    study: Study, inputs: Inputs, out: Path, identities: dict[str, Any], progress: Progress
) -> list[Stage]:
    """One stage per replicate of an arm, then one per interpolated model of the frontier, that scores the texts which
    no earlier one has; and one for the known answers.

    A text is (kind, prompt, response); equal texts of two models are scored once, in the stage of the first.
    """
    seen: set[Text] = set()
    stages = []
    for name, (responses, target) in _files(study).items():
        table = pq.read_table(out / responses, columns=["kind", "prompt", "response"])
        texts = [(row["kind"], row["prompt"], row["response"]) for row in table.to_pylist()]
        own = [text for text in dict.fromkeys(texts) if text not in seen]
        seen.update(own)
        stages.append(
            Stage(
                name=name,
                inputs={"texts": digest(own), **_reward_facts(study, identities)},
                outputs=[target],
                make=partial(_make_rewards, study, own, out / target, progress),
            )
        )
    known = [asdict(row) for row in inputs.known_answers]
    stages.append(
        Stage(
            name="known_answers",
            inputs={"rows": digest(known), **_reward_facts(study, identities)},
            outputs=["known_answers.parquet"],
            make=lambda: _make_known_answers(study, inputs, out, progress),
        )
    )
    return stages


def _files(study: Study) -> dict[str, tuple[str, str]]:
    """By stage: the file of responses that it reads, and the file of rewards that it writes."""
    found = {
        f"rewards:{replicate.name}": (f"responses/{replicate.name}.parquet", f"rewards/{replicate.name}.parquet")
        for replicate in replicates(study)
    }
    for alpha in study.analysis.frontier.alphas if study.analysis.frontier else ():
        files = (f"frontier/responses/{alpha:g}.parquet", f"frontier/rewards/{alpha:g}.parquet")
        found[f"frontier:rewards:{alpha:g}"] = files
    return found


def reward_files(study: Study) -> list[str]:
    """Files of rewards, in the order of their stages."""
    return [rewards for _, rewards in _files(study).values()]


def reward_stage_names(study: Study) -> list[str]:
    """Names of the stages that score responses."""
    return list(_files(study))


def read_rewards(out: Path, files: Sequence[str]) -> dict[Text, Judged]:
    """The rewards of every text in these files of the run."""
    return {
        (row["kind"], row["prompt"], row["response"]): Judged(rewards=tuple(row["rewards"]), shortened=row["shortened"])
        for file in files
        for row in pq.read_table(out / file).to_pylist()
    }


def judge_names(study: Study, kind: str) -> list[str]:
    """What the models of a kind are called in the scores table: the last part of each one's name, numbered where two
    are alike."""
    names = [judge.model.rstrip("/").rsplit("/", 1)[-1] for judge in study.reward.judges(kind).values()]
    return [f"{name}-{index + 1}" if names.count(name) > 1 else name for index, name in enumerate(names)]


def with_rewards(study: Study, row: Mapping[str, Any], judged: Judged) -> list[dict[str, Any]]:
    """A row of the scores table with the reward that decides and, of an ensemble, a row for each model."""
    row = {**row, "reward_shortened": judged.shortened}
    found = [{**row, "reward": judged.deciding}]
    if len(judged.rewards) > 1:
        named = zip(judge_names(study, row["kind"]), judged.rewards, strict=True)
        found += [{**row, "reward_model": name, "reward": reward} for name, reward in named]
    return found


def _reward_facts(study: Study, identities: dict[str, Any]) -> dict[str, Any]:
    judges = study.reward.judges()
    return {
        "settings": {key: judge.model_dump(mode="json", exclude={"model"}) for key, judge in judges.items()},
        "models": {key: identities[f"reward.{key}.model"] for key in judges},
        "machine": torch_facts(),
    }


def score_texts(study: Study, texts: Sequence[Text], progress: Progress) -> tuple[dict[Text, Judged], dict[str, int]]:
    """The reward of each (kind, prompt, response) by each model of its kind, and counts of texts shortened.

    One model is in memory at a time; one that serves both kinds is loaded for each.
    """
    from tarazu.align import checkpoints
    from tarazu.reward.score import score

    found: dict[Text, Judged] = {}
    notes: dict[str, int] = {}
    for kind in KINDS:
        rows = list(dict.fromkeys(text for text in texts if text[0] == kind))
        if not rows:
            continue
        columns = []
        cut = np.zeros(len(rows), dtype=bool)
        for key, settings in study.reward.judges(kind).items():
            options: dict[str, Any] = {
                "key": f"reward.{key}.model",
                "revision": settings.revision,
                "trust_remote_code": settings.trust_remote_code,
            }
            tokenizer = checkpoints.load_tokenizer(settings.model, **options)
            model = checkpoints.load_reward_model(settings.model, dtype=settings.dtype, **options)
            pairs = [(prompt, response) for _, prompt, response in rows]
            values, shortened = score(model, tokenizer, pairs, settings, progress=progress.update)
            columns.append(values.tolist())
            cut |= shortened
            if shortened.any():
                notes[f"{key} reward inputs cut"] = int(shortened.sum())
        found |= {
            text: Judged(rewards=rewards, shortened=was_cut)
            for text, rewards, was_cut in zip(rows, zip(*columns, strict=True), cut.tolist(), strict=True)
        }
    return found, notes


def _make_rewards(study: Study, texts: Sequence[Text], path: Path, progress: Progress) -> dict[str, int]:
    found, notes = score_texts(study, texts, progress)
    columns = {
        "kind": [text[0] for text in texts],
        "prompt": [text[1] for text in texts],
        "response": [text[2] for text in texts],
        "rewards": [list(found[text].rewards) for text in texts],
        "shortened": [found[text].shortened for text in texts],
    }
    types = [pa.string(), pa.string(), pa.string(), pa.list_(pa.float64()), pa.bool_()]
    with atomic_file(path) as temporary:
        pq.write_table(pa.table(columns, schema=pa.schema(list(zip(columns, types, strict=True)))), temporary)
    return notes


def _make_known_answers(study: Study, inputs: Inputs, out: Path, progress: Progress) -> dict[str, int]:
    known = inputs.known_answers
    texts = [(row.kind, row.prompt, answer) for row in known for answer in (row.good, row.bad)]
    found, notes = score_texts(study, texts, progress)
    write_known_answers(
        out / "known_answers.parquet",
        [
            {
                "language": row.language,
                "kind": row.kind,
                "prompt_id": row.prompt_id,
                "source": row.source,
                "reward_good": found[row.kind, row.prompt, row.good].deciding,
                "reward_bad": found[row.kind, row.prompt, row.bad].deciding,
            }
            for row in known
        ],
    )
    return notes


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
