"""A study small enough to carry out in seconds: tiny models, invented rows, three languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tiny
import yaml


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_small_study(folder: Path, **changes: Any) -> Path:
    """A study file in `folder` with its models and data beside it; returns its path."""
    tiny.saved(tiny.opt(), folder / "model")
    tiny.saved(tiny.opt_reward(), folder / "reward")
    write_rows(
        folder / "pairs.jsonl",
        [
            {"prompt": pair.prompt, "chosen": pair.chosen.strip(), "rejected": pair.rejected.strip(), "language": "en"}
            for pair in tiny.pairs(12)
        ],
    )
    for kind in ("harmful", "benign"):
        rows = [
            {
                "prompt_id": f"{kind}-{index}",
                "language": code,
                "prompt": f"{kind} {code} {index}?",
                "good": f"good {index}",
                "bad": f"bad {index}",
            }
            for code in ("de", "en", "fr", "sw", "yo")
            for index in range(4)
        ]
        write_rows(folder / f"{kind}.jsonl", rows)
    study = {
        "name": "small",
        "seed": 3,
        "model": {"path": str(folder / "model")},
        "data": {"pairs": {"source": "jsonl", "path": str(folder / "pairs.jsonl")}},
        "prompts": {
            "harmful": [{"source": "jsonl", "path": str(folder / "harmful.jsonl")}],
            "benign": [{"source": "jsonl", "path": str(folder / "benign.jsonl")}],
        },
        "arms": {
            "base": {"method": "none"},
            "sft": {"method": "sft", "learning_rate": 1e-3, "batch_size": 4},
            "dpo": {"method": "dpo", "learning_rate": 1e-3, "batch_size": 4},
            "sft_dpo": {"method": "dpo", "from": "sft", "learning_rate": 1e-2, "batch_size": 4, "lora": {"r": 4}},
        },
        "generation": {"max_new_tokens": 8},
        "reward": {kind: {"model": str(folder / "reward"), "input": "transcript"} for kind in ("harmful", "benign")}
        | {
            "known_answers": {
                kind: [{"source": "jsonl", "path": str(folder / f"{kind}.jsonl")}] for kind in ("harmful", "benign")
            }
        },
        "thresholds": {"harmless": 0.0, "helpful": 0.0},
        "analysis": {"draws": 200},
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(study | changes, sort_keys=False), encoding="utf-8")
    return path
