"""Preference pairs as token ids, cut the way the field cuts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tarazu.data.rows import PreferencePair


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPair:
    """Token ids of one pair: the prompt, and the two answers that follow it, each with its end token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


def tokenize_pairs(
    pairs: Sequence[PreferencePair], tokenizer: Any, *, max_length: int, ended: bool = True
) -> tuple[list[TokenPair], dict[str, int]]:
    """Token ids of each pair, and counts of what truncation did.

    1. The prompt alone, and the prompt with each answer and (if `ended`) the end token, are tokenized with the
       tokenizer's own special tokens; the answer begins where the tokens of the two first differ from the prompt's
       (TRL's rule).
    2. Prompt and answer together keep their first `max_length` tokens.
    3. A pair whose prompt fills `max_length` has nothing left to learn from and is dropped.

    Counts: `answers truncated`, `prompt fills max_length`, `prompt end merged with the answer`; the first two also by
    language (`answers truncated in sw`) where there are several.
    """
    several = len({pair.language for pair in pairs}) > 1
    counts: Counter[str] = Counter()
    end = tokenizer.eos_token if ended else ""
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
    """How many leading tokens two sequences share."""
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return length
