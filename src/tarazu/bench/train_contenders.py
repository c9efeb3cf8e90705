"""One contender of `tarazu bench train`, in a separate process: python -m tarazu.bench.train_contenders NAME WORK OUT.

The time is from texts to a trained model: tokenization, the reference pass and all steps. Imports and loading the model
are excluded. Memory is the peak of the process, which includes both.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tarazu.bench.models import SEED
from tarazu.bench.results import AttentionTimes, Skipped, TrainingMeasurement
from tarazu.bench.subprocesses import peak_memory
from tarazu.bench.train import LEARNING_RATE, PER_STEP, TrainingWork
from tarazu.study.schema import LoRA

LORA = LoRA(r=8, alpha=16, dropout=0.0)  # as in the source study, but without dropout


def _ours(work: TrainingWork, method: str) -> TrainingMeasurement:
    from tarazu.align import checkpoints
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.align.train import train, train_reward_model
    from tarazu.align.trainer import TrainingRun
    from tarazu.conversation.formats import Format
    from tarazu.data.rows import PreferencePair
    from tarazu.study.schema import DPOArm, RewardTraining, SFTArm

    folder = str(Path(work.folder) / "model")
    tokenizer = checkpoints.load_tokenizer(folder, key="model")
    settings = {
        "learning_rate": LEARNING_RATE[method],
        "batch_size": PER_STEP,
        "max_length": work.max_length,
        "model_dropout": 0.0,
        "lora": LORA if work.lora else None,
    }
    training = TrainingRun(pad_id=tokenizer.pad_token_id, seed=SEED, progress=lambda *_: None, use_bf16=work.use_bf16)
    rows = [
        PreferencePair(
            prompt_id=str(index),
            language=None,
            source="bench",
            prompt=row["prompt"],
            chosen=row["chosen"],
            rejected=row["rejected"],
        )
        for index, row in enumerate(_rows(work))
    ]
    if method == "reward":
        model = checkpoints.load_reward_start(folder, key="model", seed=SEED)
        model.config.pad_token_id = tokenizer.pad_token_id
    else:
        model = checkpoints.load_causal_lm(folder, key="model")

    def run() -> list[float]:
        pairs, _ = tokenize_pairs(rows, Format(tokenizer), max_length=work.max_length)
        if method == "reward":
            reward_settings = RewardTraining.model_validate({"from": folder, "centre": 0.0, **settings})
            _, curve = train_reward_model(model, pairs, reward_settings, training, centre=0.0)
        else:
            arm = (DPOArm if method == "dpo" else SFTArm).model_validate({"method": method, **settings})
            _, curve = train(model, pairs, arm, training)
        return [row["loss"] for row in curve]

    return _timed(work, run, len(rows), method)


def _trl_reward(work: TrainingWork) -> TrainingMeasurement:
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    from tarazu.align import checkpoints

    folder = str(Path(work.folder) / "model")
    tokenizer = checkpoints.load_tokenizer(folder, key="model")
    model = checkpoints.load_reward_start(folder, key="model", seed=SEED)
    rows = [
        {"chosen": row["prompt"] + row["chosen"], "rejected": row["prompt"] + row["rejected"]}
        for row in _in_order(work, "reward")
    ]

    def run() -> list[float]:
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(**_common(work, "reward")),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=_adapter(work),
        )
        trainer.train()
        return [row["loss"] for row in trainer.state.log_history if "loss" in row]

    return _timed(work, run, len(rows), "reward")


def _trl_dpo(work: TrainingWork) -> TrainingMeasurement:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    model, tokenizer = _load(work)
    rows = _in_order(work, "dpo")

    def run() -> list[float]:
        trainer = DPOTrainer(
            model=model,
            args=DPOConfig(**_common(work, "dpo"), precompute_ref_log_probs=work.precompute),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=_adapter(work),
        )
        trainer.train()
        return [row["loss"] for row in trainer.state.log_history if "loss" in row]

    return _timed(work, run, len(rows), "dpo")


def _trl_sft(work: TrainingWork, packing: bool) -> TrainingMeasurement:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = _load(work)
    rows = [{"text": row["prompt"] + row["chosen"]} for row in _in_order(work, "sft")]
    common = _common(work, "sft")
    if packing:
        # Choose the number of packed rows per step that has the same number of tokens.
        tokens = [min(work.max_length, len(ids) + 1) for ids in tokenizer([row["text"] for row in rows])["input_ids"]]
        per_row = work.max_length / (sum(tokens) / len(tokens))
        common |= {"per_device_train_batch_size": max(1, round(PER_STEP / per_row))}

    def run() -> list[float]:
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(**common, packing=packing, dataset_text_field="text"),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=_adapter(work),
        )
        trainer.train()
        return [row["loss"] for row in trainer.state.log_history if "loss" in row]

    return _timed(work, run, len(rows), "sft")


def _adapter(work: TrainingWork) -> Any:
    from peft import LoraConfig

    if not work.lora:
        return None
    return LoraConfig(r=LORA.r, lora_alpha=LORA.alpha, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


def _load(work: TrainingWork) -> tuple[Any, Any]:
    import torch
    import transformers

    folder = Path(work.folder) / "model"
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def _rows(work: TrainingWork) -> list[dict[str, str]]:
    lines = (Path(work.folder) / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[: work.steps * PER_STEP]]


def _in_order(work: TrainingWork, method: str) -> list[dict[str, str]]:
    """The rows in the order of Tarazu's schedule, which TRL then keeps."""
    from tarazu.align.rows.schedule import StepSize, schedule

    rows = _rows(work)
    plan = schedule(
        [1] * len(rows), [1] * len(rows), StepSize(documents=PER_STEP, row_tokens=PER_STEP), epochs=1, seed=SEED
    )
    return [rows[index] for step in plan.steps for row in step for index in row.documents]


def _common(work: TrainingWork, method: str) -> dict[str, Any]:
    return {
        "output_dir": str(Path(work.folder) / "trl"),
        "per_device_train_batch_size": work.batch_size,
        "gradient_accumulation_steps": PER_STEP // work.batch_size,
        "max_length": work.max_length,
        "learning_rate": LEARNING_RATE[method],
        "num_train_epochs": 1,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "bf16": work.use_bf16,
        "gradient_checkpointing": False,
        "use_cpu": not work.use_cuda,
        "seed": SEED,
    }


def _timed(work: TrainingWork, run: Callable[[], list[float]], count: int, method: str) -> TrainingMeasurement:
    """Time the training on `count` pairs, or sequences for sft. `run` returns the losses."""
    import torch

    from tarazu.align.flops import matmul_peak

    cuda = work.use_cuda
    device = torch.device("cuda" if cuda else "cpu")
    dtype = torch.bfloat16 if work.use_bf16 else torch.float32
    before = matmul_peak(device, dtype, seconds=1.0)
    began = time.perf_counter()
    losses = run()
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    after = matmul_peak(device, dtype, seconds=1.0)
    memory = torch.cuda.max_memory_allocated() if cuda else peak_memory()
    return TrainingMeasurement(
        pairs_per_s=None if method == "sft" else count / seconds,
        sequences_per_s=count / seconds if method == "sft" else None,
        seconds=seconds,
        peak_memory_mib=memory / 2**20,
        losses=tuple(losses),
        matmul_gflops=max(before, after) / 1e9,
    )


def _attention(work: TrainingWork) -> AttentionTimes:
    """Tarazu's attention kernels on the row of the first step."""
    import torch
    import transformers

    from tarazu.align import checkpoints
    from tarazu.align.rows.documents import documents_of
    from tarazu.align.rows.packing import pack
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.bench.attention import AttentionShape, measure_attention
    from tarazu.conversation.formats import Format
    from tarazu.data.rows import PreferencePair
    from tarazu.study.schema import DPOArm

    folder = Path(work.folder) / "model"
    config = transformers.AutoConfig.from_pretrained(folder)
    rows = [
        PreferencePair(
            prompt_id=str(index),
            language=None,
            source="bench",
            prompt=row["prompt"],
            chosen=row["chosen"],
            rejected=row["rejected"],
        )
        for index, row in enumerate(_in_order(work, "dpo")[:PER_STEP])
    ]
    tokenizer = checkpoints.load_tokenizer(str(folder), key="model")
    pairs, _ = tokenize_pairs(rows, Format(tokenizer), max_length=work.max_length)
    shape = AttentionShape(
        heads=config.num_attention_heads,
        key_heads=getattr(config, "num_key_value_heads", config.num_attention_heads),
        width=config.hidden_size // config.num_attention_heads,
        layers=config.num_hidden_layers,
    )
    return measure_attention(
        pack(documents_of(pairs, DPOArm(method="dpo")))["layout"],
        shape,
        device=torch.device("cuda" if work.use_cuda else "cpu"),
        dtype=torch.bfloat16 if work.use_bf16 else torch.float32,
    )


RUN: dict[str, Callable[[TrainingWork], TrainingMeasurement | AttentionTimes]] = {
    "tarazu_dpo": lambda work: _ours(work, "dpo"),
    "trl_dpo_default": _trl_dpo,
    "trl_dpo_best": _trl_dpo,
    "tarazu_sft": lambda work: _ours(work, "sft"),
    "trl_sft_default": lambda work: _trl_sft(work, packing=False),
    "trl_sft_packed": lambda work: _trl_sft(work, packing=True),
    "tarazu_reward": lambda work: _ours(work, "reward"),
    "trl_reward_default": _trl_reward,
    "attention": _attention,
}


def main(name: str, work: TrainingWork, out: Path) -> None:
    missing = [package for package in ("trl", "datasets") if name.startswith("trl") and find_spec(package) is None]
    with tempfile.TemporaryDirectory() as cache:
        # Do not reuse what an earlier contender has cached.
        os.environ["HF_DATASETS_CACHE"] = cache
        result = (
            Skipped(skipped=f"{missing[0]} is not installed: pip install 'tarazu[bench]'")
            if missing
            else RUN[name](work)
        )
    out.write_text(result.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], TrainingWork(**json.loads(sys.argv[2])), Path(sys.argv[3]))
