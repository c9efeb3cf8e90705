"""A run and `tarazu score` stop at numbers that are not finite; what `score` writes, `analyze` reads."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tiny
from small_study import write_rows, write_small_study

from tarazu.cli import main
from tarazu.scores import read_scores

ARMS = "arms={base: {method: none}, dpo: {method: dpo, learning_rate: 1e-3, batch_size: 4}}"


def stopped(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which a command ends that exits with 2."""
    assert main(list(arguments)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "\n".join(lines)
    (line,) = [line for line in lines if line.startswith("tarazu: ")]
    return line


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = write_small_study(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "harmful.jsonl").read_text(encoding="utf-8").splitlines()]
    rows[1]["prompt"] += f" Hei{tiny.BROKEN}?"
    write_rows(tmp_path / "harmful.jsonl", rows)
    return path


def test_a_run_stops_at_the_responses(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.saved(tiny.broken(tiny.opt()), tmp_path / "model")
    line = stopped(capsys, "run", str(study), "--out", str(tmp_path / "out"), "--set", ARMS)
    assert line.startswith(
        "tarazu: arms.base: logits are not finite in float32 for the prompt harmful-1 (de, harmful); "
    )
    assert not list((tmp_path / "out" / "responses").glob("*.parquet"))
    assert not (tmp_path / "out" / "scores.parquet").exists()


def test_a_run_stops_at_the_training(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.saved(tiny.broken(tiny.opt()), tmp_path / "model")
    pair = {"prompt": "Wie?", "chosen": f"Hei{tiny.BROKEN}.", "rejected": "Kalt.", "language": "de"}
    write_rows(tmp_path / "pairs.jsonl", [pair, *({**pair, "chosen": f"Nein {i}."} for i in range(5))])
    line = stopped(capsys, "run", str(study), "--out", str(tmp_path / "out"), "--set", ARMS)
    assert line.startswith("tarazu: arms.dpo: log-probabilities are not finite in float32 for the text 'Human: Wie? ")
    assert not (tmp_path / "out" / "arms" / "dpo").exists()


def test_a_run_stops_at_the_rewards(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.saved(tiny.broken(tiny.opt_reward()), tmp_path / "reward")
    line = stopped(capsys, "run", str(study), "--out", str(tmp_path / "out"), "--set", ARMS)
    assert f"{tmp_path / 'reward'}: the reward is not a finite number" in line
    assert f"to the prompt 'harmful de 1? Hei{tiny.BROKEN}?'; the checkpoint is damaged" in line
    assert not (tmp_path / "out" / "scores.parquet").exists()


def test_a_run_stops_at_the_known_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_small_study(tmp_path)
    tiny.saved(tiny.broken(tiny.opt_reward()), tmp_path / "reward")
    known = json.loads((tmp_path / "harmful.jsonl").read_text(encoding="utf-8").splitlines()[0])
    write_rows(tmp_path / "known.jsonl", [{**known, "bad": f"Hei{tiny.BROKEN}"}])
    source = json.dumps([{"source": "jsonl", "path": str(tmp_path / "known.jsonl")}])
    line = stopped(
        capsys,
        *("run", str(study), "--out", str(tmp_path / "out")),
        *("--set", ARMS, "--set", f"reward.known_answers.harmful={source}"),
    )
    assert f"for the response 'Hei{tiny.BROKEN}' to the prompt" in line
    assert not (tmp_path / "out" / "known_answers.parquet").exists()


def response(arm: str, code: str, kind: str, prompt: int, text: str) -> dict[str, Any]:
    names = {"arm": arm, "language": code, "kind": kind, "prompt_id": f"p{prompt}", "source": "x"}
    return {**names, "prompt": f"{kind} {prompt}?", "response": text}


@pytest.mark.parametrize(
    ("scale", "told"),
    [("1e99", "check scale (1e+99) and offset (0)"), ("1", "the checkpoint is damaged")],
)
def test_score_refuses_what_analyze_would(
    scale: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_small_study(tmp_path)
    broken = tiny.opt_reward() if scale != "1" else tiny.broken(tiny.opt_reward())
    tiny.saved(broken, tmp_path / "reward")
    rows = [response("base", "de", "harmful", i, f"Hei{tiny.BROKEN}") for i in range(3)]
    write_rows(tmp_path / "responses.jsonl", rows)
    out = tmp_path / "scores.parquet"
    files = [str(tmp_path / "responses.jsonl"), "--study", str(study), "--out", str(out)]
    line = stopped(capsys, "score", *files, "--set", f"reward.harmful.scale={scale}")
    assert told in line and f"'Hei{tiny.BROKEN}'" in line
    assert not out.exists()


def random_responses(draw: random.Random) -> list[dict[str, Any]]:
    """Responses with the optional columns, spellings and texts that such tables have."""
    arms = draw.sample(["base", "dpo", "my arm", "sft@1"], draw.randrange(2, 5))
    texts = ["", " ", "Ja.", "a" * 3000, "\n\nHuman: more", "</s>", "😀", "nan"]
    named = draw.random() < 0.4
    more = draw.random() < 0.5
    rows = []
    for arm in arms:
        for code in draw.sample(["de", "en", "sw", "yo"], draw.randrange(1, 5)):
            for kind in draw.sample(["harmful", "benign"], draw.randrange(1, 3)):
                for prompt in range(draw.randrange(1, 4)):
                    row = response(arm, code, kind, prompt, draw.choice(texts))
                    row |= {"reward_model": draw.choice(["one", "two", "default"])} if named else {}
                    row |= {"tokens": 3, "finish": "eos", "shortened": draw.choice([True, "false", 0])} if more else {}
                    row |= {"reward": draw.choice([None, 1.0, "nan"]), "label": draw.choice([None, 1])} if more else {}
                    rows.append(row)
    return rows


@pytest.mark.parametrize("seed", range(12))
def test_analyze_reads_whatever_score_writes(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(seed)
    study = write_small_study(tmp_path)
    default = tiny.saved(tiny.opt_reward(2), tmp_path / "default")
    two = [{"model": model, "input": "transcript"} for model in (str(tmp_path / "reward"), default)]
    more = ["--set", f"reward.harmful={json.dumps(two)}"] if draw.random() < 0.5 else []
    write_rows(tmp_path / "responses.jsonl", random_responses(draw))
    scored = tmp_path / "scores.parquet"
    assert main(["score", str(tmp_path / "responses.jsonl"), "--study", str(study), "--out", str(scored), *more]) == 0
    read_scores(scored)
    again = tmp_path / "again.parquet"
    assert main(["score", str(scored), "--study", str(study), "--out", str(again), *more]) == 0
    assert pq.read_table(again).select(["arm", "reward", "response"]) == pq.read_table(scored).select(
        ["arm", "reward", "response"]
    )
    arms = sorted(set(pq.read_table(scored)["arm"].to_pylist()))
    options = ["--base", arms[0], "--primary", arms[1]]
    code = main(["analyze", str(scored), "--out", str(tmp_path / "out"), *options])
    assert code == 0, capsys.readouterr().err
