"""The depths at which a record can be run again, with their scripts and inputs: repro/repro.json."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from pydantic import JsonValue

from tarazu.record.build.evidence import Evidence
from tarazu.record.model import REPRO_SCHEMA, Depth, Repro, Rerun
from tarazu.run.capability import capability_files
from tarazu.run.frontier import SCORES as FRONTIER
from tarazu.run.lock import LOCK_FILE
from tarazu.sandbox.limits import Limits
from tarazu.study import Study
from tarazu.study.judges import TRAINED
from tarazu.study.schema import BUILTIN

_ANALYSIS_INPUTS = (LOCK_FILE, "scores.parquet", "known_answers.parquet", "data.json", FRONTIER)
_MADE_OF_OTHERS = ("mix", "known-answers")
"""Data sources that combine other sources and read no files themselves."""
_WITH_TORCH = 8192
"""Memory limit, in MiB, of depths that load models."""


def plan_reruns(evidence: Evidence, held: set[str]) -> tuple[Repro, dict[Depth, str]]:
    """The depths at which the record can be run again, and the reason for each other depth. `held` are its data
    files."""
    study = evidence.study
    measured = capability_files(study) if study else []
    inputs = tuple(name for name in (*_ANALYSIS_INPUTS, *measured) if name in held)
    depths: dict[Depth, Rerun] = {"analysis": Rerun(script=script_path("analysis"), inputs=inputs)}
    reasons: dict[Depth, str] = {}
    if study is None:
        reason = "the scores were made elsewhere"
        return Repro(schema=REPRO_SCHEMA, depths=depths), {"responses": reason, "training": reason}
    # Twice the run's own time would be enough on the same machine. Four times allows for a slower one.
    seconds = min(86_400, max(300, round(4 * evidence.seconds)))
    # Allow eight processes per thread, because libraries start their own pools and threads count as processes.
    threads = evidence.lock.get("hardware", {}).get("threads", 1)
    limits = Limits(seconds=seconds, memory_mib=_WITH_TORCH, processes=max(64, 8 * threads))
    why = _why_not_from_responses(study)
    if why is None:
        responses = sorted(name for name, (_, role) in evidence.files.items() if role == "responses")
        inputs = (LOCK_FILE, "data.json", *measured, *responses)
        depths["responses"] = Rerun(script=script_path("responses"), inputs=inputs, limits=limits)
    else:
        reasons["responses"] = why
    why = _why_not_from_training(study)
    if why is None:
        depths["training"] = Rerun(script=script_path("training"), inputs=(LOCK_FILE,), limits=limits)
    else:
        reasons["training"] = why
    return Repro(schema=REPRO_SCHEMA, depths=depths), reasons


def script_path(depth: Depth) -> str:
    """The path of a depth's script in the record."""
    return f"repro/{depth}.py"


def script_text(depth: Depth) -> str:
    """The package's script for a depth."""
    return files("tarazu.record.build.scripts").joinpath(f"{depth}.py").read_text(encoding="utf-8")


def _why_not_from_responses(study: Study) -> str | None:
    for key, judge in study.reward.judges().items():
        if judge.model == TRAINED:
            return "its reward model was trained in the run and is not in the record"
        if judge.model is None:
            return f"reward.{key} is a model of a server"
        if not judge.model.startswith(BUILTIN):
            return f"reward.{key}.model is not one that the package ships"
    return _why_not_shipped(study)


def _why_not_from_training(study: Study) -> str | None:
    starts = [
        study.model.path,
        *(arm.from_ for name, arm in study.arms.items() if arm.from_ not in (None, *study.arms)),
    ]
    if study.reward.train is not None:
        starts.append(study.reward.train.from_)
    judges = [judge.name for judge in study.reward.judges().values()]
    for name in (*starts, *(judge for judge in judges if judge != TRAINED)):
        if name is None or not name.startswith(BUILTIN):
            return "it starts from a model that the package does not ship"
    if study.capability is not None:
        return "its capability tasks are not in the package"
    return _why_not_shipped(study)


def _why_not_shipped(study: Study) -> str | None:
    """Why the package does not contain all of the study's data, or None if it does."""
    for source in _sources(study.model_dump(mode="json", include={"data", "prompts", "arms", "reward"})):
        own = source["source"] == "parallel" and source["path"] is None
        if not own and source["source"] not in _MADE_OF_OTHERS:
            return "its data are not part of the package"
    return None


def _sources(tree: JsonValue) -> Iterator[dict[str, JsonValue]]:
    """Every data source in a study's settings."""
    if isinstance(tree, dict):
        if "source" in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for item in tree:
            yield from _sources(item)
