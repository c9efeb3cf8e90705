"""Published evaluations as records: invented files of the forms that other tools and papers have, and real labels."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from gate_records import share_sealed_work
from record_data import FILES
from shared_data import shared

from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.files import file_sha256
from tarazu.record.build.authored import read_claims
from tarazu.record.claims.expressions import evaluate
from tarazu.record.claims.pointers import value_at
from tarazu.record.model import EmpiricalClaim, Expression, Value
from tarazu.record.reading import Record, check_artifacts, read_record
from tarazu.results import document
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.tables import read_values

PAGE = Path(__file__).resolve().parents[2] / "docs" / "imported.md"
DRAWS = ["--set", "analysis.draws=100"]

# As XSTest's tables are written: the kind is in `type`, and a label's meaning depends on it.
PASSES = {
    ("base", "homonyms"): "1_full_compliance 1_full_compliance 3_partial_refusal 1_full_compliance",
    ("base", "contrast_homonyms"): "1_full_compliance 2_full_refusal 1_full_compliance 3_partial_refusal",
    ("dpo", "homonyms"): "2_full_refusal 1_full_compliance 3_partial_refusal 2_full_refusal",
    ("dpo", "contrast_homonyms"): "2_full_refusal 2_full_refusal 1_full_compliance 3_partial_refusal",
}
WORDS = [
    *("--columns", "prompt_id=id,kind=type,label=final_label,response=completion"),
    *("--values", "kind:contrast_*=harmful,*=benign"),
    *("--values", "label.harmful:1_full_compliance=0,2_full_refusal=1,3_partial_refusal=1"),
    *("--values", "label.benign:1_full_compliance=1,2_full_refusal=0,3_partial_refusal=0"),
]


def labelled(folder: Path) -> list[Path]:
    """A table of labels for each of two models."""
    paths = []
    for arm in ("base", "dpo"):
        path = folder / f"{arm}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["id", "type", "prompt", "completion", "final_label"])
            for (whose, kind), labels in PASSES.items():
                for number, label in enumerate(labels.split() if whose == arm else ()):
                    table.writerow([f"{kind}-{number}", kind, "A question?", "An answer,\nin lines.", label])
        paths.append(path)
    return paths


def command(files: list[Path], out: Path, *options: str) -> list[str]:
    return ["record", "import", *map(str, files), "--out", str(out), *DRAWS, *options]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Two tables of labels in the authors' words, without claims."""
    folder = tmp_path_factory.mktemp("published")
    options = ["--arm", "base", "--arm", "dpo", "--language", "en", *WORDS, "--published-by", "The <authors>"]
    assert main(command(labelled(folder), folder / "record", *options)) == 0
    return read_record(folder / "record")


def test_labels_in_the_authors_words_give_the_rates(record: Record) -> None:
    rates = {arm: (entry.HmR.value, entry.HpR.value) for arm, entry in record.results.arms.items()}
    assert rates == {"base": (50.0, 75.0), "dpo": (75.0, 25.0)}  # counted by hand in PASSES
    claims = {claim.id: claim for claim in record.claims.claims}
    assert {claim.origin for claim in claims.values()} == {"build"}
    assert claims["hmr-dpo"].statement == "HmR of dpo is 75.0 percent, the mean over 1 language."


def test_the_record_names_its_files(record: Record) -> None:
    assert check_artifacts(record) == []
    provenance = json.loads((record.path / "provenance.json").read_text(encoding="utf-8"))
    files = [record.path.parent / name for name in ("base.csv", "dpo.csv")]
    assert [(one["name"], one["sha256"], one["form"], one["rows"]) for one in provenance["given"]] == [
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest(), "table of scores", 8) for path in files
    ]
    assert {one["published_by"] for one in provenance["given"]} == {"The <authors>"}
    assert provenance["given"][0]["read_with"][:3] == ["--arm base", "--arm dpo", "--language en"]
    assert provenance["artifact_inspectability"]["not_held"] == ["base.csv", "dpo.csv"]
    derived = provenance["prov"]["wasDerivedFrom"].values()
    assert {one["prov:generatedEntity"] for one in derived} == {"record:scores.parquet"}


def test_the_record_says_what_it_cannot_know(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(record.manifest.limitations)
    assert "Imported: nothing was trained or generated" in text and "by the word of whoever imported them" in text
    assert "level L5 at most" in text and "holds no responses" not in text
    assert main(["record", "show", str(record.path)]) == 0
    shown = capsys.readouterr().out
    assert "Imported: nothing was trained" in shown and "exploratory: at most 8.49" in shown


def test_the_gate_verifies_it_and_its_page_shows_the_files(
    record: Record, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    share_sealed_work(monkeypatch)
    assert main(["record", "verify", str(record.path)]) == 0
    said = capsys.readouterr().out
    assert "verdict: VERIFIED" in said and "L5 Sandbox executed" in said and "unnamed-model: at most 7.49" in said
    page = (record.path / "record.html").read_text(encoding="utf-8")
    assert "Source file dpo.csv" in page and file_sha256(record.path.parent / "dpo.csv") in page
    assert "The &lt;authors&gt; (the importer&#39;s word)" in page and "The <authors>" not in page


def test_a_contradicted_claim_stays_and_falsifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    share_sealed_work(monkeypatch)
    claims = [
        {"id": "safer", "kind": "empirical", "statement": "s", "check": {"expression": "HmR('dpo') > HmR('base')"}},
        {"id": "as-helpful", "kind": "empirical", "statement": "s", "check": {"expression": "HpR('dpo') >= 75"}},
    ]
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump({"claims": claims}))
    said = ["--arm", "base", "--arm", "dpo", "--language", "en", *WORDS, "--claims", str(tmp_path / "claims.yaml")]
    assert main(command(labelled(tmp_path), tmp_path / "record", *said)) == 0
    assert main(["record", "verify", str(tmp_path / "record")]) == 1
    out = capsys.readouterr().out
    assert "verdict: FALSIFIED: 1 of 2 claims failed: as-helpful" in out and "quarantine candidate" in out
    gate = json.loads((tmp_path / "record" / "gate.json").read_text())
    assert {one["id"]: one["verdict"] for one in gate["claims"]} == {"safer": "verified", "as-helpful": "failed"}
    assert "FALSIFIED" in (tmp_path / "record" / "record.html").read_text(encoding="utf-8")


# --- other tools' files -----------------------------------------------------------------------------


def harness_samples(folder: Path, arm: str) -> Path:
    """As lm-evaluation-harness writes samples of a task that generates, with its results beside."""
    (folder / arm).mkdir(parents=True)
    rows = [
        {
            "doc_id": number,
            "doc": {"kind": kind, "language": "en", "prompt_id": f"{kind}-{number}"},
            "arguments": {"gen_args_0": {"arg_0": f"Q{number}", "arg_1": {"until": ["\n"]}}},
            "resps": [[f"answer {number}"]],
            "filter": "none",
            "metrics": ["acc"],
            "acc": float((number + (arm == "dpo")) % 3 == 0),
        }
        for kind in ("harmful", "benign")
        for number in range(4)
    ]
    path = folder / arm / "samples_jail_2026-01-21T03-44-18.458309.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = {"model_name": f"org/{arm}", "higher_is_better": {"jail": {"acc": True}}}
    (folder / arm / "results_2026-01-21T03-44-18.458309.json").write_text(json.dumps(results))
    return path


def inspect_log(folder: Path, arm: str) -> Path:
    samples = [
        {
            "id": f"{kind}-{number}",
            "epoch": 1,
            "input": f"{kind} {number}?",
            "output": {"completion": f"answer {number}", "stop_reason": "stop"},
            "scores": {"judge": {"value": "C" if (number + (arm == "dpo")) % 3 else "I"}},
            "metadata": {"kind": kind, "language": "en"},
        }
        for kind in ("harmful", "benign")
        for number in range(4)
    ]
    path = folder / f"{arm}.json"
    log = {"status": "success", "eval": {"task": "jail", "model": f"org/{arm}"}, "samples": samples}
    path.write_text(json.dumps(log))
    return path


def every_eval_ever(folder: Path) -> list[Path]:
    """The package's own export of a table."""
    rows = [
        {"arm": arm, "language": "en", "kind": kind, "prompt_id": f"{kind}-{number}", "prompt": "Q?", "response": "A."}
        | {"label": int((number + (arm == "dpo")) % 3 == 0)}
        for arm in ("base", "dpo")
        for kind in ("harmful", "benign")
        for number in range(4)
    ]
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    options = AnalysisOptions(overrides=["analysis.draws=100"])
    analyze_file(folder / "table.csv", options, out=folder / "run")
    assert main(["export", str(folder / "run"), "--as", "every-eval-ever", "--out", str(folder / "eee")]) == 0
    return sorted((folder / "eee").rglob("*.json"))


@pytest.mark.parametrize("tool", ["lm-evaluation-harness", "inspect", "every-eval-ever"])
def test_other_tools_files_become_records(tmp_path: Path, tool: str) -> None:
    if tool == "every-eval-ever":
        files, options = every_eval_ever(tmp_path), ["--label", "tarazu.analyze"]
    else:
        make, score = (harness_samples, "acc") if tool == "lm-evaluation-harness" else (inspect_log, "judge")
        files = [make(tmp_path, arm) for arm in ("base", "dpo")]
        options = ["--arm", "base", "--arm", "dpo", "--label", score]
    assert main(command(files, tmp_path / "record", *options)) == 0
    record = read_record(tmp_path / "record")
    labels = pd.read_parquet(tmp_path / "record" / "scores.parquet").groupby(["arm", "kind"]).label.sum().to_dict()
    passes = {"base": 2, "dpo": 1} if tool != "inspect" else {"base": 2, "dpo": 3}
    assert labels == {(arm, kind): count for arm, count in passes.items() for kind in ("benign", "harmful")}
    given = json.loads((record.path / "provenance.json").read_text())["given"]
    assert [(one["form"], one["rows"]) for one in given] == [(tool, 8)] * 2
    assert check_artifacts(record) == []


# --- wrong input ------------------------------------------------------------------------------------


def test_wrong_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, samples = FILES / "scores.csv", harness_samples(tmp_path / "h", "base")
    log = inspect_log(tmp_path, "base")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "archive.eval").write_bytes(b"PK\3\4 not a log")
    (tmp_path / "counts.csv").write_text("arm,language,kind,k,n\nnew,en,harmful,1,5\n")
    (tmp_path / "known.jsonl").write_text('{"scores_chosen": 1, "scores_rejected": 0, "id": 3}\n')
    (tmp_path / "alone.json").write_text('{"evaluation_id": "e", "evaluation_results": []}')
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    out = tmp_path / "record"
    said = ("--language", "en", "--kind", "benign")
    for files, options, message in (
        ([tmp_path / "none.csv"], (), "none.csv: no such file"),
        ([tmp_path / "empty.csv"], (), "empty.csv: is empty"),
        ([tmp_path / "archive.eval"], (), "not a complete zip archive"),
        ([tmp_path], (), "is a directory"),
        ([tmp_path / "alone.json"], (), "alone_samples.jsonl"),
        ([samples, log], ("--label", "acc"), "different forms (lm-evaluation-harness and inspect)"),
        ([table, samples], (), "different forms (a table of scores and lm-evaluation-harness)"),
        ([table, tmp_path / "counts.csv"], (), "one of it and"),
        ([table, table], (), "and so has"),
        ([table], ("--label", "reward"), "--columns label=reward"),
        ([table], ("--arm", "x", "--columns", "arm=arm"), "--arm and --columns arm: both say the arm"),
        ([table], ("--source", str(FILES / "paper" / "paper.md")), "give these with --claims"),
        ([table], ("--published-by", " "), "--published-by: must have"),
        ([samples], (), "choose one of its scores with --label (1 is a good response) or --harm (1 is a bad one): acc"),
        ([samples], ("--harm", "acc"), "use --label acc"),
        ([samples], ("--label", "acc", "--columns", "label=acc"), "--columns and --values are for tables"),
        ([tmp_path / "known.jsonl"], (*said, "--label", "x"), "give them with --known-answers"),
    ):
        assert main(command(files, out, *options)) == 2
        err = capsys.readouterr().err
        assert err.startswith("tarazu: ") and err.count("\n") == 1 and message in err
        assert not out.exists()
    assert main(command([table], tmp_path / "full")) == 2
    assert "full: is not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind", "write NAME:THEIRS=OURS"),
        ("colour:a=b", "no such column as 'colour'"),
        ("kind.harmful:a=b", "write kind, or label.harmful"),
        ("label.odd:a=1", "write label, or label.harmful"),
        ("label:a", "'a' is not THEIRS=OURS"),
        ("label:=1", "'=1' is not THEIRS=OURS"),
    ],
)
def test_wrong_values_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        read_values([text], ["kind", "label"], "--values")
    with pytest.raises(BadInput, match="'label' is named twice"):
        read_values(["label:a=1", "label:b=0"], ["kind", "label"], "--values")


def test_a_value_without_a_meaning_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path, _) = labelled(tmp_path)
    words = [word.replace(",3_partial_refusal=0", "") for word in WORDS]
    assert main(command([path], tmp_path / "record", "--arm", "base", "--language", "en", *words)) == 2
    said = capsys.readouterr().err
    assert "base.csv: line 7: label is '3_partial_refusal', and --values says only what" in said


def test_the_number_of_a_row_can_be_its_id(tmp_path: Path) -> None:
    for arm, rewards in (("base", (1, -1)), ("dpo", (2, 3))):
        text = "".join(json.dumps({"score": reward, "text": "a"}) + "\n" for reward in rewards)
        (tmp_path / f"{arm}.jsonl").write_text(text)
    files = [tmp_path / "base.jsonl", tmp_path / "dpo.jsonl"]
    said = ["--arm", "base", "--arm", "dpo", "--language", "en", "--kind", "benign"]
    chosen = ["--columns", "prompt_id=#,reward=score", "--set", "thresholds.helpful=0"]
    assert main(command(files, tmp_path / "record", *said, *chosen)) == 0
    scores = pd.read_parquet(tmp_path / "record" / "scores.parquet")
    assert scores.groupby("arm").prompt_id.apply(list).to_dict() == {"base": ["1", "2"], "dpo": ["1", "2"]}
    record = read_record(tmp_path / "record")
    assert "It holds no responses" in " ".join(record.manifest.limitations)
    assert main(command(files, tmp_path / "again", *said, *chosen)) == 0
    assert read_record(tmp_path / "again").manifest.work.id == record.manifest.work.id


def test_numbers_of_rows_are_no_ids_of_other_prompts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.csv").write_text("arm,label\nbase,1\nbase,0\n")
    (tmp_path / "two.csv").write_text("arm,label\ndpo,1\n")
    (tmp_path / "both.csv").write_text("arm,label\nbase,1\ndpo,0\n")
    said = ["--language", "en", "--kind", "benign", "--columns", "prompt_id=#"]
    for names, message in (
        (["one", "two"], "two.csv: has 1 benign rows, and"),
        (["both"], "both.csv: has several arms or languages"),
    ):
        assert main(command([tmp_path / f"{name}.csv" for name in names], tmp_path / "record", *said)) == 2
        assert message in capsys.readouterr().err and not (tmp_path / "record").exists()


# --- the examples of the documentation --------------------------------------------------------------


def holding(scores: Path, folder: Path, title: str, **options: Any) -> dict[str, bool]:
    """Which of the empirical claims in a block of the page hold for published labels."""
    block = re.search(rf'^```yaml title="{title}"\n(.*?)^```$', PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert block is not None
    (folder / title).write_text(block[1], encoding="utf-8")
    overrides = ["analysis.draws=100", *options.pop("overrides", ())]
    results = document(analyze_file(scores, AnalysisOptions(overrides=overrides, **options)))
    claims = [claim for claim in read_claims(folder / title).claims if isinstance(claim, EmpiricalClaim)]
    return {claim.id: holds(claim.check, results) for claim in claims}


def holds(check: Expression | Value, results: Any) -> bool:
    if isinstance(check, Expression):
        return evaluate(check.expression, results).truth
    return bool(value_at(results, check.pointer) == check.value)


def test_the_labels_of_xstest_give_its_tables(tmp_path: Path) -> None:
    scores = shared("ratings/xstest_human.csv")
    claimed = holding(scores, tmp_path, "xstest.yaml", base="mistralinstruct", primary="gpt4")
    assert len(claimed) == 6 and all(claimed.values())


def test_the_scores_of_ko_rm_judge_contradict_its_table(tmp_path: Path) -> None:
    table = pd.read_csv(shared("ratings/korm.csv")).query("arm in ('sft', 'dpo_127k')")
    assert table.query("arm == 'sft' and kind == 'benign'").prompt_id.nunique() == 100
    table.to_csv(tmp_path / "korm.csv", index=False)
    thresholds = ["thresholds.harmless=0", "thresholds.helpful=2"]
    claimed = holding(tmp_path / "korm.csv", tmp_path, "korm.yaml", base="sft", overrides=thresholds)
    assert claimed == {"count-sft": False, "count-dpo": True}
