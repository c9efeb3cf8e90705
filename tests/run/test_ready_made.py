"""Studies that lack parts, with `plan`, `run`, the notebook and a record: ready-made checkpoints that nothing trains,
one kind of prompt, one language, one prompt, no known answers, an arm's own pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import record_data
import tiny
from made_up_scores import random_rows, results_of
from pages import Page
from report_data import disagreement
from small_study import write_small_study
from typed_results import typed

from tarazu.assessment.facts import overlap_checked
from tarazu.errors import BadInput
from tarazu.notebook import load_run
from tarazu.progress import Progress
from tarazu.record.build.assemble import AuthorInput, build_from_run
from tarazu.record.reading import check_artifacts
from tarazu.record.schemas import check_schema
from tarazu.results import write_results
from tarazu.run.pipeline import run
from tarazu.run.plan import plan, plan_text
from tarazu.site.build import build_site
from tarazu.site.label.sample import draw_from_run
from tarazu.study import load_study

Changes = Callable[[Path], dict[str, Any]]


def ready(folder: Path) -> dict[str, Any]:
    """Two checkpoints compared, nothing trained."""
    tiny.saved(tiny.perturbed(tiny.opt(), 3, 0.1), folder / "aligned")
    return {
        "arms": {"base": {"method": "none"}, "dpo": {"method": "none", "from": str(folder / "aligned")}},
        "data": {},
        # Rewards of the two random models lie on both sides of these, so that something differs.
        "thresholds": {"harmless": -20.0, "helpful": -12.4},
    }


def source(folder: Path, kind: str, **more: Any) -> list[dict[str, Any]]:
    return [{"source": "jsonl", "path": str(folder / f"{kind}.jsonl"), **more}]


def rewards(folder: Path, known: dict[str, Any] | None = None) -> dict[str, Any]:
    judge = {"model": str(folder / "reward"), "input": "transcript"}
    return {"harmful": judge, "benign": judge} | ({"known_answers": known} if known else {})


def one_kind(kind: str) -> Changes:
    """Prompts of one kind, and a judge of that kind alone."""
    return lambda folder: {
        **ready(folder),
        "prompts": {kind: source(folder, kind)},
        "reward": {kind: rewards(folder)[kind], "known_answers": {kind: source(folder, kind)}},
    }


def one_prompt(folder: Path) -> dict[str, Any]:
    prompts = {kind: source(folder, kind, limit=1) for kind in ("harmful", "benign")}
    return {**ready(folder), "prompts": prompts, "analysis": {"draws": 100, "frontier": {"alphas": [0.5]}}}


def borderline(folder: Path, *kinds: str) -> dict[str, Any]:
    """The benign prompts of the small study serve as prompts that look harmful."""
    prompts = {kind: source(folder, kind) for kind in kinds} | {"borderline": source(folder, "benign")}
    return {**ready(folder), "prompts": prompts, "reward": rewards(folder)}


def own_pairs(folder: Path) -> dict[str, Any]:
    pairs = {"source": "jsonl", "path": str(folder / "pairs.jsonl")}
    dpo = {"method": "dpo", "learning_rate": 1e-3, "batch_size": 4, "pairs": pairs}
    return {"arms": {"base": {"method": "none"}, "dpo": dpo}, "data": {}, "languages": ["en", "sw"]}


STUDIES: dict[str, Changes] = {
    "two checkpoints": ready,
    "harmful prompts alone": one_kind("harmful"),
    "benign prompts alone": one_kind("benign"),
    "borderline prompts too": lambda folder: {
        **borderline(folder, "harmful", "benign"),
        "analysis": {"draws": 100, "frontier": {"alphas": [0.5]}},
    },
    "borderline prompts alone": borderline,
    "one prompt": one_prompt,
    "one language, no known answers": lambda folder: {
        **ready(folder),
        "languages": ["en"],
        "reward": rewards(folder),
        "analysis": {"draws": 100, "frontier": {"alphas": [0.5]}},
    },
    "languages of no group": lambda folder: {
        **ready(folder),
        "groups": {"high": [5], "low": []},
        "languages": ["sw", "yo"],
    },
    "known answers of one kind": lambda folder: {
        **ready(folder),
        "reward": rewards(folder, {"benign": source(folder, "benign")}),
    },
    "pairs of an arm's own": own_pairs,
}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_lacks_parts_becomes_a_record(name: str, tmp_path: Path, records: Path) -> None:
    write_small_study(tmp_path)
    loaded = load_study(str(write_small_study(tmp_path, **STUDIES[name](tmp_path))))
    out = tmp_path / "run"
    planned = plan(loaded, out)
    json.dumps(planned, allow_nan=False)
    assert not re.search(r"\b(nan|None|inf)\b", plan_text(planned))

    run(loaded, out, fresh=False, progress=Progress())
    results = json.loads((out / "results.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    check_schema(results, "results-v2", "results.json")
    assert not re.search(r"\b(nan|None|inf)\b", results["sentence"])
    assert {row["state"] for row in plan(loaded, out)["stages"]} == {"done"}

    html = (out / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert [wrong for pointer, text in page.numbers if (wrong := disagreement(results, pointer, text))] == []
    assert not re.search(r"\b(nan|None|null|undefined)\b", page.text)
    assert not re.search(r"<(tbody|ul|dl)[^>]*>\s*</\1>", html)
    if name.endswith("prompts alone") and "borderline" not in name:
        quantity = "dHm" if name.startswith("harmful") else "dHp"
        assert planned["power"]["quantity"] == results["tradeoff"]["primary"]["quantity"] == quantity
        assert results["tradeoff"]["primary"]["estimate"] is not None
    trained = any(arm.method != "none" for arm in loaded.study.arms.values())
    assert ("the arms were not trained here" in page.text) is not trained

    if "borderline" in name:
        rows = pq.read_table(out / "scores.parquet").to_pylist()
        own = [row for row in rows if row["kind"] == "borderline"]
        assert len(own) == 2 * 5 * 4 and all(row["response"] is not None for row in own)
        assert {(row["reward"], row["label"], row["harmless"], row["helpful"]) for row in own} == {(None,) * 4}
        assert results["over_refusal"]["arms"]["dpo"]["ORR"]["n"] == 5 * 4
        assert len(load_run(out).over_refusal()) == 2 * 6
        assert len(load_run(out).outcomes()) > 0
        if "alone" not in name:
            # People rate the responses that HmR and HpR are about.
            sample = draw_from_run(out, per_cell=1)
            assert {item.key.kind for item in sample.items} == {"harmful", "benign"}
            assert len(sample.items) == 2 * 5 * 2

    answer = load_run(out)
    assert set(answer.arms()["arm"]) == set(loaded.study.arms)
    answer.report(tmp_path / "again.html")
    record = build_from_run(out, records / name.replace(" ", "-"), AuthorInput(citation=record_data.CITATION))
    assert list(check_artifacts(record)) == []
    assert any("trained once" in limitation for limitation in record.manifest.limitations) is trained
    assert overlap_checked(record.results) is trained


def test_their_records_make_a_site(records: Path, tmp_path: Path) -> None:
    if not any(records.iterdir()):
        pytest.skip("the tests that make the records did not run")
    built = build_site(records, tmp_path / "site")
    assert (built.records, built.skipped) == (len(list(records.iterdir())), ())


COMPONENTS = {
    "language_sd": 0.0,
    "cell_sd": {"harmful": 0.0, "benign": 0.0},
    "prompt_sd": {"harmful": 0.0, "benign": 0.0},
    "seed_sd": 3.0,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "all its languages and prompts are alike; give a pilot in which some differ"),
        ({"language_sd": None, "reason": "a kind has one prompt"}, "a kind has one prompt; give a pilot with two"),
    ],
)
def test_a_pilot_without_variance_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    results = results_of(random_rows(prompts=2))
    results["tradeoff"]["components"] = {**COMPONENTS, **changes}
    write_results(tmp_path / "results.json", typed(results))
    write_small_study(tmp_path)
    loaded = load_study(str(write_small_study(tmp_path, **ready(tmp_path))))
    with pytest.raises(BadInput, match=message):
        plan(loaded, tmp_path / "run", tmp_path)
