"""A checkpoint as a language model of the harness: log-likelihoods by packed rows, greedy answers in sorted batches.

Tokenization and the separation of context and answer are the harness's own (`TemplateLM`), so tasks have the same
meaning as with its `hf` model. Except for the last digits, the result of a request does not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from tarazu.align.attention import use_tree_attention
from tarazu.align.forward import branch_log_probs, can_be_packed, to_device
from tarazu.align.head import label_log_probs
from tarazu.align.rows.documents import Document
from tarazu.align.rows.packing import IGNORED, Batch, pack, pad
from tarazu.conversation.tokens import padding_id
from tarazu.errors import BadInput, NotFinite, damaged_weight, dtype_name, fix_for
from tarazu.respond.logits import FiniteLogits

DEFAULT_TOKENS = 256
"""The longest answer if a task sets none (`max_gen_toks`), as in the harness."""
_POSITIONS = 2048  # of a model that does not name its limit, as in the harness

LikelihoodRequest = tuple[tuple[str, str], list[int], list[int]]
"""The texts, and the ids of context and answer."""


class CheckpointLM(TemplateLM):
    """`model` on its device with its tokenizer. `shortened` counts the contexts that were cut from the left."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_size: int,
        row_tokens: int,
        progress: Callable[[int, int, str], None],
    ) -> None:
        super().__init__()
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_size, self.row_tokens = batch_size, row_tokens
        self.progress = progress
        self.positions = getattr(model.config, "max_position_embeddings", None) or _POSITIONS
        self.pad_id = padding_id(self.model, tokenizer)
        self.shortened = 0

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        beginning = self.tokenizer.bos_token_id
        return self.eot_token_id if beginning is None else int(beginning)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        if add_special_tokens is None:
            # Like the tokenizer's default, but without repeating a beginning token that the text already has.
            add_special_tokens = not string.startswith(self.tokenizer.decode(self.prefix_token_id))
        return list(self.tokenizer.encode(string, add_special_tokens=add_special_tokens))

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        return super().loglikelihood(requests, disable_tqdm=disable_tqdm)

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = True) -> list[float]:
        raise BadInput("capability.tasks: perplexity tasks are not supported; remove them")

    @torch.no_grad()
    def _loglikelihood_tokens(self, requests: list[LikelihoodRequest], **_: Any) -> list[tuple[float, bool]]:
        """Log-likelihood of each answer after its context, and whether greedy decoding would produce it.

        Answers with the same context share it in a row.
        """
        # Group requests by context (cut to fit). Each context is a document, and its distinct answers are the branches.
        branches: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
        places = []
        for _texts, context, answer in requests:
            room = self.positions - len(answer)
            if room < 1:
                raise BadInput(f"capability.tasks: an answer of {len(answer)} tokens is longer than the model's window")
            self.shortened += len(context) > room
            place = tuple(context[-room:]), tuple(answer)
            branches.setdefault(place[0], {})[place[1]] = None
            places.append(place)
        documents = [Document(stem, list(answers)) for stem, answers in branches.items()]
        packed = can_be_packed(self.model, documents, branch_log_probs, self.pad_id)
        scores: dict[tuple[tuple[int, ...], tuple[int, ...]], tuple[float, bool]] = {}
        for row in _rows(documents, self.row_tokens):
            if packed:
                with use_tree_attention(self.model):
                    values = _branches(self.model, to_device(pack(row), self.model.device))
            else:
                values = _branches(self.model, to_device(pad(row, self.pad_id), self.model.device))
            names = [(tuple(document.stem), tuple(answer)) for document in row for answer in document.branches]
            for (stem, tokens), value in zip(names, values, strict=True):
                if not math.isfinite(value[0]):
                    raise self._not_finite("log-likelihoods", (*stem, *tokens))
            scores |= dict(zip(names, values, strict=True))
            self.progress(len(scores), sum(map(len, branches.values())), "log-likelihoods")
        return [scores[place] for place in places]

    @torch.no_grad()
    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """The greedy continuation of each context up to its first stop string, without that string."""
        wanted = [_AnswerRequest(*request.args) for request in requests]
        ids = []
        for one in wanted:
            room = self.positions - one.tokens
            if room < 1:
                raise BadInput(
                    f"capability.tasks: an answer of {one.tokens} tokens does not fit the model's window of "
                    f"{self.positions}; set max_gen_toks in the task's generation_kwargs"
                )
            context = self.tok_encode(one.context)
            self.shortened += len(context) > room
            ids.append(context[-room:])
        order = sorted(range(len(ids)), key=lambda i: (wanted[i].tokens, wanted[i].until, len(ids[i]), i))
        answers: dict[int, str] = {}
        while len(answers) < len(order):
            first = wanted[order[len(answers)]]
            ahead = order[len(answers) : len(answers) + self.batch_size]
            batch = [i for i in ahead if (wanted[i].tokens, wanted[i].until) == (first.tokens, first.until)]
            answers |= zip(batch, self._continued([ids[i] for i in batch], first), strict=True)
            self.progress(len(answers), len(order), "answers")
        return [answers[i] for i in range(len(ids))]

    def _continued(self, rows: Sequence[list[int]], request: _AnswerRequest) -> list[str]:
        width = max(map(len, rows))
        padding = self.pad_id
        left = [[padding] * (width - len(row)) + row for row in rows]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
        # Do not use the checkpoint's own settings (sampling, penalties) for the task.
        self.model.generation_config = GenerationConfig(
            max_new_tokens=request.tokens, eos_token_id=self.eot_token_id, pad_token_id=padding, do_sample=False
        )
        check = FiniteLogits(width, [self.eot_token_id])
        output = self.model.generate(
            input_ids=torch.tensor(left, device=self.model.device),
            attention_mask=torch.tensor(mask, device=self.model.device),
            stopping_criteria=StoppingCriteriaList([_Stop(self.tokenizer, width, request.until)]),
            logits_processor=LogitsProcessorList([check]),
        )
        if (bad := check.first()) is not None:
            raise self._not_finite("logits", rows[bad])
        texts = []
        for row in output[:, width:].tolist():
            ended = row.index(self.eot_token_id) if self.eot_token_id in row else len(row)
            texts.append(_before(self.tokenizer.decode(row[:ended], skip_special_tokens=True), request.until))
        return texts

    def _not_finite(self, numbers: str, tokens: Sequence[int]) -> NotFinite:
        dtype = dtype_name(self.model)
        return NotFinite(numbers, dtype, fix_for(dtype, damaged_weight(self.model), "model.dtype"), tokens)


class _AnswerRequest:
    """A request for an answer: its context, the longest answer in tokens, and the strings that end it."""

    def __init__(self, context: str, settings: dict[str, Any]) -> None:
        until = settings.get("until") or []
        self.context = context
        self.until = tuple([until] if isinstance(until, str) else until)
        self.tokens = int(settings.get("max_gen_toks") or DEFAULT_TOKENS)


class _Stop(StoppingCriteria):
    """Ends a row as soon as its text contains a stop string."""

    def __init__(self, tokenizer: Any, start: int, until: Sequence[str]) -> None:
        self.tokenizer, self.start, self.until = tokenizer, start, until

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        texts = self.tokenizer.batch_decode(input_ids[:, self.start :], skip_special_tokens=True)
        done = [any(stop in text for stop in self.until) for text in texts]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)


def _before(text: str, until: Sequence[str]) -> str:
    for stop in until:
        text = text.split(stop)[0] if stop else text
    return text


def _rows(documents: Sequence[Document], room: int) -> list[list[Document]]:
    """Documents, longest first, in rows of at most `room` tokens. A longer document has a row to itself."""
    rows: list[list[Document]] = []
    left = 0
    for document in sorted(documents, key=lambda one: (-one.tokens, one.stem, one.branches)):
        if document.tokens > left:
            rows.append([])
            left = room
        rows[-1].append(document)
        left -= document.tokens
    return rows


def _branches(model: Any, batch: Batch) -> list[tuple[float, bool]]:
    """Summed log-probability of each branch, and whether each of its tokens is the most likely one."""
    if "layout" in batch:
        logits = model(
            input_ids=batch["input_ids"],
            position_ids=batch["position_ids"],
            attention_mask=None,
            use_cache=False,
            logits_to_keep=batch["source"],
            layout=batch["layout"],
        ).logits[0]
        target, lengths = batch["target"], batch["lengths"].tolist()
    else:
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
        labels = batch["labels"][:, 1:]
        predicted = labels != IGNORED
        logits, target, lengths = logits[:, :-1][predicted], labels[predicted], predicted.sum(dim=1).tolist()
    likeliest = (logits.argmax(dim=-1) == target).split(lengths)  # before `label_log_probs`, which may change logits
    scores = label_log_probs(logits, target).split(lengths)
    return [(float(score.sum()), bool(same.all())) for score, same in zip(scores, likeliest, strict=True)]
