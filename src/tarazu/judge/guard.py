"""Guard classifiers: sequence classification with several labels, some of which count against a response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.attention import sdpa_kernel

from tarazu.align.forward import logits_of_rows
from tarazu.align.kernels import BACKENDS
from tarazu.conversation.tokens import padding_id
from tarazu.errors import BadInput, damaged_weight, excerpt, fix_for
from tarazu.judge.judgement import Batches, Cache, Judgement, Row, judged_in_batches
from tarazu.judge.score import encode, padded
from tarazu.progress import OnProgress
from tarazu.study.judges import GuardClassifier


class GuardJudge:
    """Labels responses by the summed probability of the labels that count against them. `key` is its own in the study.

    Raises BadInput for labels that the model does not have.
    """

    def __init__(self, model: Any, tokenizer: Any, settings: GuardClassifier, *, key: str, cache: Cache) -> None:
        self.model, self.tokenizer, self.settings, self.key, self.cache = model, tokenizer, settings, key, cache
        self.sigmoid = _is_multi_label(model.config, settings, key)
        self.bad = bad_labels(model.config, settings, key)

    @torch.no_grad()
    def judge(self, rows: Sequence[Row], progress: OnProgress) -> list[Judgement]:
        inputs, shortened = encode(rows, self.tokenizer, self.settings, key=self.key)

        def judge(indices: Sequence[int]) -> list[Judgement]:
            sums = self._bad_probabilities([rows[i] for i in indices], [inputs[i] for i in indices])
            return [
                Judgement(label=int(bad < self.settings.threshold), score=1 - bad, shortened=shortened[i])
                for i, bad in zip(indices, sums, strict=True)
            ]

        lengths = [len(row["input_ids"]) for row in inputs]
        batches = Batches(lengths=lengths, size=self.settings.batch_size, judge=judge)
        return judged_in_batches(rows, batches, self.cache, progress)

    def _bad_probabilities(self, rows: Sequence[Row], inputs: Sequence[dict[str, list[int]]]) -> list[float]:
        batch = padded(inputs, padding_id(self.model, self.tokenizer), self.model.device)
        with sdpa_kernel(BACKENDS):
            logits = logits_of_rows(self.model, batch).double().cpu()
        finite = logits.isfinite().all(dim=1)
        if not bool(finite.all()):
            raise not_finite(self.model, rows[int((~finite).nonzero()[0])], self.settings.model, self.settings.dtype)
        probabilities = logits.sigmoid() if self.sigmoid else logits.softmax(dim=1)
        sums: list[float] = probabilities[:, self.bad].sum(dim=1).tolist()
        return sums


def not_finite(model: Any, row: Row, name: str, dtype: str) -> BadInput:
    """The error for a judge whose logits of a row are not all finite."""
    prompt, response = excerpt(row[0] if isinstance(row[0], str) else row[0].text), excerpt(row[1])
    fix = fix_for(dtype, damaged_weight(model), "the judge's dtype")
    return BadInput(
        f"{name}: its logits are not finite in {dtype} for the response {response} to the prompt {prompt}; {fix}"
    )


def _is_multi_label(config: Any, settings: GuardClassifier, key: str) -> bool:
    """Whether each label has a probability of its own (sigmoid), by the checkpoint's `problem_type`."""
    if config.problem_type == "multi_label_classification":
        return True
    if config.num_labels < 2 or config.problem_type == "regression":
        raise BadInput(
            f"{key}.model: {settings.model}: gives one number and no labels; use kind: reward_model for such a model"
        )
    return False


def bad_labels(config: Any, settings: GuardClassifier, key: str) -> list[int]:
    """The numbers of the labels that count against a response."""
    numbers = {str(name): number for number, name in config.id2label.items()}
    found = []
    for label in settings.bad_labels:
        number = label if isinstance(label, int) else numbers.get(label)
        if number is None or not 0 <= number < config.num_labels:
            raise BadInput(
                f"{key}.bad_labels: {settings.model} has no label {label}; its labels: {', '.join(sorted(numbers))}"
            )
        found.append(number)
    if len(set(found)) < len(found):
        raise BadInput(f"{key}.bad_labels: a label is listed twice; list each once")
    if len(found) == config.num_labels and config.problem_type != "multi_label_classification":
        raise BadInput(f"{key}.bad_labels: these are all labels of {settings.model}, so every response would be bad")
    return sorted(found)
