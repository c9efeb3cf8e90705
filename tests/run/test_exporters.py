"""Runs as Every Eval Ever. What is written is checked against what its two schemas (version 0.3.0) require of the keys
that occur here; the files of a run were also accepted by the project's own validator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest

from tarazu.cli import main
from tarazu.files import tree_sha256
from tarazu.results import write_results
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.scores import score_rows, write_scores
from tarazu.study.schema import Thresholds

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
DETAILS = {"type": "object", "additionalProperties": TEXT}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object with these keys and no others."""
    properties = {**required, **optional}
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


UUID4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
NUMBER = {"type": "number"}
METRIC = {
    "lower_is_better": {"type": "boolean"},
    "score_type": {"const": "continuous"},
    "min_score": NUMBER,
    "max_score": NUMBER,
}
RESULT = closed(
    {
        "evaluation_name": TEXT,
        "source_data": closed({"dataset_name": TEXT, "source_type": {"const": "other"}}),
        "metric_config": closed(
            METRIC,
            evaluation_description=TEXT,
            metric_id=TEXT,
            metric_name=TEXT,
            metric_kind=TEXT,
            metric_unit=TEXT,
            metric_parameters={
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
            },
            additional_details=DETAILS,
        ),
        "score_details": closed(
            {"score": NUMBER},
            details=DETAILS,
            uncertainty=closed(
                {"num_samples": {"type": "integer"}},
                confidence_interval=closed(
                    {"lower": NUMBER, "upper": NUMBER}, confidence_level={"const": 0.95}, method=TEXT
                ),
            ),
        ),
    },
    evaluation_result_id=TEXT,
)
LOG = closed(
    {
        "schema_version": {"const": "0.3.0"},
        "evaluation_id": TEXT,
        "retrieved_timestamp": TEXT,
        "source_metadata": closed(
            {
                "source_type": {"enum": ["documentation", "evaluation_run"]},
                "source_organization_name": TEXT,
                "evaluator_relationship": {"enum": ["first_party", "third_party", "collaborative", "other"]},
            },
            source_name=TEXT,
            additional_details=DETAILS,
        ),
        "model_info": closed(
            {
                "name": TEXT,
                "id": {"type": "string", "pattern": "/"},
                "additional_details": closed(
                    {"deployment_type": {"const": "unknown"}, "model_availability": {"const": "unknown"}}
                ),
            },
            inference_engine=closed({}, name=TEXT, version=TEXT),
        ),
        "eval_library": closed({"name": TEXT, "version": TEXT}),
        "evaluation_results": {"type": "array", "items": RESULT},
    },
    detailed_evaluation_results=closed(
        {
            "format": {"const": "jsonl"},
            "file_path": {"type": "string", "pattern": rf"^data/[^/]+/[^/]+/[^/]+/{UUID4}_samples\.jsonl$"},
        },
        hash_algorithm={"const": "sha256"},
        checksum=TEXT,
        total_rows={"type": "integer"},
    ),
)
SAMPLE = closed(
    {
        "schema_version": {"const": "0.3.0"},
        "evaluation_id": TEXT,
        "model_id": TEXT,
        "evaluation_name": TEXT,
        "sample_id": TEXT,
        "interaction_type": {"const": "single_turn"},
        "input": closed({"raw": TEXT, "reference": TEXTS}),
        "answer_attribution": {"type": "array"},
        "evaluation": closed({"score": NUMBER, "is_correct": {"type": "boolean"}}),
        "output": closed({"raw": TEXTS}, reasoning_trace=TEXTS),
    },
    evaluation_result_id=TEXT,
    sample_hash={"type": "string", "pattern": "^[0-9a-f]{64}$"},
    metadata=DETAILS,
)

CODES = ("de", "en", "sw", "zh-Hant")


def scored(arms: Sequence[str] = ("base", "dpo"), **more: Any) -> pd.DataFrame:
    """Four prompts of each kind in four languages. Every third response is bad."""
    rows = [
        {
            "arm": arm,
            "language": code,
            "kind": kind,
            "prompt_id": f"{kind}-{number}",
            "source": "made-up",
            "reward": -9.0 if (index + place + number) % 3 == 0 else 1.5,
            "prompt": f"{kind} {code} {number}?",
            "response": f"{arm}\u2028says \u201c{number}\u201d",
            "finish": "eos",
            **more,
        }
        for index, arm in enumerate(arms)
        for place, code in enumerate(CODES)
        for kind in ("harmful", "benign")
        for number in range(4)
    ]
    return pd.DataFrame(rows)


def analyzed(folder: Path, table: pd.DataFrame) -> Path:
    """A folder as of `tarazu analyze --out`, without the report."""
    scores, run = folder / "given.parquet", folder / "run"
    table.to_parquet(scores)
    write_results(run / "results.json", analyze_file(scores, AnalysisOptions(overrides=["analysis.draws=100"])))
    write_scores(run / "scores.parquet", score_rows(scores), Thresholds())
    return run


def exported(run: Path, out: Path) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """For each arm its results and its responses, checked."""
    assert main(["export", str(run), "--as", "every-eval-ever", "--out", str(out)]) == 0
    arms = {}
    for file in sorted(out.rglob("*.json")):
        assert file.relative_to(out).match("data/*/*/*/*.json")
        log = json.loads(file.read_text(encoding="utf-8"))
        jsonschema.validate(log, LOG)
        samples: list[dict[str, Any]] = []
        companion = file.with_name(f"{file.stem}_samples.jsonl")
        assert companion.is_file() == ("detailed_evaluation_results" in log)
        if companion.is_file():
            facts = log["detailed_evaluation_results"]
            assert facts["file_path"] == companion.relative_to(out).as_posix()
            assert facts["checksum"] == hashlib.sha256(companion.read_bytes()).hexdigest()
            # Readers differ in what ends a line.
            samples = [json.loads(line) for line in companion.read_text(encoding="utf-8").splitlines()]
            assert len(samples) == facts["total_rows"]
        ids = [result["evaluation_result_id"] for result in log["evaluation_results"]]
        assert len(ids) == len(set(ids))
        for sample in samples:
            jsonschema.validate(sample, SAMPLE)
            assert sample["evaluation_id"] == log["evaluation_id"] and sample["model_id"] == log["model_info"]["id"]
            assert sample["evaluation_result_id"] in ids
        arms[log["model_info"]["name"]] = (log, samples)
    return arms


def by_id(log: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {result["evaluation_result_id"]: result for result in log["evaluation_results"]}


def imported(out: Path, table: Path) -> pd.DataFrame:
    files = [str(file) for file in sorted(out.rglob("*.json"))]
    assert main(["import", *files, "--label", "tarazu.analyze", "--out", str(table)]) == 0
    return pd.read_parquet(table)


def test_rates_are_those_of_the_table(tmp_path: Path) -> None:
    table = scored()
    run = analyzed(tmp_path, table)
    arms = exported(run, tmp_path / "out")
    published = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert list(arms) == ["base", "dpo"]
    for arm, (log, samples) in arms.items():
        results = by_id(log)
        assert len(results) == 3 * (1 + len(CODES))
        passed = table[table.arm == arm].assign(good=lambda rows: rows.reward > 0)
        rates = 100 * passed.groupby(["kind", "language"]).good.mean()
        for name, kind in (("HmR", "harmful"), ("HpR", "benign")):
            assert results[name]["score_details"]["score"] == pytest.approx(rates[kind].mean())
            for code in CODES:
                result = results[f"{name}.{code}"]
                assert result["score_details"]["score"] == pytest.approx(rates[kind, code])
                assert result["metric_config"]["metric_parameters"]["language"] == code
            parameters = results[name]["metric_config"]["metric_parameters"]
            assert parameters == {"threshold": {"HmR": -3.0, "HpR": -2.0}[name]}
        for name in ("HmR", "HpR", "CAS"):
            entry, score = published["arms"][arm][name], results[name]["score_details"]
            interval = score["uncertainty"]["confidence_interval"]
            assert (interval["lower"], interval["upper"]) == (entry["ci_low"], entry["ci_high"])
            assert score["uncertainty"]["num_samples"] == entry["n"]
        assert len(samples) == 32
        assert samples[0]["sample_hash"] == hashlib.sha256(b'{"raw":"harmful de 0?","reference":[]}').hexdigest()


def test_it_comes_back_through_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several samples and training seeds, and rows of an ensemble's models, which are no responses of their own."""
    table = pd.concat([scored(seed=seed, sample=sample) for seed in (0, 1) for sample in (0, 1)], ignore_index=True)
    # -3, which a harmless response reaches and a helpful one does not.
    table.loc[table["sample"] == 1, "reward"] *= -2
    members = [table.assign(reward_model=name, reward=table.reward + shift) for name, shift in (("a", 1), ("b", -1))]
    run = analyzed(tmp_path, pd.concat([table.assign(reward_model="default"), *members], ignore_index=True))
    arms = exported(run, tmp_path / "out")
    judge = by_id(arms["dpo"][0])["HmR.de"]["metric_config"]["additional_details"]["judge"]
    assert judge == "mean reward of a, b"
    back = imported(tmp_path / "out", tmp_path / "back.parquet")
    key = ["arm", "language", "kind", "prompt_id", "seed", "sample", "source", "prompt", "response", "finish"]
    both = table.merge(back, on=key, validate="one_to_one", suffixes=("_given", ""))
    assert len(both) == len(table) == len(back)
    good = (both.reward >= -3).where(both.kind == "harmful", both.reward > -2)
    assert (both.label == good).all() and not good.all()
    capsys.readouterr()
    options = ["--set", "analysis.draws=100", "--json"]
    assert main(["analyze", str(tmp_path / "back.parquet"), *options]) == 0
    published = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out)["arms"] == published["arms"]


def test_equal_runs_give_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        exported(analyzed(tmp_path / name, scored()), tmp_path / name / "out")
    assert tree_sha256(tmp_path / "one" / "out") == tree_sha256(tmp_path / "two" / "out")
    other = scored()
    other.loc[0, "reward"] = 2.5
    (tmp_path / "three").mkdir()
    arms = exported(analyzed(tmp_path / "three", other), tmp_path / "three" / "out")
    assert not (tmp_path / "one" / "out" / arms["base"][0]["detailed_evaluation_results"]["file_path"]).exists()


def test_labels_without_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither thresholds nor responses, and a rate that one language does not have."""
    table = scored().drop(columns=["prompt", "response", "finish"])
    table = table[(table.language != "zh-Hant") | (table.kind == "harmful")]
    table = table.assign(label=(table.reward > 0).astype(int)).drop(columns="reward")
    arms = exported(analyzed(tmp_path, table), tmp_path / "out")
    assert "56 responses without a prompt or a text are not among them" in capsys.readouterr().err
    log, samples = arms["dpo"]
    assert samples == []
    results = by_id(log)
    assert "HmR.zh-Hant" in results and not {"HpR.zh-Hant", "CAS.zh-Hant"} & results.keys()
    assert "HpR.zh-Hant: no responses" in log["source_metadata"]["additional_details"]["undefined"]
    assert results["HmR"]["metric_config"]["additional_details"] == {"judge": "labels that came with the scores"}
    assert "metric_parameters" not in results["HmR"]["metric_config"]


@pytest.mark.parametrize("arm", ["org/model-7b", "../../up", "con", "data", "a:b?", "نموذج", "a/b/c", "/", "m" * 150])
def test_arms_of_any_name(tmp_path: Path, arm: str) -> None:
    run = analyzed(tmp_path, scored(("base", arm)))
    log, samples = exported(run, tmp_path / "deep" / "out")[arm]
    assert log["model_info"]["id"] == (arm if "/" in arm else f"analyze/{arm}")
    assert samples[0]["metadata"]["arm"] == arm
    folders = log["detailed_evaluation_results"]["file_path"].split("/")[1:4]
    assert not {"data", "con", "", ".", ".."} & {*folders}
    assert all(folder.isascii() and folder.replace("-", "").replace(".", "").isalnum() for folder in folders)
    assert {file.name for file in tmp_path.iterdir()} == {"given.parquet", "run", "deep"}
    assert set(imported(tmp_path / "deep" / "out", tmp_path / "back.parquet").arm) == {"base", arm}


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = analyzed(tmp_path, scored())
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ([str(tmp_path / "none"), "--as", "every-eval-ever", "--out", str(out)], "none: has no results.json; give the"),
        ([str(tmp_path / "empty"), "--as", "every-eval-ever", "--out", str(out)], "empty: has no results.json; give"),
        ([str(run), "--as", "every-eval-ever", "--out", str(run)], "run: is not empty; choose another --out"),
        ([str(run), "--as", "every-eval-ever", "--out", str(tmp_path / "given.parquet")], "is a file or a link"),
        ([str(run), "--as", "helm", "--out", str(out)], "every-eval-ever, latex, markdown, figures, not 'helm'"),
        ([str(run), "--out", str(out)], "--as"),
    ):
        capsys.readouterr()
        assert main(["export", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
        assert not out.exists()


def test_scores_of_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = analyzed(tmp_path, scored())
    table = pd.read_parquet(run / "scores.parquet")
    flipped = table.copy()
    flipped.loc[0, "reward"] = -table.loc[0, "reward"]
    for other, message in (
        (flipped, "HmR of base in de is not that of results.json beside; analyze the scores again"),
        (table.drop(index=40), "is not that of results.json beside"),
        (pd.concat([table, table.head(1).assign(arm="sft")]), "has scores of sft in de, which results.json does not"),
    ):
        other.to_parquet(run / "scores.parquet")
        assert main(["export", str(run), "--as", "every-eval-ever", "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
