"""Families of models in the shapes that are published: each runs through a study, and training, responses and rewards
agree with plain transformers, one row at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import families
import pyarrow.parquet as pq
import pytest
import torch
from families import FAMILIES, Family
from small_study import write_rows
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tarazu.progress import Progress
from tarazu.run.pipeline import run
from tarazu.study import load_study

BUDGET = 24
LLAMA, QWEN = FAMILIES["llama 3"], FAMILIES["qwen 3"]

SHAPES: dict[str, Family] = FAMILIES | {
    "the tokenizer ends each text": replace(LLAMA, adds="both"),
    "the tokenizer ends each text and begins none": replace(QWEN, adds="eos"),
    "padding is the end token": replace(QWEN, padding="<|im_end|>"),
    "no template": replace(LLAMA, template=None),
    "no template, the tokenizer ends each text": replace(LLAMA, template=None, adds="both"),
}


def write_study(folder: Path, family: Family) -> Path:
    """Two arms: the checkpoint, and the checkpoint after SFT on all pairs in one batch."""
    families.write_policy(family, folder / "policy")
    families.write_judge(family, folder / "judge")
    rows = [{"prompt": f"Say {word}", "chosen": word, "rejected": f"no {word}", "language": "en"} for word in WORDS]
    write_rows(folder / "pairs.jsonl", rows)
    for kind in ("harmful", "benign"):
        prompts = [
            {"prompt_id": f"{kind}-{word}", "language": code, "prompt": f"{kind} {word} in {code}?"}
            for code in ("en", "sw")
            for word in WORDS
        ]
        write_rows(folder / f"{kind}.jsonl", prompts)
    chat = family.template is not None
    judge = {"model": str(folder / "judge"), "input": "chat_template" if chat else "transcript"}
    training = {"method": "sft", "learning_rate": 1e-4, "batch_size": len(WORDS)}
    study = {
        "name": "family",
        "seed": 5,
        "model": {"path": str(folder / "policy")},
        "data": {"pairs": {"source": "jsonl", "path": str(folder / "pairs.jsonl")}},
        "prompts": {k: [{"source": "jsonl", "path": str(folder / f"{k}.jsonl")}] for k in ("harmful", "benign")},
        "languages": ["en", "sw"],
        "arms": {"base": {"method": "none"}, "dpo": training},
        "generation": {"max_new_tokens": BUDGET, "prompt_format": "chat_template" if chat else "opt"},
        "reward": {"harmful": judge, "benign": judge},
        "analysis": {"draws": 100},
    }
    path = folder / "study.yaml"
    path.write_text(json.dumps(study), encoding="utf-8")  # JSON is YAML
    return path


WORDS = ("rice", "water", "a long green house", "song", "door")


def prompt_ids(tokenizer: Any, family: Family, text: str) -> list[int]:
    """What the model reads, by transformers' own template, or HH's transcript; no end token behind it."""
    if family.template is not None:
        chat = [{"role": "user", "content": text}]
        return list(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False))
    ids = list(tokenizer(f"\n\nHuman: {text}\n\nAssistant:")["input_ids"])
    return ids[:-1] if family.adds in ("eos", "both") else ids


@torch.no_grad()
def answer(model: Any, tokenizer: Any, family: Family, text: str) -> str:
    """transformers' generate, for one prompt, up to any of the ends."""
    ids = torch.tensor([prompt_ids(tokenizer, family, text)])
    ends = [tokenizer.convert_tokens_to_ids(token) for token in family.ends]
    made = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=BUDGET,
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=ends[0],
    )
    text = tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    return str(text.partition("\n\nHuman:")[0].strip())


@torch.no_grad()
def reward(model: Any, tokenizer: Any, family: Family, prompt: str, response: str) -> float:
    """The head on the hidden state of the last token of an unpadded row."""
    if family.template is not None:
        chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        ids = tokenizer.apply_chat_template(chat, return_dict=False)
    else:
        ids = tokenizer(f"\n\nHuman: {prompt}\n\nAssistant: {response}")["input_ids"]
    hidden = model.base_model(torch.tensor([list(ids)])).last_hidden_state
    return float(model.score(hidden[:, -1])[0, 0])


@torch.no_grad()
def loss(model: Any, tokenizer: Any, family: Family) -> float:
    """The mean over tokens, each text alone: of the answers with their ends, or of complete transcripts where there is
    no template."""
    total, count = 0.0, 0
    for word in WORDS:
        prompt = prompt_ids(tokenizer, family, f"Say {word}")
        if family.template is not None:
            chat = [{"role": "user", "content": f"Say {word}"}, {"role": "assistant", "content": word}]
            ids = list(tokenizer.apply_chat_template(chat, return_dict=False))
        else:
            ids = list(tokenizer(f"\n\nHuman: Say {word}\n\nAssistant: {word}")["input_ids"])
            ids += [] if family.adds in ("eos", "both") else [tokenizer.eos_token_id]
        assert ids[: len(prompt)] == prompt
        start = len(prompt) if family.template is not None else 1
        logits = model(torch.tensor([ids])).logits[0, start - 1 : -1]
        total -= float(logits.log_softmax(-1).gather(1, torch.tensor(ids[start:])[:, None]).sum())
        count += len(ids) - start
    return total / count


@pytest.mark.parametrize("name", SHAPES)
def test_losses_responses_and_rewards_are_those_of_plain_transformers(name: str, tmp_path: Path) -> None:
    family = SHAPES[name]
    run(load_study(str(write_study(tmp_path, family))), tmp_path / "run", fresh=False, progress=Progress())
    own = AutoTokenizer.from_pretrained(tmp_path / "policy")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "policy").eval()
    first = json.loads(
        (tmp_path / "run" / "arms" / "dpo" / "training.jsonl").read_text(encoding="utf-8").splitlines()[0]
    )
    assert first["loss"] == pytest.approx(loss(base, own, family), rel=1e-5)
    judge = AutoModelForSequenceClassification.from_pretrained(tmp_path / "judge").eval()
    rows = pq.read_table(tmp_path / "run" / "scores.parquet").to_pylist()
    assert len(rows) == 2 * 2 * 2 * len(WORDS)
    for arm in ("base", "dpo"):
        folder = tmp_path / "run" / "arms" / arm
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        for row in rows:
            if row["arm"] != arm:
                continue
            assert row["response"].strip() == answer(model, own, family, row["prompt"]), (arm, row["prompt"])
            expected = reward(judge, own, family, row["prompt"], row["response"])
            assert row["reward"] == pytest.approx(expected, abs=1e-4, rel=1e-4), (arm, row["prompt"])
