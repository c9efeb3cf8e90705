"""Converts preference pairs into token ids, with the usual truncation rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tarazu.conversation.formats import Format, common_prefix, conversation
from tarazu.data.rows import PreferencePair


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPair:
    """Token ids of one pair: the prompt and the two answers that follow it.

    `written` says of each token of prompt and chosen answer whether the model writes it, in any turn, where that is
    known.
    """

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    written: list[bool] | None = None


def tokenize_pairs(
    pairs: Sequence[PreferencePair],
    form: Format,
    *,
    max_length: int,
    add_end_token: bool = True,
    by_turns: bool = False,
) -> tuple[list[TokenPair], dict[str, int]]:
    """Token ids of each pair in a format, and counts of truncated pairs.

    1. Tokenize the prompt, and the prompt with each answer and (if `add_end_token`) its end token. The answers begin at
       the first token where either text differs from the prompt (TRL's rule).
    2. Keep the first `max_length` tokens of prompt and answer together.
    3. Drop a pair whose prompt fills `max_length`, because none of its answers would remain.
    4. With `by_turns` and a chat template, say which tokens of the chosen conversation the model writes.

    Counts: `answers truncated`, `prompt fills max_length`, `prompt end merged with the answer`, `earlier answers not
    learned`. With several languages the first two are also counted for each language (`answers truncated in sw`).
    """
    several = len({pair.language for pair in pairs}) > 1
    counts: Counter[str] = Counter()
    conversations = [conversation(pair) for pair in pairs]
    prompts = [prompt.ids for prompt in form.prompts(conversations)]
    chosen = form.with_answers(conversations, [pair.chosen for pair in pairs], end=add_end_token)
    rejected = form.with_answers(conversations, [pair.rejected for pair in pairs], end=add_end_token)
    rows: list[TokenPair] = []
    for pair, asked, prompt_ids, chosen_ids, rejected_ids in zip(
        pairs, conversations, prompts, chosen, rejected, strict=True
    ):
        names = ("", f" in {pair.language or 'an unknown language'}") if several else ("",)
        start = min(common_prefix(prompt_ids, chosen_ids), common_prefix(prompt_ids, rejected_ids))
        counts["prompt end merged with the answer"] += start < len(prompt_ids)
        if start >= max_length:
            counts.update(f"prompt fills max_length{name}" for name in names)
            continue
        for name in names:
            counts[f"answers truncated{name}"] += (len(chosen_ids) > max_length) + (len(rejected_ids) > max_length)
        written = None
        if by_turns and form.kind == "chat_template":
            own, passed = form.written(asked, pair.chosen, chosen_ids)
            counts["earlier answers not learned"] += passed
            written = own[:max_length]
            if not any(written):
                counts.update(f"prompt fills max_length{name}" for name in names)
                continue
        rows.append(
            TokenPair(
                prompt=prompt_ids[:start],
                chosen=chosen_ids[start:max_length],
                rejected=rejected_ids[start:max_length],
                written=written,
            )
        )
    return rows, {name: count for name, count in sorted(counts.items()) if count}
