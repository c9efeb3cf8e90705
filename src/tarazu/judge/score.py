"""Rewards from a sequence-classification model, and the inputs of all judges that are classifiers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.attention import sdpa_kernel

from tarazu.align.forward import rewards_of_rows
from tarazu.align.kernels import BACKENDS
from tarazu.align.rows.packing import pad_rows
from tarazu.conversation.formats import Format, Kind, common_prefix
from tarazu.conversation.tokens import TextTokenizer, padding_id
from tarazu.errors import BadInput, damaged_weight, excerpt, fix_for
from tarazu.judge.judgement import Batches, Cache, Judgement, Row, judged_in_batches
from tarazu.progress import OnProgress
from tarazu.respond.finish import LEAST_TOKENS
from tarazu.scores import LARGEST_REWARD
from tarazu.study.judges import GuardClassifier, RewardModel


def prompt_limit(max_length: int) -> int:
    """The number of tokens that prompt and format may use. A quarter of `max_length` is reserved for the response."""
    return max_length - max_length // 4


_KINDS: dict[str, Kind] = {"transcript": "opt", "chat_template": "chat_template"}


def encode(
    rows: Sequence[Row], tokenizer: Any, settings: RewardModel | GuardClassifier, *, key: str = "reward"
) -> tuple[list[dict[str, list[int]]], list[bool]]:
    """Each (prompt, response) as the model's input, and whether it was too long and had to be shortened.

    1. Remove the beginning of the prompt (except the first special token), down to a quarter of `max_length` or to the
       format and `LEAST_TOKENS` tokens of the request, whichever is longer.
    2. If that is not enough, remove the end of the response. A quarter of `max_length` is reserved for it.
    3. Keep what follows the response (its end token, the end of its turn).

    `key` is the judge's in the study. Raises BadInput if its chat template refuses a row.
    """
    tokens = _Tokens(tokenizer, settings, key)
    full = tokens.of(rows)
    limit = settings.max_length
    long = [i for i, row in enumerate(full) if len(row["input_ids"]) > limit]
    if long:
        bare = tokens.of([("x", ""), *((rows[i][0], "") for i in long)])
        kept = min(prompt_limit(limit), max(limit // 4, len(bare[0]["input_ids"]) + LEAST_TOKENS))
        for i, without in zip(long, bare[1:], strict=True):
            ids, other = full[i]["input_ids"], without["input_ids"]
            start = common_prefix(ids, other)
            tail = common_prefix(ids[start + 1 :][::-1], other[start:][::-1])
            first = int(ids[0] in tokenizer.all_special_ids)
            response = min(len(ids) - start - tail, max(1, limit - tail - min(start, kept)))
            prompt = limit - tail - response - first
            places = [*range(first), *range(start - prompt, start + response), *range(len(ids) - tail, len(ids))]
            full[i] = {name: [values[place] for place in places] for name, values in full[i].items()}
    cut = set(long)
    return full, [i in cut for i in range(len(rows))]


class _Tokens:
    """The inputs of a classifier, not shortened. What users and models typed stays text."""

    def __init__(self, tokenizer: Any, settings: RewardModel | GuardClassifier, key: str) -> None:
        self.alone = settings.input == "response"
        kind = _KINDS.get(settings.input)
        self.text = TextTokenizer(tokenizer)
        self.form = kind and Format(tokenizer, kind, model=settings.model, key=f"{key}.input")

    def of(self, rows: Sequence[Row]) -> list[dict[str, list[int]]]:
        if self.form:
            return self.form.inputs([(prompt, f" {response}") for prompt, response in rows])
        responses = [self.text.guard(response, answer=True) for _, response in rows]
        if self.alone:
            return self.text.inputs(responses)
        prompts = [prompt if isinstance(prompt, str) else prompt.text for prompt, _ in rows]
        return self.text.inputs([self.text.guard(prompt) for prompt in prompts], responses)


def _not_finite(model: Any, row: Row, output: float, settings: RewardModel) -> BadInput:
    """The error for an output of a model that is no reward, or becomes none by the study's scale and offset."""
    prompt, response = excerpt(row[0] if isinstance(row[0], str) else row[0].text), excerpt(row[1])
    if math.isfinite(output):
        fix = f"its output is {output:g}: check scale ({settings.scale:g}) and offset ({settings.offset:g})"
    else:
        fix = fix_for(settings.dtype, damaged_weight(model), "the reward model's dtype")
    return BadInput(
        f"{settings.model}: the reward is not a finite number (below {LARGEST_REWARD:g}) in {settings.dtype} for the "
        f"response {response} to the prompt {prompt}; {fix}"
    )


class RewardJudge:
    """A reward model as a judge: its rewards are scores, which the study's thresholds turn into labels.

    `key` is its own in the study.
    """

    def __init__(self, model: Any, tokenizer: Any, settings: RewardModel, *, key: str, cache: Cache) -> None:
        self.model, self.tokenizer, self.settings, self.key, self.cache = model, tokenizer, settings, key, cache

    @torch.no_grad()
    def judge(self, rows: Sequence[Row], progress: OnProgress) -> list[Judgement]:
        """Raises BadInput for a reward that is not a finite number of the size that a table of scores may hold."""
        inputs, shortened = encode(rows, self.tokenizer, self.settings, key=self.key)

        def judge(indices: Sequence[int]) -> list[Judgement]:
            rewards = self._rewards([rows[i] for i in indices], [inputs[i] for i in indices])
            return [
                Judgement(score=float(reward), shortened=shortened[i])
                for i, reward in zip(indices, rewards, strict=True)
            ]

        lengths = [len(row["input_ids"]) for row in inputs]
        batches = Batches(lengths=lengths, size=self.settings.batch_size, judge=judge)
        return judged_in_batches(rows, batches, self.cache, progress, "rewards")

    def _rewards(self, rows: Sequence[Row], inputs: Sequence[dict[str, list[int]]]) -> np.ndarray:
        batch = padded(inputs, padding_id(self.model, self.tokenizer), self.model.device)
        with sdpa_kernel(BACKENDS):
            output = rewards_of_rows(self.model, batch).double().cpu().numpy()
        found: np.ndarray = self.settings.scale * output + self.settings.offset
        # Larger ones are refused in a table of scores.
        if not (np.abs(found) < LARGEST_REWARD).all():
            first = int(np.flatnonzero(~(np.abs(found) < LARGEST_REWARD))[0])
            raise _not_finite(self.model, rows[first], float(output[first]), self.settings)
        return found


def score(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    settings: RewardModel,
    *,
    progress: OnProgress,
    key: str = "reward",
) -> tuple[np.ndarray, np.ndarray]:
    """The reward of each (prompt, response), float64 of shape (rows,), and whether it was shortened, boolean (rows,).

    Equal rows are scored once. Rows are sorted by length, so that batches have little padding. `key` is the reward
    model's in the study. Raises BadInput like `RewardJudge`.
    """
    distinct = list(dict.fromkeys(rows))
    judge = RewardJudge(model, tokenizer, settings, key=key, cache=Cache(None, ""))
    judged = dict(zip(distinct, judge.judge(distinct, progress), strict=True))
    rewards = np.array([judged[row].score for row in rows], dtype=float)
    return rewards, np.array([judged[row].shortened for row in rows], dtype=bool)


def padded(rows: Sequence[dict[str, list[int]]], filler: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Rows as one batch, padded on the right: padding after a text changes neither its positions nor, in a causal
    model, its attention."""
    return {
        name: pad_rows([row[name] for row in rows], filler if name == "input_ids" else 0).to(device) for name in rows[0]
    }
