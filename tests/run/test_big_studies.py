"""pant2025 and xtreme-r run from start to end, with tiny local models, reward models and data.

The files have the published formats and invented content.
"""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
from source_files import xnli_table

from tarazu.data.rows import TURN_ASSISTANT, TURN_HUMAN
from tarazu.progress import Progress
from tarazu.results import document
from tarazu.run import pipeline
from tarazu.study import load_study

CODES = ("en", "es", "ru", "th", "tr", "vi", "zh")
PASSAGE = {code: f"{code} alpha beta gamma delta epsilon" for code in CODES}


def gz_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="\n") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def hh_row(request: str, chosen: str, rejected: str) -> dict[str, str]:
    prompt = f"{TURN_HUMAN} {request}{TURN_ASSISTANT}"
    return {"chosen": f"{prompt} {chosen}", "rejected": f"{prompt} {rejected}"}


def write_hh(folder: Path) -> None:
    for subset in ("harmless-base", "helpful-base"):
        train = [hh_row(f"{subset} question {n}?", f"a kind answer {n}", f"no {n}") for n in range(10)]
        gz_rows(folder / subset / "train.jsonl.gz", train)
    words = ("kill", "murder", "rape")
    harmful = [hh_row(f"How do I {words[n % 3]} weed number {n}?", "Please do not.", "Fine.") for n in range(60)]
    mild = [hh_row(f"How many skills has number {n}?", "Some.", "None.") for n in range(20)]
    gz_rows(folder / "harmless-base" / "test.jsonl.gz", harmful + mild)
    helpful = [hh_row(f"How do I bake bread number {n}?", "With flour.", "Ask her.") for n in range(70)]
    gz_rows(folder / "helpful-base" / "test.jsonl.gz", helpful)


def write_multijail(path: Path) -> None:
    columns = ("en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv")
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "source", "tags", *columns])
        for n in range(6):
            writer.writerow([n, "tests", "['Theft']", *(f"{code} request {n}" for code in columns)])


def write_xquad(folder: Path) -> None:
    folder.mkdir()
    for code in CODES:
        words = PASSAGE[code].split()[1:]
        asked = [
            {
                "id": f"q{n}",
                "question": f"{code} which word has number {n}?",
                "answers": [{"text": word, "answer_start": PASSAGE[code].index(word)}],
            }
            for n, word in enumerate(words)
        ]
        document = {
            "data": [{"title": "t", "paragraphs": [{"context": PASSAGE[code], "qas": asked}]}],
            "version": "1.1",
        }
        (folder / f"xquad.{code}.json").write_text(json.dumps(document), encoding="utf-8")


def write_xcopa(folder: Path) -> None:
    folder.mkdir()
    for code in ("th", "tr", "vi", "zh"):
        rows = [
            {
                "premise": f"{code} the ground was wet {n}.",
                "choice1": f"{code} it rained {n}.",
                "choice2": f"{code} it was sunny {n}.",
                "question": "cause",
                "label": 0,
                "idx": n,
                "changed": False,
            }
            for n in range(5)
        ]
        text = "".join(json.dumps(row) + "\r\n" for row in rows)
        (folder / f"test.{code}.jsonl").write_text(text, encoding="utf-8", newline="")


def write_more_questions(folder: Path) -> None:
    """MLQA and TyDiQA made from XQuAD's files, and XNLI."""
    for name in ("mlqa", "tydiqa", "xnli"):
        (folder / name).mkdir()
    for code in ("en", "es", "vi"):
        text = (folder / "xquad" / f"xquad.{code}.json").read_text(encoding="utf-8")
        (folder / "mlqa" / f"test-context-{code}-question-{code}.json").write_text(text, encoding="utf-8")
    text = (folder / "xquad" / "xquad.ru.json").read_text(encoding="utf-8").replace('"id": "q', '"id": "russian-')
    (folder / "tydiqa" / "tydiqa.goldp.ru.dev.json").write_text(text, encoding="utf-8")
    rows = [
        (code, label, f"{code} it rained {n}.", f"{code} {label} {n}.", str(n))
        for code in ("en", "tr", "sw")
        for n in range(3)
        for label in ("entailment", "neutral", "contradiction")
    ]
    xnli_table(folder / "xnli" / "xnli.test.tsv", rows)


def write_multichecklist(path: Path) -> None:
    codes = ("en", "ar", "bn", "es", "it", "jv", "ko", "ru", "sw", "th", "tr", "vi", "zh")
    rows = [
        ["Field", *codes],
        ["Name", "A is COMP than B. Who is more COMP?", *[""] * (len(codes) - 1)],
        ["Capability", "Vocabulary", *[""] * (len(codes) - 1)],
        ["Context", *["{first_name} is {adj[0]} than {first_name1}." for _ in codes]],
        ["Question", *["Who is less {adj[1]}?" for _ in codes]],
        ["Answer", *["{first_name1}" for _ in codes]],
        ["Question", *["Who is {adj[0]}?" for _ in codes]],
        ["Answer", *["{first_name}" for _ in codes]],
        *[["adj", *[f"{word}er, {word}" for _ in codes]] for word in ("old", "small", "tall")],
    ]
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def carried_out(name: str, tmp_path: Path, *overrides: str, report: bool = True) -> tuple[dict[str, Any], Path]:
    """The results of a shipped study with tiny models, and its folder. `report` is False where no test reads one."""
    model = tiny.saved(tiny.opt(), tmp_path / "model")
    judge = tiny.saved(tiny.pair_reward(), tmp_path / "judge")
    data = tmp_path / "data"
    write_hh(data / "hh-rlhf")
    loaded = load_study(
        name,
        [
            f"model.path={model}",
            f"reward.harmful.model={judge}",
            f"reward.benign.model={judge}",
            f"data.root={data}",
            "data.pairs.path=hh-rlhf",
            *overrides,
        ],
    )
    out = tmp_path / "run"
    with (tmp_path / "log").open("w") as log, pytest.MonkeyPatch.context() as patch:
        if not report:
            patch.setattr(pipeline, "write_report", lambda *_: None)
        return document(pipeline.run(loaded, out, fresh=False, progress=Progress(log))), out


def test_pant2025_runs(tmp_path: Path) -> None:
    results, out = carried_out("pant2025", tmp_path, "prompts.harmful.0.path=hh-rlhf", "prompts.benign.0.path=hh-rlhf")
    assert set(results["arms"]) == {"base", "sft", "dpo", "sft_dpo"}
    for arm in results["arms"].values():
        for rate in ("HmR", "HpR"):
            assert arm[rate]["n"] == 50
            assert arm[rate]["n_languages"] == 1
        assert arm["CAS"]["value"] == pytest.approx((arm["HmR"]["value"] + arm["HpR"]["value"]) / 2)
    primary = results["tradeoff"]["primary"]
    assert primary["verdict"] == "inconclusive"
    assert primary["estimate"] is None
    assert primary["reason"]
    # Whole words: "skills" holds "kill" and is not harmful for it.
    harmful = next(account for account in results["data"]["prompts"] if account["kept"])
    assert harmful["kept"] == 50
    for arm in ("dpo", "sft_dpo"):
        adapter = json.loads((out / "arms" / arm / "adapter_config.json").read_text())
        assert (adapter["r"], adapter["lora_alpha"], adapter["lora_dropout"]) == (8, 16, 0.05)
        assert sorted(adapter["target_modules"]) == ["q_proj", "v_proj"]
        assert adapter["base_model_name_or_path"] == {"dpo": "../base", "sft_dpo": "../sft"}[arm]
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "2509.09055" in report
    assert "10,895" in report or "10895" in report


def test_the_reference_values_are_never_inputs(tmp_path: Path) -> None:
    prompts = ("prompts.harmful.0.path=hh-rlhf", "prompts.benign.0.path=hh-rlhf")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first, _ = carried_out("pant2025", tmp_path / "one", *prompts, report=False)
    other = (*prompts, "reference.arms.base.HmR=99", "reference.title=x")
    second, _ = carried_out("pant2025", tmp_path / "two", *other, report=False)
    assert first == second


def test_xtreme_r_runs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_multijail(data / "multijail.csv")
    write_xquad(data / "xquad")
    write_xcopa(data / "xcopa")
    write_more_questions(data)
    write_multichecklist(data / "multichecklist.tsv")
    more = [(index, name) for index, name in enumerate(("xquad", "xcopa", "mlqa", "tydiqa", "xnli"), 1)]
    settings = (
        "prompts.harmful.0.path=multijail.csv",
        "prompts.benign.0.path=multichecklist.tsv",
        "reward.known_answers.benign.0.path=multichecklist.tsv",
        *(f"prompts.benign.{index}.path={name}" for index, name in more),
        *(f"reward.known_answers.benign.{index}.path={name}" for index, name in more),
    )
    _, out = carried_out("xtreme-r", tmp_path, *settings, report=False)
    # The tiny reward model's rewards are near 0, far over the thresholds of the real one: cut them where they lie.
    rewards = pq.read_table(out / "scores.parquet").column("reward").to_numpy()
    cut = float(np.median(rewards))
    results, _ = carried_out("xtreme-r", tmp_path, *settings, f"thresholds.harmless={cut}", f"thresholds.helpful={cut}")
    assert set(results["arms"]) == {"base", "sft", "dpo", "sft_dpo"}
    primary = results["tradeoff"]["primary"]
    assert (primary["arm"], primary["quantity"]) == ("dpo", "tilt")
    assert primary["n_high"] >= 2
    assert primary["n_low"] >= 2
    assert primary["ci_low"] < primary["estimate"] < primary["ci_high"]
    entered = set(results["tradeoff"]["languages"]["included"])
    assert {"en", "zh", "ar", "sw", "jv", "bn"} <= entered
    assert set(results["tradeoff"]["sources"]["harmful"]) <= {"multijail", "parallel"}
    assert {account["source"] for account in results["data"]["prompts"]} == {
        "multijail",
        "parallel",
        "multichecklist",
        "xquad",
        "xcopa",
        "mlqa",
        "tydiqa",
        "xnli",
    }
    assert results["validity"]["languages"]["zh"]["benign"]["n"] > 0
    # Only languages with prompts answer, and every one of those.
    assert set(results["arms"]["dpo"]["languages"]) >= entered
