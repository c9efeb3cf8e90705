"""The command line: help, exit codes, one line for bad input, and nothing left behind."""

from __future__ import annotations

import gc
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_up_scores import LANGUAGES, random_rows, write_csv

from tarazu.cli import main
from tarazu.commands import output
from tarazu.commands.bench import TrainOptions
from tarazu.errors import BadInput
from tarazu.study import load_study

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("run", "plan", "analyze", "score", "import", "export", "languages")

BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} must not be imported here")
sys.meta_path.insert(0, Blocker())
from tarazu.cli import main
sys.exit(main({arguments!r}))
"""
HEAVY = ("torch", "transformers", "datasets", "pandas", "peft", "accelerate", "trl", "statsmodels")


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "scores.csv", random_rows(arms=("base", "dpo", "sft")))


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], *words: str) -> None:
    """Exit code 2 and one line on stderr that holds the words."""
    code, out, err = run(*arguments, capsys=capsys)
    assert code == 2, (out, err)
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("tarazu: ")
    for word in words:
        assert word in err, err


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = BLOCKER.format(blocked=(*HEAVY, "scipy", "matplotlib", "pyarrow"), arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: tarazu" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            [],
            "Missing command (commands: run, plan, preregister, compare, analyze, score, label, pool, import, ",
        ),
        (["rum"], "No such command 'rum'. Did you mean 'run'?"),
        (["--verion"], "No such option: --verion (Possible options: --version)"),
        (["run", "a", "b"], "unexpected extra argument"),
        (["run", "--fersh"], "No such option: --fersh (Possible options: --fresh)"),
        (["run", "--executor"], "Option '--executor' requires an argument"),
        (["run", "--executor", "cloud"], "'--executor': must be one of local, ray, not 'cloud'"),
        (["run", "--report-to", "paper"], "'--report-to': no tracker 'paper'; choose from tensorboard, wandb"),
        (["run", "--fresh=yes"], "Option '--fresh' does not take a value"),
        (["run", "a\nb", "--bad\nline"], "No such option"),
        (["plan"], "Missing argument 'STUDY'"),
        (["analyze"], "Missing argument 'SCORES'"),
        (["score", "r.csv", "--out", "s.parquet"], "Missing option '--study'"),
        (["import", "a.eval"], "Missing option '--out'"),
        (["export", "r", "--out", "o"], "Missing option '--as'"),
        (
            ["export", "r", "--as", "helm", "--out", "o"],
            "'--as': must be one of model-index, every-eval-ever, latex, ",
        ),
        (["bench"], "Missing command (commands: train, generate, analyze)"),
        (["bench", "train", "--steps", "0"], "'--steps': must be a whole number from 1, not '0'"),
        (["bench", "train", "--steps", "²"], "'--steps': must be a whole number from 1, not '²'"),
        (["bench", "train", "--shape", "7b"], "'--shape': must be one of 45m, opt-350m, smollm2, not '7b'"),
        (["bench", "train", "--prompt-tokens", "9-3"], "'--prompt-tokens': must be LOW-HIGH, for example 0-64"),
        (["bench", "train", "--prompt-tokens", "²-³"], "'--prompt-tokens': must be LOW-HIGH, for example 0-64"),
        (["bench", "analyze", "--draws", "1e9"], "'--draws': must be a whole number from 1, not '1e9'"),
        (["record", "mend"], "No such command 'mend'"),
        (["record", "build", "r", "--out", "o", "--date", "2026-13-01"], "'--date': no such day: 2026-13-01"),
        (["record", "build", "r", "--out", "o", "--date", "May"], "'--date': must be a date such as"),
        (["record", "import", "s.csv", "--claims", "c"], "Missing option '--out'"),
        (["record", "verify", "r", "--depth", "deep"], "'--depth': must be one of analysis, responses, training"),
        (["record", "verify", "r", "--digest", "abc"], "'--digest': must be sha256: and 64 hex digits, not 'abc'"),
        (["record", "correct", "r", "--note", "n", "--type", "CLAM"], "'--type': must be one of METADATA, ARTIFACT"),
        (["record", "correct", "r", "--type", "CLAIM", "--note", "n", "--replace", "a"], "must be PATH=FILE, not 'a'"),
        (["site", "serve", "s", "--port", "99999"], "'--port': must be a port from 1 to 65535, not '99999'"),
    ],
)
def test_wrong_arguments_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    code, out, err = run(*arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert err.startswith("tarazu") and err.count("\n") == 1, err
    assert words in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["analyze", "x" * 5000],
        ["analyze", "missing", "--study", "x" * 5000],
        ["plan", "x" * 5000],
        ["record", "show", "x" * 5000],
        ["site", "serve", "missing"],
    ],
)
def test_what_the_system_refuses_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    refused(capsys, arguments)


def test_a_file_name_may_be_no_text(tmp_path: Path) -> None:
    name = str(tmp_path / os.fsdecode(b"\xff.jsonl"))
    done = subprocess.run(
        [sys.executable, "-m", "tarazu", "languages", "--check", name],
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "\\udcff.jsonl: error (file)" in done.stdout


def test_a_command_gets_the_defaults_and_the_values_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the options that were declared otherwise before: parsed texts, lists, and options that are shared."""
    seen: list[Any] = []
    monkeypatch.setattr("tarazu.bench.train.bench_train", lambda bench, progress: seen.append(bench) or {})
    monkeypatch.setattr("tarazu.bench.train_text.bench_text", lambda result: "")
    assert main(["bench", "train"]) == 0
    assert seen[-1] == TrainOptions()
    given = ["--steps", "3", "--prompt-tokens", "0-64", "--only", "a,b", "--lora", "--shape", "opt-350m"]
    given += ["--pairs", "p.jsonl", "--model", "m"]
    assert main(["bench", "train", *given]) == 0
    assert seen[-1] == TrainOptions(
        shape="opt-350m",
        model="m",
        pairs=Path("p.jsonl"),
        steps=3,
        prompt_tokens=(0, 64),
        lora=True,
        only=("a", "b"),
    )

    def correct(record: Path, **given: Any) -> Any:
        seen.append(given)
        raise BadInput("stop")

    monkeypatch.setattr("tarazu.record.corrections.correct", correct)
    arguments = ["record", "correct", "r", "--type", "CLAIM", "--note", "n"]
    assert main(arguments) == 2
    assert seen[-1] == {"kind": "CLAIM", "note": "n", "fields": [], "replace": {}}
    assert main([*arguments, "--field", "a", "--field", "b", "--replace", "x=y", "--replace", "z=a=b"]) == 2
    assert seen[-1]["fields"] == ["a", "b"]
    assert seen[-1]["replace"] == {"x": Path("y"), "z": Path("a=b")}


def test_analyze_needs_no_torch(scores: Path, tmp_path: Path) -> None:
    code = BLOCKER.format(blocked=HEAVY, arguments=["analyze", str(scores), "--out", str(tmp_path / "out")])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = {"results.json", "report.html", "scores.parquet", "analysis.lock.yaml"}
    assert {item.name for item in (tmp_path / "out").iterdir()} == written


def test_models_are_imported_without_collections_of_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once per process: what a library's user has allocated since is not kept for ever."""
    done: list[tuple[str, bool]] = []
    monkeypatch.setattr(output, "import_module", lambda name: done.append((name, gc.isenabled())))
    monkeypatch.setattr(gc, "freeze", lambda: done.append(("freeze", gc.isenabled())))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    output.import_models()
    assert done == [("tarazu.align.checkpoints", False), ("freeze", False)]
    assert gc.isenabled()
    monkeypatch.setitem(sys.modules, "torch", gc)
    output.import_models()
    assert len(done) == 2


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    code = BLOCKER.format(blocked=("torch",), arguments=["run", "demo", "--out", str(tmp_path / "run")]).replace(
        "raise ImportError", "return None or None #"
    )
    hide = (
        "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'torch' else f(n, *a)\n"
    )
    done = subprocess.run([sys.executable, "-c", hide + code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'tarazu[models]'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/write_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_analyze_prints_answer_table_and_json(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("analyze", str(scores), "--set", "analysis.draws=200", capsys=capsys)
    assert code == 0
    assert "Inconclusive" in out
    assert re.search(r"^sft_?\S* +\d", out, re.MULTILINE)
    code, out, _ = run("analyze", str(scores), "--json", "--out", str(tmp_path / "out"), capsys=capsys)
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))


def test_analyze_again_gives_the_same_bytes(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for _ in range(2):
        assert run("analyze", str(scores), "--out", str(tmp_path / "out"), capsys=capsys)[0] == 0
        seen.append({item.name: item.read_bytes() for item in (tmp_path / "out").iterdir()})
    assert seen[0] == seen[1]


def test_analyze_with_a_study_takes_its_settings(scores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("analyze", str(scores), "--study", "demo", "--json", capsys=capsys)
    results = json.loads(out)
    assert code == 0
    assert results["thresholds"] == load_study("demo").study.thresholds.model_dump()
    assert results["study"]["caution"]


def test_analyze_finds_the_only_other_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "s.csv", random_rows(arms=("before", "after")))
    code, out, _ = run("analyze", str(path), "--base", "before", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out)["primary_arm"] == "after"


def test_analyze_takes_known_answers(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = tmp_path / "known.csv"
    rows = [f"{code},{kind},1.5,{-1 - i}" for code in LANGUAGES for kind in ("harmful", "benign") for i in range(12)]
    known.write_text("\n".join(["language,kind,reward_good,reward_bad", *rows]) + "\n")
    out = tmp_path / "out"
    assert main(["analyze", str(scores), "--known-answers", str(known), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ruler"]["status"] != "unassessed"
    assert found["validity"]["languages"]["sw"]["harmful"]["accuracy"] == 100
    assert "known answers" in (out / "report.html").read_text(encoding="utf-8")
    lock = yaml.safe_load((out / "analysis.lock.yaml").read_text(encoding="utf-8"))
    assert [given["name"] for given in lock["given"]] == ["scores.csv", "known.csv"]
    assert lock["study"]["thresholds"] == {"harmless": -3.0, "helpful": -2.0}
    assert set(lock["outputs"]) == {"results.json", "scores.parquet", "known_answers.parquet"}
    assert lock["outputs"]["results.json"] == hashlib.sha256((out / "results.json").read_bytes()).hexdigest()
    # An analysis without known answers leaves none from before.
    assert main(["analyze", str(scores), "--out", str(out)]) == 0
    assert not (out / "known_answers.parquet").exists()
    capsys.readouterr()
    known.write_text("language,kind,reward_good,reward_bad\nsw,harmful,one,2\n")
    assert main(["analyze", str(scores), "--known-answers", str(known)]) == 2
    assert f"{known}: line 2: reward_good must be a finite number" in capsys.readouterr().err


def test_analyze_refuses(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = str(scores)
    refused(capsys, ["analyze", str(tmp_path / "none.csv")], "none.csv")
    refused(capsys, ["analyze", table, "--base", "start"], "base arm 'start' has no scores", "base, dpo, sft")
    refused(capsys, ["analyze", table, "--primary", "base"], "--primary base")
    refused(capsys, ["analyze", table, "--set", "arms.dpo.beta=1"], "without --study only")
    refused(capsys, ["analyze", table, "--set", "thresholds.harmles=1"], "did you mean 'harmless'")
    refused(capsys, ["analyze", table, "--set", "thresholds.harmless=.nan"], "thresholds.harmless")
    refused(capsys, ["analyze", table, "--study", "dmo"], "did you mean 'demo'")
    extra = write_csv(tmp_path / "extra.csv", random_rows(arms=("base", "dpo", "ppo")))
    refused(capsys, ["analyze", str(extra), "--study", "demo"], "declares no arm 'ppo'", "sft_dpo")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["extra.csv", "scores.csv"]


def test_analyze_leaves_foreign_folders_alone(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "run"
    other.mkdir()
    (other / "study.lock.yaml").write_text("study: {name: demo}\n")
    refused(capsys, ["analyze", str(scores), "--out", str(other)], "choose another --out")
    assert [item.name for item in other.iterdir()] == ["study.lock.yaml"]
    refused(capsys, ["analyze", str(scores), "--out", str(scores)], "is a file")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name: x\nmodle: {}\n", ["line 2", "did you mean 'model'"]),
        ("name: [x\n", ["not valid YAML"]),
        ("", ["empty"]),
        ("- a\n", ["a mapping"]),
        ("name: x\nname: y\n", ["line 2", "duplicate key"]),
    ],
)
def test_run_refuses_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, words: list[str]
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(content, encoding="utf-8")
    refused(capsys, ["run", str(path), "--out", str(tmp_path / "run")], *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("seed=-1", ["seed"]),
        ("seed=many", ["seed"]),
        ("arms.dpo.bta=0.1", ["did you mean 'beta'"]),
        ("arms.dpo.from=nowhere/model", ["arms.dpo.from"]),
        ("languages=[en, xx]", ["'xx'"]),
        ("prompts.harmful.0.path=nowhere", ["nowhere"]),
        ("model.path=./nowhere", ["model.path"]),
    ],
)
def test_run_refuses_a_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, words: list[str]
) -> None:
    code, _, err = run("run", "demo", "--set", setting, "--out", str(tmp_path / "run"), capsys=capsys)
    assert code == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith("tarazu: ")
    assert "Traceback" not in err
    for word in words:
        assert word in last
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("p.jsonl", b'{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt": \n', ["line 2"]),
        ("p.jsonl", b'{"prompt": "a", "chosen": "b"}\n', ["line 1", "rejected"]),
        ("p.jsonl", b'{"prompt": "\xff", "chosen": "b", "rejected": "c"}\n', ["UTF-8"]),
        ("p.jsonl", b"", ["p.jsonl"]),
        (
            "p.jsonl.gz",
            gzip.compress(b'{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 50, mtime=0)[:-12],
            ["p.jsonl.gz", "truncated"],
        ),
    ],
)
def test_run_refuses_broken_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes, words: list[str]
) -> None:
    (tmp_path / name).write_bytes(data)
    pairs = json.dumps({"source": "jsonl", "path": str(tmp_path / name)})
    code, _, err = run("run", "demo", "--set", f"data.pairs={pairs}", "--out", str(tmp_path / "run"), capsys=capsys)
    assert code == 2
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    for word in (name, *words):
        assert word in last, last
    assert not (tmp_path / "run").exists()


def test_languages_lists_fifty(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("languages", capsys=capsys)
    assert code == 0
    assert "50 languages" in out
    code, out, _ = run("languages", "--json", capsys=capsys)
    assert len(json.loads(out)) == 50


def test_languages_checks_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = ROOT / "src" / "tarazu" / "data" / "parallel"
    code, out, _ = run("languages", "--check", str(shipped), capsys=capsys)
    assert (code, "no errors" in out) == (0, True), out
    for item in ("index.csv", "en.jsonl", "sw.jsonl"):
        (tmp_path / item).write_bytes((shipped / item).read_bytes())
    rows = (tmp_path / "sw.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "sw.jsonl").write_text("\n".join(rows[:-1]) + "\n", encoding="utf-8")
    code, out, _ = run("languages", "--check", str(tmp_path), capsys=capsys)
    assert code == 1
    assert "sw.jsonl: error (ids): has no row" in out
    code, out, _ = run("languages", "--check", str(tmp_path), "--json", capsys=capsys)
    assert code == 1
    files = {Path(entry["path"]).name: entry for entry in json.loads(out)["files"]}
    assert [problem["level"] for problem in files["sw.jsonl"]["problems"]] == ["error"]
    assert files["en.jsonl"]["problems"] == []


def test_a_closed_pipe_is_no_error(scores: Path) -> None:
    done = subprocess.run(
        f'"{sys.executable}" -m tarazu analyze "{scores}" --json | head -c 1',
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert done.stderr == ""
