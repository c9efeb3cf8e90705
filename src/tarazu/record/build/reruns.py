"""The depths at which a record can be run again, with their scripts and inputs: repro/repro.json."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from tarazu.files import file_sha256
from tarazu.judge.ratings import RATINGS
from tarazu.preregistration.reading import PLAN_FILE
from tarazu.record.build.evidence import Evidence
from tarazu.record.model import REPRO_SCHEMA, Depth, Repro, Rerun
from tarazu.run.capability import capability_files
from tarazu.run.frontier import SCORES as FRONTIER
from tarazu.run.lock import LOCK_FILE
from tarazu.sandbox.limits import Limits
from tarazu.study import Study
from tarazu.study.judges import TRAINED
from tarazu.study.schema import BUILTIN

ANALYSIS_INPUTS: Final = (
    *(LOCK_FILE, "scores.parquet", "known_answers.parquet", RATINGS, "data.json", FRONTIER, PLAN_FILE),
)
"""What the package's analysis reads, apart from tasks and, where there is a plan, responses."""
EARLIER_SCRIPTS: Final[dict[Depth, tuple[str, ...]]] = {
    "analysis": (
        "2c35c1e4692ce3f928a725423c50de5b53cef9838c3485e422757c5f0f68f488",
        "889feefe3345e36caed00b61f4a1c863701385c0298330634249ff13e60aa8d3",
        "8b2b60d996e0d85225784e8448f8f6916ff41d13c3887f9f0865a96b8bd17795",
        "91a23c1fc1a4dbda15043032d52ed2e3f4972b548f10725d2b6e9f0feba10901",
        "5e8ef0d8a24be3cbdb7c46c0269ecb8d29b28fbf195bf3b35fcae47d0dde2f79",
        "ed9dd4f629a332e8592b6d79a4e474802e310efea3b6aae930ae66a52cfecde6",
        "d2b1f4ef9d16b0463cf5b13c299c2ca112abbab421fed81d4b219834c7086199",
        "77d68a7e40deceba32f4b885348301455823678c98dbd12dc0f63a641cbf19e7",
        "b8f7a30162d51b38ddab76c9738054a1c42e011068b48575ecac9e6cccf78f9b",
        "c1ea8fdc8d17efd3fa4e128e993c86e23b68eced30f6358ad699ab3c97e8ea01",
    ),
    "responses": (
        "d3d4830784a07f292bd1ec80debee9db47bc3f2609f51415f50abc50bc59c93f",
        "82bcc2fdf302de435ebe6286dfee0ad8b03aa450684caf6846b9713853baba31",
        "0395beb340f1f49b7d97dd4935f1b3a6e9bdf62224d1ef6cd41afc958b9b839f",
        "f5aa1a1204d876d664eac4175dbd6d39c02df1ed765769cc8afe02beabfbb4f9",
        "7e652e7314ac588cf8a95b02261a7733f8029adc1fde53d642930395037d019d",
        "20d85be8185215aff41eb13066ed75f93f16b77ac61768329e2ccd58dda11e4e",
        "fe0702eac8e5a8bfa6cabd3f9d4ff28db6a04a58620cfd36dd0a833b466c5a85",
    ),
    "training": (
        "26647afff6ac366f259f01895bf84c8f15a1944f20d2f182b4162102c17b6ee9",
        "e37816bcca598c9bee2ba80e5947273314bc62f1f8444fb6cf1e033fa203b9e6",
        "ce8cf0342ce2454f6a828a8d9b7ad0e9f809e53cc3b6f3b2fff4c6d435baddd5",
        "f5df31be6b76ce00534408fdab0e18b0f518dd1362a50eeeb37e6ffc40a4a944",
        "8d94283a763c43cc19ad52c79f199dff8c7ab57c3af6a6873f90ffa6c38e650d",
        "783ca76befa697077f97f2f5ba1afb59407801d6405328f01ced7720033f8225",
    ),
}
"""SHA-256 of the scripts that earlier versions put into records. The gate runs today's script instead of them. Add the
old digest where a script changes."""
_MADE_OF_OTHERS = ("mix", "known-answers")
"""Data sources that combine other sources and read no files themselves."""
_WITH_TORCH = 8192
"""Memory limit, in MiB, of depths that load models."""


def plan_reruns(evidence: Evidence, held: set[str]) -> tuple[Repro, dict[Depth, str]]:
    """The depths at which the record can be run again, and the reason for each other depth. `held` are its data
    files."""
    study = evidence.study
    measured = capability_files(study) if study else []
    planned = PLAN_FILE in held
    answered = sorted(name for name, (_, role) in evidence.files.items() if role == "responses")
    inputs = tuple(name for name in (*ANALYSIS_INPUTS, *measured, *(answered if planned else ())) if name in held)
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
    labels = (*((RATINGS,) if study.ratings is not None else ()), *((PLAN_FILE,) if planned else ()))
    why = _why_not_from_responses(study)
    if why is None:
        inputs = (LOCK_FILE, "data.json", *labels, *measured, *answered)
        depths["responses"] = Rerun(script=script_path("responses"), inputs=inputs, limits=limits)
    else:
        reasons["responses"] = why
    why = _why_not_from_training(study)
    if why is None:
        depths["training"] = Rerun(script=script_path("training"), inputs=(LOCK_FILE, *labels), limits=limits)
    else:
        reasons["training"] = why
    return Repro(schema=REPRO_SCHEMA, depths=depths), reasons


def script_path(depth: Depth) -> str:
    """The path of a depth's script in the record."""
    return f"repro/{depth}.py"


def script_text(depth: Depth) -> str:
    """The package's script for a depth."""
    return files("tarazu.record.build.scripts").joinpath(f"{depth}.py").read_text(encoding="utf-8")


def script_file(depth: Depth) -> Path:
    """The package's script for a depth, where the package is installed."""
    return Path(str(files("tarazu.record.build.scripts").joinpath(f"{depth}.py")))


@functools.cache
def shipped_digests(depth: Depth) -> frozenset[str]:
    """SHA-256 of each version of the package's script for a depth."""
    return frozenset((file_sha256(script_file(depth)), *EARLIER_SCRIPTS[depth]))


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
