"""Judgements of each distinct (kind, prompt, response) and of the known answers. Also `tarazu score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tarazu.data.rows import BORDERLINE, Prompt, refuse_other_turns
from tarazu.errors import BadInput
from tarazu.files import digest
from tarazu.judge.known_answers import write_known_answers
from tarazu.judge.table import Text, text_of, with_rewards, write_judged
from tarazu.judge.texts import Caches, judge_texts
from tarazu.progress import Progress
from tarazu.run.context import RunContext, reward_identities, torch_facts
from tarazu.run.lengths import check_scoring
from tarazu.run.stages import Cost, Stage
from tarazu.run.training import REWARD_MODEL
from tarazu.scores import response_rows, write_scores
from tarazu.study import Study
from tarazu.study.replicates import replicates
from tarazu.study.rubric import INSTRUCTIONS, Rubric
from tarazu.tables import Columns

JUDGED = ".judged"
"""Folder of all that rubric judges have judged: no text is paid for twice."""


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
            texts = dict.fromkeys(map(text_of, table.to_pylist()))
            self._own[stage.name] = [text for text in texts if text not in self._seen and text[0] != BORDERLINE]
            self._seen.update(texts)
        return self._own[name]


def scoring_stages(context: RunContext, trainer: Stage | None = None) -> list[Stage]:
    """One stage per model that answered, and one for the known answers. `trainer` is the stage that trains the study's
    reward model.

    A text is (kind, prompt, response). Equal texts of two models are scored once, in the stage of the first.
    """
    study, out = context.study, context.out
    every = [*scoring_steps(study), *frontier_scoring_steps(study)]
    texts = _DistinctTexts(out, every)
    trained = [trainer.name] if trainer else []

    def caches(file: str) -> Caches:
        """Beside the output `file`."""
        path = out / file
        folder = path.with_name(f".{path.stem}.judging")
        return Caches(folder=folder, lasting=out / JUDGED, judges=judge_digests(facts()))

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
            make=lambda: _make_rewards(context, texts.of(scoring.name), out / scoring.rewards, caches(scoring.rewards)),
            after=[*read, *trained],
            inputs_from=read,
            cost=lambda: Cost(work=_work(study, context.inputs.prompts * study.generation.samples)),
        )

    return [
        *(stage(number, scoring) for number, scoring in enumerate(every)),
        Stage(
            name="known_answers",
            inputs=lambda: {"rows": digest(known), **facts()},
            outputs=["known_answers.parquet"],
            make=lambda: _make_known_answers(context, caches("known_answers.parquet")),
            after=trained,
            cost=lambda: Cost(work=_work(study, [row.as_prompt() for row in context.inputs.known_answers] * 2, "")),
        ),
    ]


def _work(study: Study, prompts: Sequence[Prompt], most: str = "at most ") -> str:
    """The number of texts to judge, and of requests to rubric judges with their estimated price: a token for every 3
    bytes of instructions, rubric and prompt, a response of the greatest length, and an answer of 64 tokens."""
    words = [f"{most}{len(prompts)} texts"]
    for key, judge in study.reward.judges().items():
        own = [prompt for prompt in prompts if prompt.kind == key.partition(".")[0]]
        if not isinstance(judge, Rubric) or not own:
            continue
        texts = len(own) * len((INSTRUCTIONS + judge.rubric).encode()) + sum(len(one.text.encode()) for one in own)
        price = judge.cost(texts // 3 + len(own) * study.generation.max_new_tokens, 64 * len(own))
        about = "" if price is None else f" (price about {price:.2g})"
        words.append(f"{most}{len(own)} requests to {judge.name}, and a repair of each{about}")
    return "; ".join(words)


def _reward_facts(context: RunContext, trainer: Stage | None) -> dict[str, Any]:
    """Everything besides the texts that judgements depend on."""
    identities: dict[str, Any] = dict(context.identities)
    for key in context.study.reward.trained() if trainer else ():
        identities[f"reward.{key}.model"] = {"trained": trainer.fingerprint if trainer else None}
    return _facts(context.study, identities)


def _facts(study: Study, identities: Mapping[str, Any]) -> dict[str, Any]:
    judges = study.reward.judges()
    return {
        "settings": {key: judge.facts() for key, judge in judges.items()},
        "models": {key: identities[f"reward.{key}.model"] for key in judges},
        "machine": torch_facts(),
    }


def judge_digests(facts: Mapping[str, Any]) -> dict[str, str]:
    """A digest of each judge, by its key below `reward`. `facts` is everything besides the texts that judgements
    depend on."""
    return {key: digest([facts["settings"][key], facts["models"][key], facts["machine"]]) for key in facts["settings"]}


def _with_trained(context: RunContext) -> Study:
    """The study, with `model: trained` replaced by the folder of the trained model."""
    reward = context.study.reward
    trained = dict.fromkeys(reward.trained(), str(context.out / REWARD_MODEL))
    return context.study.model_copy(update={"reward": reward.with_models(trained)})


def _make_rewards(context: RunContext, texts: Sequence[Text], path: Path, caches: Caches) -> dict[str, int]:
    study = _with_trained(context)
    judged, notes = judge_texts(study, texts, context.progress.update, context.inputs.prompts, caches)
    write_judged(path, study, judged)
    caches.clear()
    return notes


def _make_known_answers(context: RunContext, caches: Caches) -> dict[str, int]:
    known = context.inputs.known_answers
    texts = [(row.kind, row.prompt, answer) for row in known for answer in (row.good, row.bad)]
    prompts = [row.as_prompt() for row in known]
    judged, notes = judge_texts(_with_trained(context), texts, context.progress.update, prompts, caches)
    rows = []
    for row in known:
        good, bad = (judged[row.kind, row.prompt, answer] for answer in (row.good, row.bad))
        cells = {"language": row.language, "kind": row.kind, "prompt_id": row.prompt_id, "source": row.source}
        if good.by_reward:
            rows.append({**cells, "reward_good": good.reward, "reward_bad": bad.reward})
            continue
        labels = good.decision().label, bad.decision().label
        if None in labels:
            notes["known answers without a label"] = notes.get("known answers without a label", 0) + 1
        else:
            rows.append({**cells, "label_good": labels[0], "label_bad": labels[1]})
    write_known_answers(context.out / "known_answers.parquet", rows)
    caches.clear()
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
    for key in study.reward.trained():
        raise BadInput(
            f"reward.{key}.model: the study {study.name} trains this model; name the one in its run folder, for "
            f"example --set reward.{key}.model=runs/{study.name}/reward_model and --set reward.train=null"
        )
    rows = [_without_reasoning(row) for row in response_rows(responses, columns)]
    identities = reward_identities(study)
    prompts = [_as_prompt(row) for row in rows]
    refuse_other_turns(prompts, str(responses))
    check_scoring(study, prompts)
    progress.stage("rewards")
    texts = [text for text in dict.fromkeys(map(text_of, rows)) if text[0] != BORDERLINE]
    # Beside the output, so that a command that was killed does not judge again.
    caches = Caches(folder=out.parent / f".{out.name}.judged", judges=judge_digests(_facts(study, identities)))
    try:
        judged, notes = judge_texts(study, texts, progress.update, prompts, caches)
    except BadInput:
        # What cannot be judged leaves nothing behind, except what may have cost money.
        if not any(isinstance(judge, Rubric) for judge in study.reward.judges().values()):
            caches.clear()
        raise
    write_scores(out, with_rewards(rows, judged, study), study.thresholds)
    caches.clear()
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
