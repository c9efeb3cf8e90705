"""Generative guards: language models that write a verdict, read from the probability of its words."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch.nn.attention import sdpa_kernel

from tarazu.align.kernels import BACKENDS
from tarazu.conversation.formats import common_prefix
from tarazu.conversation.tokens import padding_id
from tarazu.errors import BadInput
from tarazu.judge.guard import not_finite
from tarazu.judge.judgement import Batches, Cache, Judgement, Row, judged_in_batches
from tarazu.judge.prompt import GuardPrompt, words_of
from tarazu.judge.score import padded
from tarazu.progress import OnProgress
from tarazu.respond._transformers import TransformersEngine
from tarazu.respond.engine import Request
from tarazu.study.generation import Generation
from tarazu.study.judges import GenerativeGuard

NO_VERDICT = "the guard gave no verdict"


@dataclass(frozen=True, kw_only=True)
class Question:
    """The tokens before a verdict, and the tokens with which the verdicts for and against a response begin."""

    ids: list[int]
    bad: list[int]
    good: list[int]


class GenerativeGuardJudge:
    """Labels responses by the share of the verdicts' probability that is against them. `key` is its own in the
    study."""

    def __init__(self, model: Any, tokenizer: Any, settings: GenerativeGuard, *, key: str, cache: Cache) -> None:
        self.model, self.tokenizer, self.settings, self.key, self.cache = model, tokenizer, settings, key, cache
        self.prompt = GuardPrompt(tokenizer, settings, key)
        self.engine = (
            TransformersEngine(model, tokenizer, Generation(cut_at_next_turn=False)) if settings.after else None
        )

    @torch.no_grad()
    def judge(self, rows: Sequence[Row], progress: OnProgress) -> list[Judgement]:
        fitted = [self.prompt.fitted(row) for row in rows]

        def judge(indices: Sequence[int]) -> list[Judgement]:
            texts = [fitted[i].text for i in indices]
            begun = self._until_verdict(texts)
            questions = {i: question_of(self.prompt, text) for i, text in zip(indices, begun, strict=True) if text}
            shares = self._bad_shares(rows, questions)
            return [self._judgement(shares.get(i), shortened=fitted[i].shortened) for i in indices]

        batches = Batches(lengths=[one.length for one in fitted], size=self.settings.batch_size, judge=judge)
        return judged_in_batches(rows, batches, self.cache, progress)

    def _judgement(self, share: float | None, *, shortened: bool) -> Judgement:
        if share is None:
            return Judgement(reason=NO_VERDICT, shortened=shortened)
        return Judgement(label=int(share < self.settings.threshold), score=1 - share, shortened=shortened)

    def _until_verdict(self, texts: Sequence[str]) -> list[str | None]:
        """Guarded texts up to the verdict. None where the guard does not write what comes before it."""
        if self.engine is None:
            return [text + self.settings.begin for text in texts]
        ends = set(self.engine.ends)
        after = self.settings.after or ""
        requests = [Request(ids=tuple(self.prompt.ids(text)), budget=self.settings.max_new_tokens) for text in texts]
        answers, _ = self.engine.tokens(requests, lambda done, total, state: None)
        begun: list[str | None] = []
        for text, answer in zip(texts, answers, strict=True):
            own = list(takewhile(lambda token: token not in ends, answer))
            written, found, _ = self.tokenizer.decode(own, skip_special_tokens=True).partition(after)
            begun.append(text + self.prompt.tokens.guard(written + found, answer=True) if found else None)
        return begun

    def _bad_shares(self, rows: Sequence[Row], questions: Mapping[int, Question]) -> dict[int, float | None]:
        """The share of the verdicts' probability that is against each response; None where it is too small to be a
        verdict."""
        if not questions:
            return {}
        asked = list(questions.values())
        inputs = [{"input_ids": one.ids, "attention_mask": [1] * len(one.ids)} for one in asked]
        batch = padded(inputs, padding_id(self.model, self.tokenizer), self.model.device)
        logits = _last_logits(self.model, batch, [len(one.ids) - 1 for one in asked]).double().cpu()
        finite = logits.isfinite().all(dim=1)
        if not bool(finite.all()):
            row = rows[list(questions)[int((~finite).nonzero()[0])]]
            raise not_finite(self.model, row, self.settings.model, self.settings.dtype)
        shares: dict[int, float | None] = {}
        for place, one, log_probs in zip(questions, asked, logits.log_softmax(dim=1), strict=True):
            bad, good = (float(log_probs[ids].exp().sum()) for ids in (one.bad, one.good))
            enough = bad + good > 0 and bad + good >= self.settings.least_mass
            shares[place] = bad / (bad + good) if enough else None
        return shares


def _last_logits(model: Any, batch: dict[str, torch.Tensor], last: Sequence[int]) -> torch.Tensor:
    """The logits behind the last token of each row, (rows, words). Only those at some row's end are computed, where
    the model can: all of them would not fit in memory for a large vocabulary."""
    ends = sorted(set(last))
    options: dict[str, Any] = {"use_cache": False}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        options["logits_to_keep"] = torch.tensor(ends, device=model.device)
        places = [ends.index(end) for end in last]
    else:
        places = list(last)
    with sdpa_kernel(BACKENDS):
        logits: torch.Tensor = model(**batch, **options).logits
    return logits[torch.arange(len(last)), torch.tensor(places)]


def question_of(prompt: GuardPrompt, text: str) -> Question:
    """A guarded text up to the verdict as tokens. The verdicts differ at the first token that not all of them share.

    Raises BadInput if words for and against a response have that token in common.
    """
    settings = prompt.settings
    ids = {word: prompt.ids(text + word) for word in words_of(settings)}
    first, *others = ids.values()
    start = min(common_prefix(first, other) for other in others)
    starts = {word: one[start] for word, one in ids.items() if len(one) > start}
    bad, good = ({starts.get(word) for word in words} for words in (settings.bad_words, settings.good_words))
    if bad & good or None in bad | good:
        raise BadInput(
            f"{prompt.key}.bad_words: the words for and against a response must begin with different tokens of "
            f"{settings.model} ({', '.join(map(repr, words_of(settings)))}); use other words, or give what they share "
            "as `begin`"
        )
    return Question(
        ids=first[:start],
        bad=sorted(token for token in bad if token is not None),
        good=sorted(token for token in good if token is not None),
    )
