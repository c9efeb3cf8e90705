"""gemma3 and smollm2 run from start to end, with tiny local models and files of the published formats, invented."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from test_big_studies import gz_rows, hh_row, write_multijail

from tarazu.progress import Progress
from tarazu.results import document
from tarazu.run.pipeline import run
from tarazu.study import load_study

CHAT = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}</s>{% endfor %}assistant: "


def write_polyrefuse(folder: Path) -> None:
    folder.mkdir()
    for kind in ("harmful", "harmless"):
        for code in ("en", "fr", "th"):
            rows = [{"instruction": f"{kind} {n}", "instruction_translated": f"{code} {kind} {n}"} for n in range(4)]
            with gzip.open(folder / f"{kind}.{code}.json.gz", "wt", encoding="utf-8") as stream:
                json.dump(rows, stream)


@pytest.mark.parametrize("name", ["gemma3", "smollm2"])
def test_a_study_of_a_real_model_runs(name: str, tmp_path: Path) -> None:
    checkpoint = tiny.saved(tiny.llama(), tmp_path / "model")
    if name == "smollm2":
        (Path(checkpoint) / "chat_template.jinja").write_text(CHAT)
    data = tmp_path / "data"
    rows = [hh_row(f"Question {n}?", f"a kind answer {n}", f"no {n}") for n in range(12)]
    gz_rows(data / "hh-rlhf" / "harmless-base.test.jsonl.gz", rows)
    (data / "multijail").mkdir()
    write_multijail(data / "multijail" / "multijail.csv")
    write_polyrefuse(data / "polyrefuse")
    loaded = load_study(
        name,
        [
            f"model.path={checkpoint}",
            f"reward.train.from={checkpoint}",
            f"data.root={data}",
            "languages=[en, fr, sw, th]",
            "data.pairs.parts.1.limit=8",
            "reward.train.pairs.parts.1.limit=8",
            "prompts.harmful.0.limit=2",
            "prompts.benign.0.limit=2",
            "generation.max_new_tokens=4",
            "reward.known_answers.harmful.0.limit=2",
            "reward.known_answers.benign.0.limit=2",
            "analysis.draws=100",
        ],
    )
    with (tmp_path / "log").open("w") as log:
        results: dict[str, Any] = document(run(loaded, tmp_path / "run", fresh=False, progress=Progress(log)))
    assert set(results["arms"]) == {"base", "sft", "dpo", "sft_dpo"}
    # Each language has the prompts of the sources that it is in; only the parallel set, which all have, decides D.
    counts = {
        code: (rates["HmR"]["n"], rates["HpR"]["n"]) for code, rates in results["arms"]["dpo"]["languages"].items()
    }
    assert counts == {"en": (2 + 6 + 4, 2 + 4), "fr": (2 + 4, 2 + 4), "sw": (2 + 6, 2), "th": (2 + 6 + 4, 2 + 4)}
    assert results["tradeoff"]["sources"] == {"harmful": ["parallel"], "benign": ["parallel"]}
    assert "machine-authored" in results["sentence"]
    assert (tmp_path / "run" / "report.html").exists()
