"""Put real pretrained models through a small study, in each prompt format that they have.

    python scripts/fetch_real_models.py build/real-models
    python scripts/try_real_models.py build/real-models --out build/real-studies

Each study trains one arm by DPO on sixteen pairs, asks two harmful and two benign prompts in five languages, and scores
the responses with the demo's reward model, which is a toy: what counts here is that each step handles the model as it
should. Every response is compared with transformers' own generate for that prompt alone.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tarazu.progress import Progress
from tarazu.run.pipeline import run
from tarazu.study import load_study

BUDGET = 32
ARMS = ("base", "dpo")


def write_study(path: Path, checkpoint: Path, prompt_format: str) -> None:
    judge = {"model": "builtin:reward", "input": "transcript", "max_length": 256}
    study = {
        "name": f"{checkpoint.name}-{prompt_format}",
        "seed": 1,
        "model": {"path": str(checkpoint.resolve())},
        "data": {"pairs": {"source": "parallel", "limit": 16}},
        "prompts": {kind: [{"source": "parallel", "limit": 2}] for kind in ("harmful", "benign")},
        "languages": ["en", "fr", "hi", "sw", "yo"],
        "arms": {
            "base": {"method": "none"},
            "dpo": {"method": "dpo", "learning_rate": 2e-5, "batch_size": 8, "max_length": 512},
        },
        "generation": {"max_new_tokens": BUDGET, "prompt_format": prompt_format},
        "reward": {"harmful": judge, "benign": judge},
        "analysis": {"draws": 100},
    }
    path.write_text(json.dumps(study, indent=2), encoding="utf-8")


@torch.no_grad()
def plain_answer(model: Any, tokenizer: Any, prompt: str, prompt_format: str) -> str:
    """What transformers generates for one prompt, without Tarazu."""
    if prompt_format == "chat_template":
        chat = [{"role": "user", "content": prompt}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=False)
    else:
        ids = tokenizer(f"\n\nHuman: {prompt}\n\nAssistant:", return_tensors="pt")["input_ids"]
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=BUDGET, do_sample=False)
    text = str(tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True))
    return text.partition("\n\nHuman:")[0].strip()


def compare(folder: Path, prompt_format: str) -> Counter[str]:
    """Count the responses of a run that equal those of plain transformers."""
    counts: Counter[str] = Counter()
    for arm in ARMS:
        model = AutoModelForCausalLM.from_pretrained(folder / "arms" / arm, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder / "arms" / arm)
        for row in pq.read_table(folder / "responses" / f"{arm}.parquet").to_pylist():
            expected = plain_answer(model, tokenizer, row["prompt"], prompt_format)
            counts["equal" if row["response"].strip() == expected else "different"] += 1
            counts[f"ended: {row['finish']}"] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="the folder of checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="the folder for studies and runs")
    options = parser.parse_args()
    for checkpoint in sorted(options.models.iterdir()):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        for prompt_format in ("opt", *(["chat_template"] if tokenizer.chat_template else [])):
            folder = options.out / f"{checkpoint.name}-{prompt_format}"
            folder.mkdir(parents=True, exist_ok=True)
            write_study(folder / "study.yaml", checkpoint, prompt_format)
            loaded = load_study(str(folder / "study.yaml"))
            results = run(loaded, folder / "run", fresh=False, progress=Progress())
            print(f"{folder.name}: {dict(compare(folder / 'run', prompt_format))}")
            print(f"{folder.name}: {results.sentence}")
            for row in pq.read_table(folder / "run" / "scores.parquet").to_pylist():
                print(f"  {row['arm']} {row['language']} {row['kind']}: {row['prompt']!r} -> {row['response']!r}")


if __name__ == "__main__":
    main()
