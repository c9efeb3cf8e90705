"""The frontier of a run: models between the base arm and an aligned arm, evaluated in the same way as the arms.

They are not arms. They have separate stages, files (`frontier/`, `frontier.parquet`) and a separate section of
results.json, so that no rate, test or family of tests of the arms depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tarazu.analysis.frontier import ARM, BASE, FrontierScores
from tarazu.errors import BadInput
from tarazu.files import file_sha256
from tarazu.judge.table import read_rewards, with_rewards
from tarazu.run.context import RunContext
from tarazu.run.responses import Answerer, response_stage
from tarazu.run.rewards import frontier_scoring_steps, scoring_steps
from tarazu.run.stages import Stage
from tarazu.scores import read_scores, write_scores
from tarazu.study import Study
from tarazu.study.replicates import Replicate
from tarazu.study.schema import DPOArm, SimPOArm

SCORES = "frontier.parquet"
_KEY = "analysis.frontier.arm"


def frontier_response_stages(context: RunContext, models: Mapping[Replicate, Stage]) -> list[Stage]:
    """One stage per interpolated model, which writes its responses to every prompt; none if the study has no frontier.
    `models` are the stages that make the arms."""
    study = context.study
    if study.analysis.frontier is None:
        return []
    base, arm = _ends(study)
    return [
        response_stage(
            context,
            f"frontier:responses:{alpha:g}",
            _answerer(context, alpha),
            target=f"frontier/responses/{alpha:g}.parquet",
            models={"base": models[base], "arm": models[arm]},
            facts={"alpha": alpha},
        )
        for alpha in study.analysis.frontier.alphas
    ]


def frontier_scores_stage(context: RunContext) -> Stage | None:
    """The stage that writes the scores table of the frontier and its ends; None if there is no frontier."""
    study, out = context.study, context.out
    if study.analysis.frontier is None:
        return None
    responses = list(_responses(study).values())
    every = [*scoring_steps(study), *frontier_scoring_steps(study)]
    needed = [*(one.reads for one in every if one.responses in responses), *(one.name for one in every)]
    return Stage(
        name="frontier:scores",
        inputs=lambda: {
            "files": {name: file_sha256(out / name) for name in [*responses, *(one.rewards for one in every)]},
            "ends": [replicate.name for replicate in _ends(study)],
            "thresholds": study.thresholds.model_dump(mode="json"),
        },
        outputs=[SCORES],
        make=partial(_make_scores, study, out),
        after=needed,
        inputs_from=needed,
    )


def read_frontier(study: Study, out: Path) -> FrontierScores | None:
    """The scores for the results; None if there is no frontier."""
    if study.analysis.frontier is None:
        return None
    base, arm = _ends(study)
    return FrontierScores(table=read_scores(out / SCORES), base=base.arm, arm=arm.arm, betas=beta_sweep(study, arm.arm))


def beta_sweep(study: Study, arm: str) -> dict[str, float]:
    """The betas of `arm` and of the arms that differ from it in beta only; empty if there are no others."""
    settings = study.arms[arm]
    if not isinstance(settings, DPOArm | SimPOArm):
        return {}
    alike = {
        name: other.beta
        for name, other in study.arms.items()
        if isinstance(other, DPOArm | SimPOArm) and other.model_copy(update={"beta": settings.beta}) == settings
    }
    return alike if len(alike) > 1 else {}


def _ends(study: Study) -> tuple[Replicate, Replicate]:
    """The two ends of the curve: the base arm and the aligned arm, each with the first seed."""
    frontier = study.analysis.frontier
    assert frontier is not None
    return Replicate(arm=study.analysis.base_arm), Replicate(arm=frontier.arm or study.analysis.primary_arm)


def _responses(study: Study) -> Mapping[str, str]:
    """The files of responses by the name of the point, from the base to the arm."""
    frontier = study.analysis.frontier
    assert frontier is not None
    base, arm = _ends(study)
    between = {f"{alpha:g}": f"frontier/responses/{alpha:g}.parquet" for alpha in frontier.alphas}
    return {BASE: f"responses/{base.name}.parquet", **between, ARM: f"responses/{arm.name}.parquet"}


def _answerer(context: RunContext, alpha: float) -> Answerer:
    from tarazu.align import checkpoints

    study = context.study
    folders = [context.out / "arms" / replicate.name for replicate in _ends(study)]
    options: dict[str, Any] = {"key": _KEY, "trust_remote_code": study.model.trust_remote_code}

    def check() -> None:
        first, tokenizer = (checkpoints.load_tokenizer(str(folder), **options) for folder in folders)
        alike = first.get_vocab() == tokenizer.get_vocab()
        if study.generation.prompt_format == "chat_template":
            alike = alike and first.chat_template == tokenizer.chat_template
        if not alike:
            raise BadInput(
                f"{_KEY}: its tokenizer differs from that of the base arm; name an arm trained from the base arm"
            )

    def load() -> Any:
        import torch

        from tarazu.align.interpolate import interpolated

        # In float32, so that small differences between the two are not rounded away before interpolation.
        base, arm = (checkpoints.load_causal_lm(str(folder), **options) for folder in folders)
        return interpolated(base, arm, alpha, key=_KEY).to(getattr(torch, study.model.dtype))

    return Answerer(
        study=study,
        replicate=Replicate(arm=f"{alpha:g}"),  # sampling uses the same draws as the first seed of an arm
        load_model=load,
        folder=folders[1],
        prompts=context.inputs.prompts,
        check=check,
    )


def _make_scores(study: Study, out: Path) -> dict[str, int]:
    rewards = read_rewards(out, [one.rewards for one in (*scoring_steps(study), *frontier_scoring_steps(study))])
    rows: list[dict[str, Any]] = []
    for point, file in _responses(study).items():
        responses = ({**row, "arm": point} for row in pq.read_table(out / file).to_pylist())
        rows += with_rewards(responses, rewards)
    write_scores(out / SCORES, rows, study.thresholds)
    return {}
