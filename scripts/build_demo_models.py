"""Build the two demo models of the package from the shipped parallel set only.

    python scripts/build_demo_models.py            (`make demo-models`; about 25 minutes on one core)

1. A byte-level BPE tokenizer, trained on the set's train split.
2. `builtin:base`: an OPT of 3.4 million parameters, trained on the train split with a good or a bad answer to each
   request, so that it answers in fifty languages but is not aligned.
3. `builtin:reward`: an OPT with a reward head, started from the base and trained by Bradley-Terry on good against bad
   answers and against answers that are good for another request.

Requests of the test split are never read. The models are toys: they know only the wording of these requests.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import transformers
from transformers import (
    OPTConfig,
    OPTForCausalLM,
    OPTForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from tarazu.align.tokens import TokenPair, tokenize_pairs
from tarazu.align.train import train, train_reward_model
from tarazu.align.trainer import TrainingRun
from tarazu.bench.tokenizer import WORDS_WITH_MARKS, train_tokenizer
from tarazu.conversation.formats import Format
from tarazu.data._parallel_set import ParallelRow, read_parallel
from tarazu.data.rows import PreferencePair, as_transcript
from tarazu.files import atomic_directory
from tarazu.progress import Progress
from tarazu.study.schema import SFTArm, Training

SEED = 20260
VOCABULARY = 8192
POSITIONS = 256
SHARE_GOOD = 0.35  # of the base's training answers: it must know good answers without preferring them
DRAWS = 4

OUT = Path(__file__).resolve().parent.parent / "src" / "tarazu" / "models"


def train_rows() -> dict[str, list[ParallelRow]]:
    """The train split, by language."""
    return {code: [row for row in rows if row.split == "train"] for code, rows in read_parallel(None).items()}


def configuration(**changes: object) -> OPTConfig:
    return OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        word_embed_proj_dim=192,
        num_hidden_layers=4,
        num_attention_heads=6,
        ffn_dim=768,
        max_position_embeddings=POSITIONS,
        dropout=0.1,
        pad_token_id=1,
        bos_token_id=2,
        eos_token_id=2,
        **changes,
    )


def pair(language: str, row: ParallelRow, chosen: str, rejected: str) -> PreferencePair:
    return PreferencePair(
        prompt_id=row.id,
        language=language,
        source="parallel",
        prompt=as_transcript(row.prompt),
        chosen=f" {chosen}",
        rejected=f" {rejected}",
    )


def base_pairs(rows: dict[str, list[ParallelRow]], generator: np.random.Generator) -> list[PreferencePair]:
    """Each request DRAWS times, with a good answer in SHARE_GOOD of the draws and a bad one otherwise. The base then
    cannot memorise which request gets which answer, and learns to produce both kinds."""
    pairs = []
    for code, items in rows.items():
        for row in items * DRAWS:
            answers = (row.good, row.bad) if generator.random() < SHARE_GOOD else (row.bad, row.good)
            pairs.append(pair(code, row, *answers))
    return pairs


def reward_pairs(rows: dict[str, list[ParallelRow]], generator: np.random.Generator) -> list[PreferencePair]:
    """The good answer against each of these: the bad answer, answers to another request, an empty, a truncated and a
    looping answer, and the good answer in another language."""
    codes = list(rows)
    pairs = []
    for code, items in rows.items():
        other_kind = {kind: [item for item in items if item.kind != kind] for kind in ("harmful", "benign")}
        for index, row in enumerate(items):
            pairs.append(pair(code, row, row.good, row.bad))
            pairs.append(pair(code, row, row.good, _pick(other_kind[row.kind], generator).good))
            pairs.append(pair(code, row, row.good, _pick(other_kind[row.kind], generator).bad))
            same_kind = [item for item in items if item.kind == row.kind and item.category != row.category]
            pairs.append(pair(code, row, row.good, _pick(same_kind, generator).good))
            pairs.append(pair(code, row, row.good, _pick(same_kind, generator).bad))
            stranger = codes[generator.integers(len(codes))]
            words = row.good.split(" ")
            spoiled = [
                "",
                " ".join(words[: max(1, len(words) // 4)]),
                " ".join([*words[: len(words) // 2], *([words[len(words) // 2 - 1]] * 8)]),
                rows[stranger][index].good if stranger != code else rows[stranger][index].bad,
            ]
            pairs.append(pair(code, row, row.good, spoiled[generator.integers(len(spoiled))]))
    return pairs


def _pick(items: list[ParallelRow], generator: np.random.Generator) -> ParallelRow:
    return items[generator.integers(len(items))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="folder for base/ and reward/ (default: the package's)")
    parser.add_argument("--base-epochs", type=float, default=5)
    parser.add_argument("--reward-epochs", type=float, default=1)
    arguments = parser.parse_args()

    transformers.set_seed(SEED)
    generator = np.random.default_rng(SEED)
    progress = Progress()
    rows = train_rows()
    everything = [item for items in rows.values() for item in items]
    tokenizer = train_tokenizer(
        (f"{as_transcript(r.prompt)} {answer}" for r in everything for answer in (r.good, r.bad)),
        vocabulary=VOCABULARY,
        model_max_length=POSITIONS,
        words=WORDS_WITH_MARKS,
    )

    progress.stage("base")
    model = OPTForCausalLM(configuration())
    settings = SFTArm(
        method="sft",
        epochs=arguments.base_epochs,
        learning_rate=2e-3,
        batch_size=32,
        warmup_ratio=0.05,
        schedule="cosine",
        weight_decay=0.05,
        max_length=POSITIONS,
    )
    tokens = tokens_of(base_pairs(rows, generator), tokenizer)
    training = TrainingRun(pad_id=1, seed=SEED, progress=progress.update)
    model, curve = train(model, tokens, settings, training)
    write(model, tokenizer, arguments.out / "base")
    progress.done(f"{model.num_parameters():,} parameters, loss {curve[-1]['loss']:.3f}")

    progress.stage("reward")
    judge = OPTForSequenceClassification(configuration(num_labels=1))
    judge.model.load_state_dict(model.model.state_dict())
    # Without the end token, because responses are scored as texts at their last word.
    tokens = tokens_of(reward_pairs(rows, generator), tokenizer, add_end_token=False)
    settings_reward = Training(
        epochs=arguments.reward_epochs,
        learning_rate=5e-4,
        batch_size=32,
        warmup_ratio=0.05,
        schedule="cosine",
        weight_decay=0.05,
        max_length=POSITIONS,
        model_dropout=0.0,
    )
    judge, curve = train_reward_model(judge, tokens, settings_reward, training, centre=0.02)
    write(judge, tokenizer, arguments.out / "reward")
    progress.done(f"{judge.num_parameters():,} parameters, accuracy {curve[-1]['reward_accuracy']:.3f}")


def tokens_of(
    pairs: list[PreferencePair], tokenizer: PreTrainedTokenizerFast, *, add_end_token: bool = True
) -> list[TokenPair]:
    tokens, counts = tokenize_pairs(pairs, Format(tokenizer), max_length=POSITIONS, add_end_token=add_end_token)
    print(f"{len(pairs)} pairs, {sum(len(t.prompt) + len(t.chosen) for t in tokens)} tokens, {counts}")
    return tokens


def write(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write in half precision, which halves the size on disk. The demo loads the model as float32."""
    with atomic_directory(folder) as temporary:
        model.half().save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    model.float()


if __name__ == "__main__":
    main()
