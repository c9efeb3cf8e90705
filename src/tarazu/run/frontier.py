"""The frontier of a run: models between base and an aligned arm, asked and scored as the arms are.

They are no arms: they have stages, files (`frontier/`, `frontier.parquet`) and a section of results.json of their own,
so that no rate, test or family of tests of the arms hangs on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tarazu.analysis.frontier import ARM, BASE, FrontierScores
from tarazu.data.rows import Prompt
from tarazu.errors import BadInput
from tarazu.files import file_sha256
from tarazu.progress import Progress
from tarazu.run.inputs import Inputs
from tarazu.run.responses import Answerer, response_facts, response_stage
from tarazu.run.rewards import read_rewards, reward_files
from tarazu.run.stages import Stage
from tarazu.scores import read_scores, write_scores
from tarazu.study import Study
from tarazu.study.replicates import Replicate, replicates
from tarazu.study.schema import DPOArm, SimPOArm

SCORES = "frontier.parquet"
_KEY = "analysis.frontier.arm"


def frontier_response_stages(
    study: Study, inputs: Inputs, out: Path, models: Sequence[Stage], progress: Progress
) -> list[Stage]:
    """One stage per interpolated model: its responses to every prompt. None where the study asks for no frontier."""
    if study.analysis.frontier is None:
        return []
    made = dict(zip(replicates(study), models, strict=True))
    base, arm = _ends(study)
    stages = []
    for alpha in study.analysis.frontier.alphas:
        facts = {
            "base": made[base].fingerprint,
            "arm": made[arm].fingerprint,
            "alpha": alpha,
            **response_facts(study, inputs),
        }
        answerer = _answerer(study, alpha, inputs.prompts, out)
        target = f"frontier/responses/{alpha:g}.parquet"
        after = [made[base].name, made[arm].name]
        stages.append(response_stage(f"frontier:responses:{alpha:g}", facts, target, answerer, out, progress, after))
    return stages


def frontier_scores_stage(study: Study, out: Path) -> Stage | None:
    """The stage that writes the frontier's scores table, its ends included; None where there is no frontier."""
    if study.analysis.frontier is None:
        return None
    sources = [*_responses(study).values(), *reward_files(study)]
    return Stage(
        name="frontier:scores",
        inputs={
            "files": {name: file_sha256(out / name) for name in sources},
            "ends": [replicate.name for replicate in _ends(study)],
            "thresholds": study.thresholds.model_dump(mode="json"),
        },
        outputs=[SCORES],
        make=partial(_make_scores, study, out),
    )


def read_frontier(study: Study, out: Path) -> FrontierScores | None:
    """What the results are made from; None where there is no frontier."""
    if study.analysis.frontier is None:
        return None
    base, arm = _ends(study)
    return FrontierScores(table=read_scores(out / SCORES), base=base.arm, arm=arm.arm, betas=beta_sweep(study, arm.arm))


def beta_sweep(study: Study, arm: str) -> dict[str, float]:
    """The arms that differ from `arm` in beta alone, itself included, with their betas; none where it is the only
    one."""
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
    """The models that the curve runs between: base and arm, each of the first seed."""
    frontier = study.analysis.frontier
    assert frontier is not None
    return Replicate(arm=study.analysis.base_arm), Replicate(arm=frontier.arm or study.analysis.primary_arm)


def _responses(study: Study) -> Mapping[str, str]:
    """Files of responses by the name of the point, from base to the arm."""
    frontier = study.analysis.frontier
    assert frontier is not None
    base, arm = _ends(study)
    between = {f"{alpha:g}": f"frontier/responses/{alpha:g}.parquet" for alpha in frontier.alphas}
    return {BASE: f"responses/{base.name}.parquet", **between, ARM: f"responses/{arm.name}.parquet"}


def _answerer(study: Study, alpha: float, prompts: Sequence[Prompt], out: Path) -> Answerer:
    from tarazu.align import checkpoints

    folders = [out / "arms" / replicate.name for replicate in _ends(study)]
    options: dict[str, Any] = {"key": _KEY, "trust_remote_code": study.model.trust_remote_code}

    def check() -> None:
        first, tokenizer = (checkpoints.load_tokenizer(str(folder), **options) for folder in folders)
        alike = first.get_vocab() == tokenizer.get_vocab()
        if study.generation.prompt_format == "chat_template":
            alike = alike and first.chat_template == tokenizer.chat_template
        if not alike:
            raise BadInput(f"{_KEY}: the base arm has another tokenizer; name an arm trained from the base arm")

    def load() -> Any:
        import torch

        from tarazu.align.interpolate import interpolated

        # In float32, so that small differences between the two are not rounded away before they are weighed.
        base, arm = (checkpoints.load_causal_lm(str(folder), **options) for folder in folders)
        return interpolated(base, arm, alpha, key=_KEY).to(getattr(torch, study.model.dtype))

    point = Replicate(arm=f"{alpha:g}")  # where it samples, it draws as the first seed of an arm does
    return Answerer(study=study, replicate=point, load_model=load, folder=folders[1], prompts=prompts, check=check)


def _make_scores(study: Study, out: Path) -> dict[str, int]:
    rewards = read_rewards(out, reward_files(study))
    rows: list[dict[str, Any]] = []
    for point, file in _responses(study).items():
        for row in pq.read_table(out / file).to_pylist():
            judged = rewards[row["kind"], row["prompt"], row["response"]]
            rows.append({**row, "arm": point, "reward": judged.deciding, "reward_shortened": judged.shortened})
    write_scores(out / SCORES, rows, study.thresholds)
    return {}
