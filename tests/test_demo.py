"""The demo, whole, as a user runs it: it learns, it fits, and it says first what it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from shared_data import shared

from tarazu.data._parallel_set import read_parallel
from tarazu.run.inputs import read_inputs
from tarazu.study import load_study

MODELS = Path(str(files("tarazu").joinpath("models")))


# Carries a command out in a process of its own, and writes the KiB that it took at the most.
MEASURED = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "tarazu", *sys.argv[2:]])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(done.returncode)
"""


def run_study(out: Path, *arguments: str, environment: dict[str, str] | None = None) -> tuple[str, str, dict[str, Any]]:
    """`tarazu run` in a process of its own: standard output, standard error, results."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(out.with_suffix(".kib")), "run", *arguments, "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, json.loads((out / "results.json").read_text(encoding="utf-8"))


def check_demo(out: Path, *arguments: str) -> dict[str, Any]:
    """SFT+DPO ends at least 20 points of CAS over base on prompts that no training row contains."""
    printed, err, results = run_study(out, "demo", *arguments)
    arms = results["arms"]
    gain = arms["sft_dpo"]["CAS"]["value"] - arms["base"]["CAS"]["value"]
    assert gain >= 20, {arm: rates["CAS"]["value"] for arm, rates in arms.items()}
    assert all(arms["sft"]["languages"][code]["HmR"]["n"] >= 12 for code in arms["sft"]["languages"])
    # The toy is announced before anything else, in the terminal and in the answer.
    caution = load_study("demo").study.caution
    assert err.startswith(caution[:60])
    assert results["sentence"].startswith(caution[:60])
    assert caution[:60] in printed
    assert int(out.with_suffix(".kib").read_text()) < 2 * 2**20
    assert (out / "report.html").stat().st_size > 100_000
    return {group: set(codes) for group, codes in results["groups"].items()}


def test_the_demo_learns(tmp_path: Path) -> None:
    """In ten languages, from a fifth of the pairs, with steps that are the longer for it."""
    languages = ("en", "de", "ar", "zh", "bn", "sw", "yo", "th", "jv", "wo")
    settings = [f"languages=[{', '.join(languages)}]", "data.pairs.limit=160"]
    settings += ["arms.sft.learning_rate=1e-3", "arms.dpo.learning_rate=3e-4", "arms.sft_dpo.learning_rate=1e-4"]
    groups = check_demo(tmp_path / "demo", *(word for setting in settings for word in ("--set", setting)))
    assert groups["high"] | groups["low"] == set(languages)


@pytest.mark.proof
def test_the_complete_demo_learns(tmp_path: Path) -> None:
    groups = check_demo(tmp_path / "demo")
    assert (len(groups["high"]), len(groups["low"])) == (20, 30)


def test_the_demo_asks_in_fifty_languages() -> None:
    study = load_study("demo").study
    prompts = read_inputs(study).prompts
    counts = Counter((one.language, one.kind) for one in prompts)
    assert {one.kind for one in prompts} == {"harmful", "benign"}
    assert len(counts) == 2 * 50
    assert min(counts.values()) >= 12
    groups = Counter(study.groups.of(code) for code in {one.language for one in prompts})
    assert groups == {"high": 20, "low": 30}


def test_what_is_evaluated_is_not_trained_on() -> None:
    for code, rows in read_parallel(None).items():
        train = {row.prompt for row in rows if row.split == "train"}
        test = {row.prompt for row in rows if row.split == "test"}
        assert not train & test, code
        for kind in ("harmful", "benign"):
            assert sum(row.kind == kind and row.split == "test" for row in rows) >= 12


@pytest.mark.parametrize("name", ["base", "reward"])
def test_shipped_models_are_safetensors_and_small(name: str) -> None:
    with safe_open(MODELS / name / "model.safetensors", framework="numpy") as weights:
        parameters = sum(weights.get_tensor(key).size for key in weights.keys())  # noqa: SIM118
    assert 2e6 < parameters < 5e6
    assert not [item for item in (MODELS / name).iterdir() if item.suffix in (".bin", ".pt", ".pkl")]
    assert sum(item.stat().st_size for item in MODELS.rglob("*") if item.is_file()) < 20 * 2**20


def test_hh_local_on_real_files(tmp_path: Path) -> None:
    """Real HH-RLHF, MultiJail and XTREME-R files, with fewer rows than the study's own."""
    root = shared("hh-rlhf").parent
    fewer = ["data.pairs.limit=32", "generation.max_new_tokens=8"]
    fewer += [f"prompts.benign.{index}.limit=2" for index in range(3)] + ["prompts.harmful.0.limit=2"]
    fewer += [f"reward.known_answers.benign.{index}.limit=4" for index in range(3)]
    settings = [word for setting in fewer for word in ("--set", setting)]
    _, _, results = run_study(tmp_path / "run", "hh-local", *settings, environment={"TARAZU_DATA": str(root)})
    with_harmful = {code for code, rates in results["arms"]["dpo"]["languages"].items() if rates["HmR"]["n"]}
    assert with_harmful == {"en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv"}
    assert len(results["arms"]["dpo"]["languages"]) >= 49
    assert "trains on test rows" in results["sentence"]
    assert set(results["tradeoff"]["languages"]["included"]) <= with_harmful
    assert (tmp_path / "run" / "report.html").exists()
