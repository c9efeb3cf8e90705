"""Records built from runs: their content, their reproducibility, and the runs that are refused."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from jsonschema import Draft201909Validator, Draft202012Validator
from made_up_scores import random_rows, results_of, row, write_csv
from prov.model import ProvDocument
from record_data import CITATION, FILES, small_demo
from typed_results import typed

from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.files import file_sha256, write_json
from tarazu.record.build.assemble import AuthorInput, build_from_run
from tarazu.record.build.drafting import draft_claims
from tarazu.record.build.evidence import Evidence
from tarazu.record.build.reruns import plan_reruns
from tarazu.record.build.scripts import analysis, responses, training
from tarazu.record.claims.shipped import shipped_proofs
from tarazu.record.metadata.crate import CRATE
from tarazu.record.model import Claims, EmpiricalClaim, Expression, Value
from tarazu.record.reading import Record, check_artifacts, read_record
from tarazu.record.schemas import MODELS
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.scores import to_table
from tarazu.study import load_study
from tarazu.study.schema import Thresholds

CHECKERS = Path(sys.prefix) / "checkers" / "bin"
# The checkers may be missing on a user's machine, but not in CI.
needs_checkers = pytest.mark.skipif(
    not CHECKERS.is_dir() and os.environ.get("CI") != "true", reason="needs the checkers: make test"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_demo(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def record(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    return build(run, tmp_path_factory.mktemp("records") / "small")


@pytest.fixture(scope="module")
def analyzed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analyzed")
    rows = random_rows(languages=("de", "en", "sw", "yo"), prompts=4)
    scores = write_csv(folder / "scores.csv", rows)
    settings = ["analysis.draws=100"]
    analyze_file(scores, AnalysisOptions(overrides=settings), out=folder / "run")
    return folder / "run"


@pytest.fixture
def analyzed(analyzed_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(analyzed_once, tmp_path / "analyzed")


def build(run: Path, out: Path, **changes: Any) -> Record:
    return build_from_run(run, out, AuthorInput(citation=replace(CITATION, **changes)))


def published(name: str) -> dict[str, Any]:
    text = files("tarazu").joinpath(f"schemas/{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- content of a record --------------------------------------------------------------------------


def test_a_record_of_a_run_is_complete(record: Record) -> None:
    assert check_artifacts(record) == []
    listed = {artifact.path: artifact.role for artifact in record.manifest.artifacts}
    assert {path for path in record.files if path not in listed} == {"manifest.json", "corrections.jsonl"}
    assert listed["scores.parquet"] == "scores" and listed["responses/dpo.parquet"] == "responses"
    work = record.manifest.work
    assert (work.title, work.submitted, work.srch_id) == ("A small study", "2026-11-24", work.id[:8].upper())
    assert "Made up for a test." in record.manifest.limitations


@pytest.mark.parametrize(
    ("depth", "script"), [("analysis", analysis), ("responses", responses), ("training", training)]
)
def test_each_depth_gives_the_same_results(record: Record, tmp_path: Path, depth: Any, script: Any) -> None:
    """The script gets copies of its inputs and nothing else, as in the gate."""
    rerun = record.repro.depths[depth]
    assert not {"results.json", "claims.json", "report.html"} & set(rerun.inputs)
    assert (record.path / rerun.script).read_text() == Path(script.__file__).read_text()
    for name in rerun.inputs:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(record.path / name, tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    script.main(tmp_path / "in", tmp_path / "out")
    assert filecmp.cmp(tmp_path / "out" / "results.json", record.path / "results.json", shallow=False)


@pytest.mark.parametrize(
    ("settings", "depths"),
    [
        ([], ["analysis", "responses", "training"]),
        (["data.pairs={source: jsonl, path: mine.jsonl}"], ["analysis"]),
        (["data.pairs={source: mix, parts: [{source: parallel}]}"], ["analysis", "responses", "training"]),
        (["prompts.benign=[{source: xnli, path: xnli}]"], ["analysis"]),
        (["arms.dpo.pairs={source: parallel, path: mine}"], ["analysis"]),
        (["arms.dpo.from=facebook/opt-350m"], ["analysis", "responses"]),
        (["model.path=facebook/opt-350m"], ["analysis", "responses"]),
        (["reward.harmful.model=org/reward"], ["analysis"]),
    ],
)
def test_only_self_contained_depths_are_offered(settings: list[str], depths: list[str]) -> None:
    study = load_study("demo", settings).study
    evidence = Evidence(
        run=Path(),
        files={},
        outputs={},
        results=typed(results_of(random_rows(prompts=1))),
        lock={},
        study=study,
        models=(),
        given=(),
        seconds=0.0,
    )
    repro, reasons = plan_reruns(evidence, {"scores.parquet"})
    assert list(repro.depths) == depths
    assert {*repro.depths, *reasons} == {"analysis", "responses", "training"}


def test_weights_are_named_by_hash_and_not_included(record: Record, run: Path) -> None:
    models = {model.name: model for model in record.manifest.environment.models}
    assert set(models) == {"arms/base", "arms/dpo", "builtin:base", "builtin:reward"}
    (weights,) = models["arms/dpo"].files
    assert weights.sha256 == file_sha256(run / "arms" / "dpo" / "model.safetensors")
    assert not [path for path in record.files if path.endswith((".safetensors", ".bin"))]


def test_two_builds_are_the_same_bytes(record: Record, run: Path, tmp_path: Path) -> None:
    again = build(run, tmp_path / "again")
    assert tree(again.path) == tree(record.path)
    assert again.digest == record.digest


def test_the_id_depends_only_on_the_evidence(record: Record, run: Path, analyzed: Path, tmp_path: Path) -> None:
    renamed = build(run, tmp_path / "renamed", title="Another title", submitted=date(2025, 1, 1), authors=())
    assert renamed.manifest.work.id == record.manifest.work.id and renamed.digest != record.digest
    assert build(analyzed, tmp_path / "other").manifest.work.id != record.manifest.work.id


def test_every_file_matches_its_published_schema(record: Record) -> None:
    for file, name in {
        "claims.json": "claims-v1",
        "repro/repro.json": "repro-v1",
        "manifest.json": "paper-manifest-v1.1",
        "provenance.json": "source-provenance-v1",
        "results.json": "results-v2",
    }.items():
        Draft202012Validator(published(name)).validate(json.loads((record.path / file).read_text()))


@pytest.mark.parametrize("name", MODELS)
def test_published_schemas_are_valid(name: str) -> None:
    schema = published(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_provenance_is_valid_prov(record: Record) -> None:
    provenance = json.loads((record.path / "provenance.json").read_text())
    document = ProvDocument.deserialize(content=json.dumps(provenance["prov"]), format="json")
    text = document.get_provn()
    assert "wasGeneratedBy(record:results.json, record:analysis" in text
    assert "used(record:analysis, record:scores.parquet" in text
    assert document == ProvDocument.deserialize(content=document.serialize(format="json"), format="json")


def checked_crate(folder: Path, cache: Path, severity: str, *profile: str) -> dict[str, Any]:
    """The RO-Crate validator's report. It needs no network, because the context is in its cache."""
    context = FILES / "ro-crate-1.2" / "context.jsonld"
    seed = Path(__file__).parent.parent / "support" / "seed_crate_cache.py"
    subprocess.run([CHECKERS / "python", seed, context, cache], check=True)
    command = [CHECKERS / "rocrate-validator", "-y", "validate", "--offline", "--cache-path", cache]
    options = ["--enforce-availability", "-l", severity, "-f", "json", "--no-paging"]
    options += ["-p", *(profile or ("ro-crate-1.2",))]
    out = cache.with_suffix(".json")
    subprocess.run([*command, *options, "-o", out, folder], check=False, capture_output=True)
    report: dict[str, Any] = json.loads(out.read_text())
    return report


@needs_checkers
def test_the_validator_accepts_the_crate(record: Record, tmp_path: Path) -> None:
    report = checked_crate(record.path, tmp_path / "cache", "recommended")
    # Recommendations that the record does not follow: a size for manifest.json, which contains this file's digest, and
    # an ORCID, an affiliation and a contact for each author.
    known = {"ro-crate-1.2_64.1", "ro-crate-1.2_80.2", "ro-crate-1.2_80.3", "ro-crate-1.2_91.0", "ro-crate-1.2_93.0"}
    assert {(issue["severity"], issue["check"]["identifier"]) for issue in report["issues"]} == {
        ("RECOMMENDED", name) for name in known
    }
    # The only skipped checks are those for detached crates and for data on the web, which a folder does not have.
    skipped = {check["identifier"] for check in report["skipped_check_details"]}
    assert skipped == {f"ro-crate-1.2_{number}" for number in ("21.1", "50.1", "52.1", "61.1")}


# Process Run Crate 0.5 builds on RO-Crate 1.1, whose rules of the version another test's 1.2 replaces.
PROCESS_RUN = ("process-run-crate-0.5", "--disable-profile-inheritance")


@needs_checkers
def test_the_validator_accepts_the_reruns(record: Record, tmp_path: Path) -> None:
    assert checked_crate(record.path, tmp_path / "cache", "required", *PROCESS_RUN)["issues"] == []
    graph = {entity["@id"]: entity for entity in json.loads((record.path / CRATE).read_text())["@graph"]}
    for depth, rerun in record.repro.depths.items():
        run = graph[f"#run-from-{depth}"]
        assert run["instrument"] == {"@id": rerun.script} and run["result"] == {"@id": "results.json"}
        assert {"@id": run["@id"]} in graph["./"]["mentions"]


@needs_checkers
@pytest.mark.proof
def test_the_validator_refuses_reruns_without_a_script(record: Record, tmp_path: Path) -> None:
    """The check above can fail."""
    broken = Path(shutil.copytree(record.path, tmp_path / "broken"))
    crate = json.loads((broken / CRATE).read_text())
    for entity in crate["@graph"]:
        entity.pop("instrument", None)
    (broken / CRATE).write_text(json.dumps(crate))
    issues = checked_crate(broken, tmp_path / "cache", "required", *PROCESS_RUN)["issues"]
    assert any("instrument" in issue["message"] for issue in issues)


@needs_checkers
@pytest.mark.proof
def test_the_validator_refuses_a_broken_crate(analyzed: Path, tmp_path: Path) -> None:
    """The check above can fail: here a listed file is missing and the root has no date."""
    broken = build(analyzed, tmp_path / "broken").path
    path = broken / "ro-crate-metadata.json"
    crate = json.loads(path.read_text())
    root = next(entity for entity in crate["@graph"] if entity["@id"] == "./")
    del root["datePublished"]
    path.write_text(json.dumps(crate))
    (broken / "scores.parquet").unlink()
    issues = checked_crate(broken, tmp_path / "cache", "required")["issues"]
    assert any("datePublished" in issue["message"] for issue in issues)
    assert any("scores.parquet" in json.dumps(issue) for issue in issues)


@needs_checkers
@pytest.mark.parametrize("stated", [{}, {"authors": (), "license": None}])
def test_the_citation_is_valid(analyzed: Path, tmp_path: Path, stated: dict[str, Any]) -> None:
    made = build(analyzed, tmp_path / "record", **stated)
    command = [CHECKERS / "cffconvert", "--validate", "-i", made.path / "CITATION.cff"]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_prompts_are_a_croissant_data_set(record: Record, analyzed: Path, tmp_path: Path) -> None:
    described = json.loads((record.path / "croissant.json").read_text(encoding="utf-8"))
    (file,) = described["distribution"]
    assert file["sha256"] == file_sha256(record.path / file["contentUrl"])
    (prompts,) = described["recordSet"]
    columns = [field["source"]["extract"]["column"] for field in prompts["field"]]
    assert set(columns) <= set(pq.read_schema(record.path / file["contentUrl"]).names)
    assert not (build(analyzed, tmp_path / "without-texts").path / "croissant.json").exists()


@needs_checkers
@pytest.mark.proof
def test_mlcroissant_reads_every_prompt(record: Record) -> None:
    """No error, no warning, and the prompts that the arms were given."""
    program = (
        "import json, mlcroissant; data = mlcroissant.Dataset(jsonld='croissant.json'); issues = data.metadata.issues; "
        "rows = [{key: value.decode() for key, value in row.items()} for row in data.records('prompts')]; "
        "print(json.dumps([list(issues.errors), list(issues.warnings), rows]))"
    )
    command = [CHECKERS / "python", "-c", program]
    result = subprocess.run(command, check=True, capture_output=True, cwd=record.path)
    errors, warnings, rows = json.loads(result.stdout)
    assert errors == warnings == []
    given = pq.read_table(record.path / "responses" / "base.parquet").to_pylist()
    names = ("prompt_id", "language", "kind", "prompt")
    assert rows == [{f"prompts/{name}": row[name] for name in names} for row in given]


DATACITE_SCHEMA = next(CHECKERS.parent.glob("lib/*/site-packages/datacite/schemas/datacite-v4.5.json"), None)


@pytest.mark.skipif(DATACITE_SCHEMA is None and os.environ.get("CI") != "true", reason="needs the checkers: make test")
@pytest.mark.parametrize("stated", [{}, {"authors": (), "license": None}, {"links": ("https://example.org/a",) * 2}])
def test_the_metadata_of_a_doi_follow_datacites_schema(analyzed: Path, tmp_path: Path, stated: dict[str, Any]) -> None:
    assert DATACITE_SCHEMA is not None
    made = build(analyzed, tmp_path / "record", **stated)
    schema = json.loads(DATACITE_SCHEMA.read_text(encoding="utf-8"))
    document = json.loads((made.path / "datacite.json").read_text(encoding="utf-8"))
    validator = Draft201909Validator(schema)
    assert list(validator.iter_errors(document)) == []
    assert list(validator.iter_errors({**document, "types": {"resourceTypeGeneral": "Data"}})) != []
    assert document["titles"] == [{"title": made.manifest.work.title}]


def test_the_packages_proofs_become_claims(tmp_path: Path) -> None:
    (tmp_path / "a.smt2").write_text("(declare-const x Int)\n")
    (tmp_path / "a.lean").write_text("theorem t : True := trivial\n")
    claim = {
        "kind": "mathematical",
        "id": "a",
        "statement": "s",
        "lean": {"source": "proofs/a.lean", "theorem": "t", "type": "True"},
        "smt": {"source": "a.smt2", "negation": "(distinct x x)"},
    }
    write_json(tmp_path / "proofs.json", [claim])
    (proof,) = shipped_proofs(tmp_path)
    assert proof.claim.origin == "build"
    assert proof.claim.lean and proof.claim.smt
    assert (proof.claim.lean.source, proof.claim.smt.source) == ("proofs/a.lean", "proofs/a.smt2")
    assert proof.texts["proofs/a.smt2"] == "(declare-const x Int)\n"
    (tmp_path / "proofs.json").unlink()
    assert shipped_proofs(tmp_path) == []


# --- drafted claims -------------------------------------------------------------------------------


def looked_up(results: Any, pointer: str) -> Any:
    """RFC 6901, implemented independently."""
    for part in pointer.split("/")[1:]:
        results = results[part.replace("~1", "/").replace("~0", "~")]
    return results


def expression_holds(results: dict[str, Any], expression: str) -> bool:
    rates = {rate: (lambda arm, rate=rate: results["arms"][arm][rate]["value"]) for rate in ("HmR", "HpR", "CAS")}
    return bool(eval(expression, {"__builtins__": {}}, {**rates, "max": max}))


def test_drafted_rates_match_the_scores(record: Record) -> None:
    rows = pq.read_table(record.path / "scores.parquet").to_pylist()
    claims = {claim.id: claim for claim in record.claims.claims}
    for arm in ("base", "dpo"):
        means = []
        for language in ("en", "es", "qu", "sw"):
            of = [entry["harmless"] for entry in rows if (entry["arm"], entry["language"]) == (arm, language)]
            passed = [value for value in of if value is not None]
            means.append(100 * sum(passed) / len(passed))
        check = claims[f"hmr-{arm}"].check  # type: ignore[union-attr]
        assert check.value == pytest.approx(sum(means) / 4, rel=1e-12)
        assert check.unit == "percent"
        assert claims[f"n-hmr-{arm}"].check.value == 12  # type: ignore[union-attr]


def test_every_drafted_claim_matches_the_results(record: Record) -> None:
    checks = [claim.check for claim in record.claims.claims if isinstance(claim, EmpiricalClaim)]
    values = [check for check in checks if isinstance(check, Value)]
    assert {"/tradeoff/primary/verdict", "/sentence", "/ruler/status"} <= {check.pointer for check in values}
    for check in values:
        assert looked_up(record.document, check.pointer) == check.value
        assert set(check.tolerance) == (
            set() if isinstance(check.value, str) else {"analysis", "responses", "training"}
        )
    for check in checks:
        if isinstance(check, Expression):
            assert expression_holds(record.document, check.expression)


def made_up_results(rows: list[dict[str, Any]], **changes: Any) -> tuple[dict[str, Any], list[EmpiricalClaim]]:
    results = results_of(rows, **changes)
    return results, draft_claims(typed(results), to_table(rows))


def test_orders_are_claimed_if_arms_differ() -> None:
    passes = {
        (arm, language, kind): count
        for arm, counts in {"base": (10, 5), "dpo": (8, 15), "sft": (10, 12)}.items()
        for language in ("de", "en", "sw", "yo")
        for kind, count in zip(("harmful", "benign"), counts, strict=True)
    }
    rows = [
        row(*cell, prompt, 1.0 if prompt < count else -9.0) for cell, count in passes.items() for prompt in range(20)
    ]
    results, claims = made_up_results(rows)
    orders = {claim.id: claim.check.expression for claim in claims if isinstance(claim.check, Expression)}
    # HmR is the same for base and sft, so no arm has the highest.
    assert orders == {
        "highest-hpr": "HpR('dpo') > max(HpR('sft'), HpR('base'))",
        "highest-cas": "CAS('dpo') > max(CAS('sft'), CAS('base'))",
        "order-cas": "CAS('dpo') > CAS('sft') > CAS('base')",
    }
    assert all(expression_holds(results, expression) for expression in orders.values())


def test_any_arm_name_can_be_claimed() -> None:
    names = ("base", "dpo", "a/b", "a~b", "A B", "ü'\"")
    results, claims = made_up_results(random_rows(languages=("de", "en", "sw", "yo"), arms=names, prompts=4))
    Claims(schema="tarazu/claims/v1", claims=tuple(claims))  # ids are unique and valid
    for claim in claims:
        if isinstance(claim.check, Value):
            assert looked_up(results, claim.check.pointer) == claim.check.value
        else:
            assert expression_holds(results, claim.check.expression)


def test_several_seeds_determine_the_tolerance_at_training() -> None:
    """HmR of dpo is 25 with one seed and 75 with the other. So sd is sqrt(1250) and the tolerance is 2 sd sqrt(2 /
    2)."""
    rows = [
        row(arm, language, kind, prompt, 1.0 if prompt < count else -9.0, seed=seed)
        for arm, seed, count in (("base", 0, 2), ("dpo", 0, 1), ("dpo", 1, 3))
        for language in ("de", "en", "sw", "yo")
        for kind in ("harmful", "benign")
        for prompt in range(4)
    ]
    _, claims = made_up_results(rows, thresholds=Thresholds())
    tolerance = {claim.id: claim.check.tolerance for claim in claims if isinstance(claim.check, Value)}
    assert tolerance["hmr-dpo"]["training"].absolute == pytest.approx(2 * 1250**0.5)
    assert tolerance["hmr-dpo"]["analysis"].absolute == tolerance["hmr-base"]["training"].absolute == 1e-12


# --- runs that are refused ------------------------------------------------------------------------


def refused(run: Path, out: Path) -> str:
    with pytest.raises(BadInput) as error:
        build(run, out)
    assert not out.exists() and not list(out.parent.glob(f".{out.name}*"))
    return str(error.value)


def edited(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("reference", "logs"))
    return folder


def test_a_changed_run_is_refused(run: Path, tmp_path: Path) -> None:
    tampered = edited(run, tmp_path / "run")
    results = json.loads((tampered / "results.json").read_text())
    results["arms"]["dpo"]["HmR"]["value"] = 99.0
    write_json(tampered / "results.json", results)
    assert "results.json: changed after it was written" in refused(tampered, tmp_path / "record")


def test_changed_responses_are_refused(run: Path, tmp_path: Path) -> None:
    tampered = edited(run, tmp_path / "run")
    shutil.copyfile(tampered / "responses" / "base.parquet", tampered / "responses" / "dpo.parquet")
    assert "dpo.parquet: changed after it was written" in refused(tampered, tmp_path / "record")


def test_an_unfinished_run_is_refused(run: Path, tmp_path: Path) -> None:
    unfinished = edited(run, tmp_path / "run")
    (unfinished / ".stages" / "results.json").unlink()
    assert "do not record results.json; finish the run" in refused(unfinished, tmp_path / "record")
    (unfinished / ".stages" / "scores.json").write_text("{}")
    assert "scores.json: not in the form that a run writes" in refused(unfinished, tmp_path / "record")
    (unfinished / "results.json").unlink()
    assert "has no results.json" in refused(unfinished, tmp_path / "record")


def test_a_study_that_does_not_match_the_results_is_refused(run: Path, tmp_path: Path) -> None:
    other = edited(run, tmp_path / "run")
    lock = other / "study.lock.yaml"
    lock.write_text(lock.read_text().replace("harmless: 0.0", "harmless: -1.0"))
    assert "study.lock.yaml and results.json belong to different studies" in refused(other, tmp_path / "record")
    for text in (
        "study: {name: x}\nversions: {python: '3'}\nhardware: {}\n",
        "study: [",
        "versions: {python: 3.11}",
        "",
    ):
        lock.write_text(text)
        assert "study.lock.yaml: " in refused(other, tmp_path / "record")


def test_scores_changed_after_the_analysis_are_refused(analyzed: Path, tmp_path: Path) -> None:
    shutil.copyfile(analyzed / "results.json", analyzed / "scores.parquet")
    assert "scores.parquet: changed after it was written" in refused(analyzed, tmp_path / "record")
    (analyzed / "analysis.lock.yaml").unlink()
    assert "has neither study.lock.yaml nor analysis.lock.yaml" in refused(analyzed, tmp_path / "record")


def test_the_output_folder_must_be_empty(analyzed: Path, tmp_path: Path) -> None:
    out = tmp_path / "taken"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="is not empty"):
        build(analyzed, out)
    assert tree(out) == {"mine.txt": b"mine"}


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"license": "CC BY 4.0"}, "--license CC BY 4.0: not an SPDX licence identifier"),
        ({"license": "cc-by-4.0"}, "did you mean CC-BY-4.0?"),
        ({"license": "MIT OR Apache-2.0"}, "not an SPDX licence identifier"),
        ({"links": ("javascript:alert(1)",)}, "--link javascript:alert(1): not a web address"),
        ({"title": " "}, "--title: is empty"),
        ({"authors": ("",)}, "--author: is empty"),
    ],
)
def test_invalid_citations_are_refused(analyzed: Path, tmp_path: Path, stated: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as error:
        build(analyzed, tmp_path / "record", **stated)
    assert message in str(error.value)


# --- the command line -----------------------------------------------------------------------------


def test_the_build_and_show_commands(analyzed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "record")
    assert (
        main(["record", "build", str(analyzed), "--out", out, "--date", "2026-11-24", "--title", "A\x1b[2Jtitle"]) == 0
    )
    assert main(["record", "show", out, "--json"]) == 0
    output = capsys.readouterr().out
    assert "A[U+001B][2Jtitle" in output and "\x1b" not in output
    shown = json.loads(output[output.index("\n{") :])
    assert shown["depths"] == ["analysis"] and shown["gate"] is None
    assert shown["digest"] == read_record(Path(out)).digest
    assert main(["record", "build", str(analyzed), "--out", out]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["record", "build", str(analyzed), "--out", out, "--date", "2026-02-30"]) == 2
    assert "no such day: 2026-02-30" in capsys.readouterr().err


def test_show_reports_the_gates_verdict(analyzed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = build(analyzed, tmp_path / "record")
    verdict = dict.fromkeys(("label", "definition", "evaluated_at", "gate", "enforcement"), "x")
    basis = {"manifest": made.digest, "intact": True, "depth": "analysis", "claims": []}
    gate = {"contract": "gate-verdict-v1", "status": "VERIFIED", "reason": "All claims hold.", **verdict, **basis}
    write_json(made.path / "gate.json", gate)
    assert main(["record", "show", str(made.path)]) == 0
    assert "Gate: VERIFIED: All claims hold." in capsys.readouterr().out
    write_json(made.path / "gate.json", {**gate, "status": "SURE"})
    assert main(["record", "show", str(made.path)]) == 2
    assert "gate-verdict-v1" in capsys.readouterr().err


def test_a_missing_package_is_reported(
    analyzed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tarazu.record.extra as extra

    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "pypdf" else object())
    extra.require_records_extra.cache_clear()  # an earlier test may have cached the result
    assert main(["record", "build", str(analyzed), "--out", str(tmp_path / "record")]) == 2
    assert "this needs pypdf, which is not installed: pip install 'tarazu[records]'" in capsys.readouterr().err
