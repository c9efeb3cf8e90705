"""Converts preference pairs into token ids, with the usual truncation rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tarazu.data.rows import PreferencePair


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPair:
    """Token ids of one pair: the prompt and the two answers that follow it."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


def tokenize_pairs(
    pairs: Sequence[PreferencePair], tokenizer: Any, *, max_length: int, add_end_token: bool = True
) -> tuple[list[TokenPair], dict[str, int]]:
    """Token ids of each pair, and counts of truncated pairs.

    1. Tokenize the prompt, and the prompt with each answer and (if `add_end_token`) the end token, with the tokenizer's
       special tokens. The answers begin at the first token where either text differs from the prompt (TRL's rule).
    2. Keep the first `max_length` tokens of prompt and answer together.
    3. Drop a pair whose prompt fills `max_length`, because none of its answers would remain.

    Counts: `answers truncated`, `prompt fills max_length`, `prompt end merged with the answer`. With several languages
    the first two are also counted for each language (`answers truncated in sw`).
    """
    several = len({pair.language for pair in pairs}) > 1
    counts: Counter[str] = Counter()
    end = tokenizer.eos_token if add_end_token else ""
    prompts = tokenizer([pair.prompt for pair in pairs])["input_ids"] if pairs else []
    chosen = tokenizer([pair.prompt + pair.chosen + end for pair in pairs])["input_ids"] if pairs else []
    rejected = tokenizer([pair.prompt + pair.rejected + end for pair in pairs])["input_ids"] if pairs else []
    rows: list[TokenPair] = []
    for pair, prompt_ids, chosen_ids, rejected_ids in zip(pairs, prompts, chosen, rejected, strict=True):
        names = ("", f" in {pair.language or 'an unknown language'}") if several else ("",)
        start = min(common_prefix(prompt_ids, chosen_ids), common_prefix(prompt_ids, rejected_ids))
        counts["prompt end merged with the answer"] += start < len(prompt_ids)
        if start >= max_length:
            counts.update(f"prompt fills max_length{name}" for name in names)
            continue
        for name in names:
            counts[f"answers truncated{name}"] += (len(chosen_ids) > max_length) + (len(rejected_ids) > max_length)
        rows.append(
            TokenPair(
                prompt=prompt_ids[:start],
                chosen=chosen_ids[start:max_length],
                rejected=rejected_ids[start:max_length],
            )
        )
    return rows, {name: count for name, count in sorted(counts.items()) if count}


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """The number of leading tokens that two sequences share."""
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return length
