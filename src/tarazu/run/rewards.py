"""Rewards of each distinct (kind, prompt, response) and of the known answers. Also `tarazu score`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.rows import BORDERLINE, KINDS, Prompt, refuse_other_turns
from tarazu.errors import BadInput
from tarazu.files import atomic_file, digest
from tarazu.known_answers import write_known_answers
from tarazu.progress import Progress
from tarazu.run.context import RunContext, reward_identities, torch_facts
from tarazu.run.lengths import check_scoring
from tarazu.run.stages import Cost, Stage
from tarazu.run.training import REWARD_MODEL
from tarazu.scores import DEFAULT, response_rows, write_scores
from tarazu.study import Study
from tarazu.study.replicates import replicates
from tarazu.study.schema import TRAINED
from tarazu.tables import Columns

Text = tuple[str, str, str]
"""Prompt kind, prompt, response."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The reward of a text from each model of its kind, and whether the text was shortened for one of them."""

    rewards: tuple[float, ...]
    shortened: bool

    @property
    def deciding(self) -> float:
        """The reward that decides: the mean of the models'."""
        return float(np.mean(self.rewards))


@dataclass(frozen=True, kw_only=True)
class ScoringStep:
    """A stage that scores responses: its name, the name of the stage whose responses it reads, and the files of
    both."""

    name: str
    reads: str
    responses: str
    rewards: str


def scoring_steps(study: Study) -> list[ScoringStep]:
    """One per replicate of an arm."""
    return [_step((), replicate.name) for replicate in replicates(study)]


def frontier_scoring_steps(study: Study) -> list[ScoringStep]:
    """One per interpolated model of the frontier."""
    frontier = study.analysis.frontier
    return [_step(("frontier",), f"{alpha:g}") for alpha in (frontier.alphas if frontier else ())]


def _step(group: tuple[str, ...], name: str) -> ScoringStep:
    return ScoringStep(
        name=":".join((*group, "rewards", name)),
        reads=":".join((*group, "responses", name)),
        responses="/".join((*group, "responses", f"{name}.parquet")),
        rewards="/".join((*group, "rewards", f"{name}.parquet")),
    )


class _DistinctTexts:
    """The texts that each stage scores: those of its responses that do not occur in an earlier stage. Responses are
    read once, when they are first needed."""

    def __init__(self, out: Path, stages: Sequence[ScoringStep]) -> None:
        self._out = out
        self._unread = list(reversed(stages))
        self._seen: set[Text] = set()
        self._own: dict[str, list[Text]] = {}

    def of(self, name: str) -> list[Text]:
        while name not in self._own:
            stage = self._unread.pop()
            table = pq.read_table(self._out / stage.responses, columns=["kind", "prompt", "response"])
            texts = dict.fromkeys(map(_text, table.to_pylist()))
            self._own[stage.name] = [text for text in texts if text not in self._seen and text[0] != BORDERLINE]
            self._seen.update(texts)
        return self._own[name]


def _text(row: Mapping[str, Any]) -> Text:
    return row["kind"], row["prompt"], row["response"]


def scoring_stages(context: RunContext, trainer: Stage | None = None) -> list[Stage]:
    """One stage per model that answered, and one for the known answers. `trainer` is the stage that trains the study's
    reward model.

    A text is (kind, prompt, response). Equal texts of two models are scored once, in the stage of the first.
    """
    study, out = context.study, context.out
    every = [*scoring_steps(study), *frontier_scoring_steps(study)]
    texts = _DistinctTexts(out, every)
    trained = [trainer.name] if trainer else []
    facts = cache(lambda: _reward_facts(context, trainer))
    known = [asdict(row) for row in context.inputs.known_answers]
    with_turns = [[prompt.text, prompt.turns] for prompt in context.inputs.prompts if prompt.turns]
    turns = {"turns": digest(with_turns)} if with_turns else {}

    def stage(number: int, scoring: ScoringStep) -> Stage:
        read = [one.reads for one in every[: number + 1]]
        return Stage(
            name=scoring.name,
            inputs=lambda: {"texts": digest(texts.of(scoring.name)), **turns, **facts()},
            outputs=[scoring.rewards],
            make=lambda: _make_rewards(context, texts.of(scoring.name), out / scoring.rewards),
            after=[*read, *trained],
            inputs_from=read,
            cost=lambda: Cost(work=f"at most {len(context.inputs.prompts) * study.generation.samples} texts"),
        )

    return [
        *(stage(number, scoring) for number, scoring in enumerate(every)),
        Stage(
            name="known_answers",
            inputs=lambda: {"rows": digest(known), **facts()},
            outputs=["known_answers.parquet"],
            make=lambda: _make_known_answers(context),
            after=trained,
            cost=lambda: Cost(work=f"{2 * len(known)} texts"),
        ),
    ]


def read_rewards(out: Path, files: Sequence[str]) -> dict[Text, Judged]:
    """The rewards of every text in these files of the run."""
    return {
        _text(row): Judged(rewards=tuple(row["rewards"]), shortened=row["shortened"])
        for file in files
        for row in pq.read_table(out / file).to_pylist()
    }


def judge_names(study: Study, kind: str) -> list[str]:
    """The names of a kind's models in the scores table: the last part of each name, with a number where two are
    equal."""
    names = [judge.model.rstrip("/").rsplit("/", 1)[-1] for judge in study.reward.judges(kind).values()]
    # `default` is the name of their mean.
    alike = [name == DEFAULT or names.count(name) > 1 for name in names]
    return [f"{name}-{index + 1}" if alike[index] else name for index, name in enumerate(names)]


def with_rewards(
    responses: Iterable[Mapping[str, Any]], rewards: Mapping[Text, Judged], ensembles_of: Study | None = None
) -> list[dict[str, Any]]:
    """Rows of the scores table: one per response, with the reward that decides. If `ensembles_of` is a study, also one
    for each model of its ensembles."""
    rows = []
    for response in responses:
        if response["kind"] == BORDERLINE:  # refusals need no reward
            rows.append({**response, "reward": None})
            continue
        judged = rewards[_text(response)]
        row = {**response, "reward_shortened": judged.shortened}
        rows.append({**row, "reward": judged.deciding})
        if ensembles_of is not None and len(judged.rewards) > 1:
            named = zip(judge_names(ensembles_of, row["kind"]), judged.rewards, strict=True)
            rows += [{**row, "reward_model": name, "reward": reward} for name, reward in named]
    return rows


def _reward_facts(context: RunContext, trainer: Stage | None) -> dict[str, Any]:
    """Everything besides the texts that rewards depend on."""
    judges = context.study.reward.judges()
    identities: dict[str, Any] = dict(context.identities)
    for key, judge in judges.items():
        if judge.model == TRAINED and trainer is not None:
            identities[f"reward.{key}.model"] = {"trained": trainer.fingerprint}
    return {
        "settings": {key: judge.model_dump(mode="json", exclude={"model"}) for key, judge in judges.items()},
        "models": {key: identities[f"reward.{key}.model"] for key in judges},
        "machine": torch_facts(),
    }


def _with_trained(context: RunContext) -> Study:
    """The study, with `model: trained` replaced by the folder of the trained model."""
    reward = context.study.reward
    trained = {key: str(context.out / REWARD_MODEL) for key, judge in reward.judges().items() if judge.model == TRAINED}
    return context.study.model_copy(update={"reward": reward.with_models(trained)})


def score_texts(
    study: Study, texts: Sequence[Text], progress: Progress, prompts: Sequence[Prompt] = ()
) -> tuple[dict[Text, Judged], dict[str, int]]:
    """The reward of each (kind, prompt, response) from each model of its kind, and counts of shortened texts.

    `prompts` are those whose turns may say more than their texts. Only one model is in memory at a time. A model that
    scores both kinds is loaded twice.
    """
    from tarazu.align import checkpoints
    from tarazu.conversation.formats import conversation
    from tarazu.judge.score import score

    conversations = {prompt.text: conversation(prompt) for prompt in prompts if prompt.turns}
    judged: dict[Text, Judged] = {}
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
            pairs = [(conversations.get(prompt, prompt), response) for _, prompt, response in rows]
            values, shortened = score(model, tokenizer, pairs, settings, progress=progress.update, key=f"reward.{key}")
            columns.append(values.tolist())
            cut |= shortened
            if shortened.any():
                notes[f"{key} reward inputs cut"] = int(shortened.sum())
        judged |= {
            text: Judged(rewards=rewards, shortened=was_cut)
            for text, rewards, was_cut in zip(rows, zip(*columns, strict=True), cut.tolist(), strict=True)
        }
    return judged, notes


def _make_rewards(context: RunContext, texts: Sequence[Text], path: Path) -> dict[str, int]:
    judged, notes = score_texts(_with_trained(context), texts, context.progress, context.inputs.prompts)
    columns = {
        "kind": [text[0] for text in texts],
        "prompt": [text[1] for text in texts],
        "response": [text[2] for text in texts],
        "rewards": [list(judged[text].rewards) for text in texts],
        "shortened": [judged[text].shortened for text in texts],
    }
    types = [pa.string(), pa.string(), pa.string(), pa.list_(pa.float64()), pa.bool_()]
    with atomic_file(path) as temporary:
        pq.write_table(pa.table(columns, schema=pa.schema(list(zip(columns, types, strict=True)))), temporary)
    return notes


def _make_known_answers(context: RunContext) -> dict[str, int]:
    known = context.inputs.known_answers
    texts = [(row.kind, row.prompt, answer) for row in known for answer in (row.good, row.bad)]
    judged, notes = score_texts(_with_trained(context), texts, context.progress, [row.as_prompt() for row in known])
    write_known_answers(
        context.out / "known_answers.parquet",
        [
            {
                "language": row.language,
                "kind": row.kind,
                "prompt_id": row.prompt_id,
                "source": row.source,
                "reward_good": judged[row.kind, row.prompt, row.good].deciding,
                "reward_bad": judged[row.kind, row.prompt, row.bad].deciding,
            }
            for row in known
        ],
    )
    return notes


def score_file(responses: Path, study: Study, out: Path, progress: Progress, columns: Columns | None = None) -> int:
    """Score a table of responses, write it as a scores table (parquet), and return its number of rows. `columns` maps
    our names of columns to those of the file.

    Each distinct (kind, prompt, response) is scored once. Raises BadInput.
    """
    if out.suffix != ".parquet":
        raise BadInput(f"{out}: a scores table is written as parquet; use a name that ends in .parquet")
    if out.is_dir() or (out.exists() and responses.exists() and out.samefile(responses)):
        raise BadInput(f"{out}: is a folder or the table of responses itself; choose another --out")
    for key, judge in study.reward.judges().items():
        if judge.model == TRAINED:
            raise BadInput(
                f"reward.{key}.model: the study {study.name} trains this model; name the one in its run folder, for "
                f"example --set reward.{key}.model=runs/{study.name}/reward_model and --set reward.train=null"
            )
    rows = [_without_reasoning(row) for row in response_rows(responses, columns)]
    reward_identities(study)
    prompts = [_as_prompt(row) for row in rows]
    refuse_other_turns(prompts, str(responses))
    check_scoring(study, prompts)
    progress.stage("rewards")
    texts = [text for text in dict.fromkeys(map(_text, rows)) if text[0] != BORDERLINE]
    rewards, notes = score_texts(study, texts, progress, prompts)
    write_scores(out, with_rewards(rows, rewards, study), study.thresholds)
    progress.done(", ".join([f"{len(texts)} distinct texts", *(f"{count} {note}" for note, count in notes.items())]))
    return len(rows)


def _without_reasoning(row: Mapping[str, Any]) -> dict[str, Any]:
    """A response with its reasoning in a column of its own, where the table does not have that column."""
    from tarazu.respond.reasoning import split_reasoning

    if row["reasoning"] is not None or row["unfinished_reasoning"] is not None:
        return dict(row)
    part = split_reasoning(row["response"])
    own = {"response": part.answer, "reasoning": part.reasoning, "unfinished_reasoning": part.unfinished}
    return {**row, **own} if part.reasoning is not None else {**row, "unfinished_reasoning": False}


def _as_prompt(row: Mapping[str, Any]) -> Prompt:
    return Prompt(
        prompt_id=row["prompt_id"],
        language=row["language"],
        kind=row["kind"],
        source=row["source"],
        text=row["prompt"],
        turns=row["turns"],
    )
