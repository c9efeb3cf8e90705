"""Caps on the review score and the tier: what applies to which record, and what follows from it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import site_data
from typed_results import typed

from tarazu.assessment.assess import assess
from tarazu.assessment.caps import CAPS, caps, ceiling
from tarazu.assessment.facts import read_facts
from tarazu.assessment.tier import tier_of
from tarazu.cli import main
from tarazu.data.prompts import load_prompts
from tarazu.record.contracts import TierInputs
from tarazu.record.manifest import Model, WeightFile
from tarazu.record.reading import Record, read_record
from tarazu.results import document
from tarazu.results.model import KnownAnswersEntry
from tarazu.study.sources import JsonlPrompts, ParallelPrompts

EVERY = [rule.id for rule in CAPS]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A record of scores that were made elsewhere: it names no model and no source of prompts."""
    folder = tmp_path_factory.mktemp("capped") / "record"
    shutil.copytree(site_data.built_once(), folder)
    return site_data.put_gate(read_record(folder))


def real_model(mib: int = 700) -> Model:
    weights = WeightFile(path="model.safetensors", size=mib << 20, sha256="0" * 64)
    return Model(name="opt-350m", role="start", files=(weights,))


def strong(record: Record) -> tuple[dict[str, Any], tuple[Model, ...]]:
    """Results and models of a study to which no cap applies except that for want of a registered plan."""
    results: dict[str, Any] = document(record.results)
    results["study"]["caution"] = ""
    results["ruler"]["status"] = "comparable"
    trusted = {kind: _known("trusted") for kind in ("harmful", "benign")}
    codes = [*results["groups"]["high"], *results["groups"]["low"]]
    results["validity"]["languages"] = dict.fromkeys(codes, trusted)
    results["data"] = {"prompts": [{"source": "multijail", "kept": 9}, {"source": "xquad", "kept": 9}]}
    results["tradeoff"]["sources"] = {"harmful": ["multijail"], "benign": ["xquad"]}
    results["tradeoff"]["primary"] |= {"verdict": "differs", "p": 0.01, "mde": 4.0, "margin": 5.0}
    results["tradeoff"]["components"]["seed_sd"] = 1.5
    return results, (real_model(),)


def _known(status: str) -> dict[str, Any]:
    return {**dict.fromkeys(KnownAnswersEntry.model_fields), "status": status, "n": 9}


def applied(record: Record, results: dict[str, Any], models: tuple[Model, ...]) -> list[str]:
    environment = record.manifest.environment.model_copy(update={"models": models})
    manifest = record.manifest.model_copy(update={"environment": environment})
    changed = dataclasses.replace(record, results=typed(results), manifest=manifest)
    return [cap.id for cap in caps(changed)]


def test_a_record_that_says_nothing_gets_every_cap_of_silence(imported: Record) -> None:
    named = [cap.id for cap in caps(imported)]
    assert named == [name for name in EVERY if name in named]
    assert {"unnamed-model", "ruler", "unreviewed-prompts", "exploratory", "one-seed"} <= set(named)
    assert "toy-model" not in named  # nothing shows that it is one


def test_a_strong_study_has_the_cap_for_a_plan_alone(imported: Record) -> None:
    assert applied(imported, *strong(imported)) == ["exploratory"]


def test_a_plan_that_nothing_departs_from_lifts_its_cap(imported: Record) -> None:
    results, models = strong(imported)
    section = {"reason": "one", "plan": "0" * 64, "date": "2026-11-01", "order": "before_responses", "unchecked": []}
    results["preregistration"] = {**section, "status": "confirmatory", "departures": []}
    assert applied(imported, results, models) == []
    results["preregistration"]["status"] = "exploratory"
    assert applied(imported, results, models) == ["exploratory"]


def _change(results: dict[str, Any], place: str, value: Any) -> None:
    *above, last = place.strip("/").split("/")
    for key in above:
        results = results[int(key)] if isinstance(results, list) else results[key]
    results[last] = value


PRIMARY = "/tradeoff/primary"


@pytest.mark.parametrize(
    ("cap", "place", "value"),
    [
        ("caution", "/study/caution", "Its answer is about toys only."),
        ("ruler", "/ruler/status", "unassessed"),
        ("ruler", "/ruler/status", "not_comparable"),
        ("ruler", "/validity/languages", {}),
        ("unreviewed-prompts", "/data", None),
        ("unreviewed-prompts", "/data/prompts", []),
        (
            "unreviewed-prompts",
            "/data/prompts",
            [[], {"source": {}}, {"notes": {"reviewed by a native speaker": None}}],
        ),
        ("unreviewed-prompts", "/data/prompts/0/source", "parallel"),
        ("unreviewed-prompts", "/data/prompts/0/source", "jsonl"),
        ("unreviewed-prompts", "/tradeoff/sources/benign", ["another"]),
        ("inconclusive", f"{PRIMARY}/verdict", "inconclusive"),
        ("inconclusive", f"{PRIMARY}/verdict", None),
        ("low-power", f"{PRIMARY}/mde", 5.1),
        ("low-power", f"{PRIMARY}/mde", None),
        ("low-power", f"{PRIMARY}/margin", None),
        ("one-seed", "/tradeoff/components/seed_sd", None),
        ("one-seed", "/tradeoff/components", None),
    ],
)
def test_each_weakness_of_the_results_has_its_cap(imported: Record, cap: str, place: str, value: Any) -> None:
    results, models = strong(imported)
    _change(results, place, value)
    assert [one for one in applied(imported, results, models) if one != "exploratory"] == [cap]


def test_a_quarter_of_doubtful_cells_is_the_limit(imported: Record) -> None:
    results, models = strong(imported)
    codes = sorted(results["validity"]["languages"])
    for code in codes[: len(codes) // 4]:
        results["validity"]["languages"][code] = {kind: _known("doubtful") for kind in ("harmful", "benign")}
    assert "ruler" not in applied(imported, results, models)
    results["validity"]["languages"][codes[-1]] = {"harmful": _known("trusted"), "benign": _known("unassessed")}
    assert "ruler" in applied(imported, results, models)
    results["tradeoff"]["labels"] = "people"
    assert "ruler" not in applied(imported, results, models)


@pytest.mark.parametrize(
    ("models", "cap"),
    [
        ((real_model(13),), "toy-model"),
        ((real_model(13), real_model(99)), "toy-model"),
        ((real_model(), Model(name="builtin:base", role="start")), "toy-model"),
        ((), "unnamed-model"),
        ((Model(name="facebook/opt-350m", role="start"),), "unnamed-model"),
        ((real_model().model_copy(update={"role": "arm"}),), "unnamed-model"),
        ((Model(name="facebook/opt-350m", role="start", revision="08ab08c"),), None),
        ((real_model(13), real_model()), None),
    ],
)
def test_the_weights_say_what_is_a_toy(imported: Record, models: tuple[Model, ...], cap: str | None) -> None:
    named = applied(imported, strong(imported)[0], models)
    assert [one for one in named if one in ("toy-model", "unnamed-model")][:1] == ([cap] if cap else [])


@pytest.mark.parametrize("rule", CAPS, ids=lambda rule: rule.id)
def test_no_score_and_no_tier_is_above_a_ceiling(rule: Any) -> None:
    order = ["WATCHLIST", "PUBLIC_RECORD", "DOI_GRADE", "FLAGSHIP_CANDIDATE"]
    inputs = TierInputs(
        review_score=rule.ceiling, verified_claim_count=99, artifact_types=(), reproducibility_level="HIGH"
    )
    assert tier_of(inputs, falsified=False, intact=True)[0] == rule.highest_tier
    above = inputs.model_copy(update={"review_score": rule.ceiling + 0.01})
    assert order.index(tier_of(above, falsified=False, intact=True)[0]) == order.index(rule.highest_tier) + 1
    assert rule.condition and rule.lift


def test_the_assessment_and_the_pages_name_every_cap(imported: Record, capsys: pytest.CaptureFixture[str]) -> None:
    assessed = assess(read_facts(imported))
    assert assessed.review.caps == caps(imported)
    assert assessed.review.uncapped_score is not None
    assert assessed.review.score == min(assessed.review.uncapped_score, ceiling(assessed.review.caps))
    assert assessed.quality_tiers.inputs.review_score == assessed.review.score
    assert main(["record", "assess", str(imported.path)]) == 0
    page = (imported.path / "record.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["record", "show", str(imported.path)]) == 0
    shown = capsys.readouterr().out
    assert main(["record", "show", str(imported.path), "--json"]) == 0
    as_json = json.loads(capsys.readouterr().out)["caps"]
    assert [cap["id"] for cap in as_json] == [cap.id for cap in assessed.review.caps]
    for cap in assessed.review.caps:
        assert f"{cap.id}: at most {cap.ceiling:.2f}" in shown and cap.lift in shown
        assert cap.id.replace("-", " ").capitalize() in page and cap.id in assessed.quality_tiers.basis


def test_rows_that_name_a_reviewer_are_counted(tmp_path: Path) -> None:
    """By the loaders of both kinds of sets that have such rows."""
    rows = [
        {"prompt_id": str(number), "language": "en", "prompt": f"Question {number}?", "reviewed": reviewed}
        for number, reviewed in enumerate(["Doe, Jane", "", "false", "Doe, Jane", False, None, 3])
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    mine = JsonlPrompts(source="jsonl", path=str(file))
    loaded = load_prompts(mine, "benign", languages=["en"], root=None, seed=1)
    assert (len(loaded.rows), loaded.notes) == (7, {"reviewed by a native speaker": 2})
    shipped = load_prompts(ParallelPrompts(source="parallel"), "benign", languages=["en"], root=None, seed=1)
    assert shipped.notes == {}


def test_prompts_that_were_all_reviewed_lift_the_cap(imported: Record) -> None:
    results, models = strong(imported)
    results["data"]["prompts"][0] = {"source": "jsonl", "kept": 9, "notes": {"reviewed by a native speaker": 9}}
    results["tradeoff"]["sources"]["harmful"] = ["jsonl"]
    assert applied(imported, results, models) == ["exploratory"]
    results["data"]["prompts"][0]["kept"] = 10
    assert applied(imported, results, models) == ["unreviewed-prompts", "exploratory"]


def test_the_page_of_records_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "records.md").read_text(encoding="utf-8")
    for rule in CAPS:
        assert f"| {rule.id} | {rule.condition} | {rule.ceiling:.2f} | {rule.highest_tier} | {rule.lift} |" in page
