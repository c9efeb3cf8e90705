"""Read a run folder as evidence for a record: its files, unchanged since the run, and their content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tarazu.errors import BadInput
from tarazu.files import file_sha256
from tarazu.judge.ratings import RATINGS
from tarazu.preregistration.reading import PLAN_FILE, SIGNATURE_FILE, FrozenPlan, write_plan
from tarazu.readers import read_json, validation_message
from tarazu.record.manifest import Environment, Model, WeightFile
from tarazu.record.metadata.provenance import Given
from tarazu.record.model import Role
from tarazu.results import Results, read_results
from tarazu.run.analyze import study_facts
from tarazu.run.capability import capability_files
from tarazu.run.frontier import SCORES as FRONTIER
from tarazu.run.lock import ANALYSIS_LOCK, LOCK_FILE
from tarazu.run.preregistration.binding import folder_plan
from tarazu.run.stages import RECORDS
from tarazu.run.training import REWARD_MODEL
from tarazu.study import Study
from tarazu.study.judges import TRAINED
from tarazu.study.replicates import replicates
from tarazu.study.schema import BUILTIN, AnalysisSettings
from tarazu.yaml_files import load_yaml


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The evidence from which a record is built.

    `files` maps paths in the record to the run's files and their roles. `outputs` maps paths to the digests that the
    run recorded. `study` is None if the scores were made elsewhere, without a run. `seconds` is the total time of the
    run's stages."""

    run: Path
    files: dict[str, tuple[Path, Role]]
    outputs: dict[str, str]
    results: Results
    lock: dict[str, Any]
    study: Study | None
    models: tuple[Model, ...]
    given: tuple[Given, ...]
    seconds: float


def read_evidence(run: Path) -> Evidence:
    """Read a folder that `tarazu run` or `tarazu analyze --out` wrote.

    Raises BadInput if it is another folder, the run is unfinished, or a file is missing, damaged or changed.
    """
    if not run.is_dir():
        raise BadInput(f"{run}: no such folder; name one that `tarazu run` or `tarazu analyze --out` wrote")
    if not (run / "results.json").is_file():
        raise BadInput(
            f"{run}: has no results.json; name a folder of a finished `tarazu run` or of `tarazu analyze --out`"
        )
    results = read_results(run / "results.json")
    if (run / LOCK_FILE).is_file():
        evidence = _of_run(run, results)
    elif (run / ANALYSIS_LOCK).is_file():
        evidence = _of_analysis(run, results)
    else:
        raise BadInput(f"{run}: has neither {LOCK_FILE} nor {ANALYSIS_LOCK}; run or analyze again with this version")
    _check_unchanged(evidence)
    return evidence


def _of_run(run: Path, results: Results) -> Evidence:
    lock = _lock(run / LOCK_FILE)
    try:
        study = Study.model_validate(lock["study"])
    except ValidationError as error:
        raise BadInput(
            f"{run / LOCK_FILE}: {validation_message(error)}; run the study again with this version"
        ) from None
    if results.study != study_facts(study) or results.thresholds.model_dump() != study.thresholds.model_dump():
        raise BadInput(f"{run}: {LOCK_FILE} and results.json belong to different studies; run the study again")
    paths: dict[str, tuple[Path, Role]] = {
        LOCK_FILE: (run / LOCK_FILE, "study"),
        "scores.parquet": (run / "scores.parquet", "scores"),
        "known_answers.parquet": (run / "known_answers.parquet", "known_answers"),
        "results.json": (run / "results.json", "results"),
        "report.html": (run / "report.html", "report"),
    }
    for replicate in replicates(study):
        paths[f"responses/{replicate.name}.parquet"] = (run / "responses" / f"{replicate.name}.parquet", "responses")
    paths |= {name: (run / name, "scores") for name in capability_files(study)}
    if study.ratings is not None:
        paths[RATINGS] = (run / RATINGS, "scores")
    if study.analysis.frontier is not None:
        paths[FRONTIER] = (run / FRONTIER, "scores")
        for alpha in study.analysis.frontier.alphas:
            name = f"frontier/responses/{alpha:g}.parquet"
            paths[name] = (run / name, "responses")
    paths |= _plan(run, results)
    outputs: dict[str, str] = {}
    seconds = 0.0
    for record in sorted((run / RECORDS).glob("*.json")):
        stage = read_json(record)
        try:
            outputs |= stage["outputs"]
            seconds += float(stage["seconds"])
        except (KeyError, TypeError, ValueError):
            raise BadInput(f"{record}: not in the form that a run writes; the same `tarazu run` repairs it") from None
    made = {name for name, (_, role) in paths.items() if role not in ("study", "report", "plan")}
    unrecorded = sorted(made - outputs.keys())
    if unrecorded:
        raise BadInput(
            f"{run}: its stages do not record {unrecorded[0]}; finish the run: the same `tarazu run` resumes it"
        )
    return Evidence(
        run=run,
        files=paths,
        outputs=outputs,
        results=results,
        lock=lock,
        study=study,
        models=tuple(_models(run, study)),
        given=(),
        seconds=seconds,
    )


def _of_analysis(run: Path, results: Results) -> Evidence:
    lock = _lock(run / ANALYSIS_LOCK)
    settings = lock["study"]
    try:
        AnalysisSettings.model_validate({key: settings.get(key) for key in AnalysisSettings.model_fields})
        given = tuple(Given.model_validate(one) for one in lock["given"])
    except (ValidationError, AttributeError, KeyError, TypeError):
        raise BadInput(f"{run / ANALYSIS_LOCK}: not in the form that `tarazu analyze` writes; analyze again") from None
    roles: Mapping[str, Role] = {
        "scores.parquet": "scores",
        "known_answers.parquet": "known_answers",
        RATINGS: "scores",
        "results.json": "results",
    }
    paths: dict[str, tuple[Path, Role]] = {name: (run / name, roles[name]) for name in lock["outputs"] if name in roles}
    paths |= _plan(run, results)
    paths[LOCK_FILE] = (run / ANALYSIS_LOCK, "study")
    paths["report.html"] = (run / "report.html", "report")
    for name in ("results.json", "scores.parquet"):
        if name not in paths:
            raise BadInput(f"{run / ANALYSIS_LOCK}: does not record {name}; analyze again")
    return Evidence(
        run=run,
        files=paths,
        outputs=dict(lock["outputs"]),
        results=results,
        lock=lock,
        study=None,
        models=(),
        given=given,
        seconds=0.0,
    )


def take_plan(run: Path, frozen: FrozenPlan) -> None:
    """Put the signature of a plan beside the run's own copy of the plan. Raises BadInput if that is another plan."""
    own = folder_plan(run)
    if own is None:
        raise BadInput(f"{run}: has no plan; run or analyze again with --plan")
    if own.sha256 != frozen.sha256:
        raise BadInput(
            f"{run / PLAN_FILE}: is another plan (sha256 {own.sha256}) than that of --plan (sha256 {frozen.sha256}); "
            "name the run's plan"
        )
    write_plan(run, frozen)


def _plan(run: Path, results: Results) -> dict[str, tuple[Path, Role]]:
    """The preregistered plan of a run, and its signature. Raises BadInput if it is not the plan of the results."""
    frozen = folder_plan(run)
    if (frozen and frozen.sha256) != (results.preregistration and results.preregistration.plan):
        raise BadInput(f"{run / PLAN_FILE}: is not the plan of results.json; run or analyze again")
    signed = (SIGNATURE_FILE,) if frozen and frozen.signature else ()
    return {name: (run / name, "plan") for name in ((PLAN_FILE, *signed) if frozen else ())}


def _lock(path: Path) -> dict[str, Any]:
    """Read a lock file. Raises BadInput if it is incomplete."""
    try:
        lock = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); run or analyze again") from None
    try:
        environment = Environment.model_validate({"versions": lock["versions"], "hardware": lock["hardware"]})
        complete = isinstance(lock["study"], dict) and "python" in environment.versions
    except (ValidationError, KeyError, TypeError):
        complete = False
    if not complete:
        raise BadInput(
            f"{path}: incomplete: it must have study, versions (including python) and hardware; run or analyze again"
        )
    checked: dict[str, Any] = lock
    return checked


def _check_unchanged(evidence: Evidence) -> None:
    """Raise BadInput if a file is missing or differs from the one that the run wrote."""
    for name, (path, _) in evidence.files.items():
        if not path.is_file():
            raise BadInput(f"{path}: no such file; finish the run, or run or analyze again")
        if name in evidence.outputs and file_sha256(path) != evidence.outputs[name]:
            raise BadInput(f"{path}: changed after it was written; run or analyze again")


def _models(run: Path, study: Study) -> Iterator[Model]:
    """Every model that was used: the arms' models, the models that they start from, and the reward models."""
    for replicate in replicates(study):
        folder = run / "arms" / replicate.name
        yield Model(name=f"arms/{replicate.name}", role="arm", files=_weights(folder))
    starts = {study.model.path: study.model.revision}
    for name, arm in study.arms.items():
        if arm.from_ is not None and study.parent(name) is None:
            starts[arm.from_] = None
    for name, revision in sorted(starts.items()):
        yield _named(name, "start", revision)
    judges = {judge.name: judge.revision for judge in study.reward.judges().values()}
    for name, revision in sorted(judges.items()):
        if name == TRAINED:
            yield Model(name=REWARD_MODEL, role="reward", files=_weights(run / REWARD_MODEL))
        else:
            yield _named(name, "reward", revision)


def _named(name: str, role: Any, revision: str | None) -> Model:
    """A model under its name in the study. The name of a local folder is the last part of its path."""
    if name.startswith(BUILTIN):
        folder = Path(str(files("tarazu").joinpath("models", name.removeprefix(BUILTIN))))
        return Model(name=name, role=role, files=_weights(folder))
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Model(name=folder.resolve().name, role=role, files=_weights(folder))
    return Model(name=name, role=role, revision=revision)


def _weights(folder: Path) -> tuple[WeightFile, ...]:
    paths = sorted(folder.glob("*.safetensors"))
    return tuple(WeightFile(path=path.name, size=path.stat().st_size, sha256=file_sha256(path)) for path in paths)


def data_json(evidence: Evidence) -> str | None:
    """The content of the record's data.json: the data report in the results. None if the results have none."""
    data = evidence.results.data
    return None if data is None else json.dumps(data, ensure_ascii=False, sort_keys=True, indent=2) + "\n"
