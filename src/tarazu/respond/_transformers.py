"""The engine `transformers`: decodes with a causal language model of transformers in slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tarazu.conversation.tokens import end_ids, padding_id
from tarazu.data.rows import TURN_HUMAN
from tarazu.progress import OnProgress
from tarazu.respond._decode import Decoder
from tarazu.respond._plain import PlainDecoding, generate_plainly
from tarazu.respond.engine import Request, Response
from tarazu.respond.finish import response
from tarazu.study.generation import Generation

_TAIL = 32  # last tokens of a response that are searched for the beginning of the next turn, which is shorter


class TransformersEngine:
    def __init__(self, model: Any, tokenizer: Any, settings: Generation) -> None:
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        self.ends = end_ids(model, tokenizer)
        self.decoder = Decoder(
            model,
            self.ends,
            batch_tokens=settings.batch_tokens,
            sampling=settings.sampling,
            is_over=self._reached_next_turn if settings.cut_at_next_turn else None,
        )

    def answer(self, requests: Sequence[Request], progress: OnProgress) -> tuple[list[Response], dict[str, int]]:
        rows, in_slots = self.tokens(requests, progress)
        cut = self.settings.cut_at_next_turn
        notes = {} if in_slots else {"responses by plain generate: the model cannot be decoded in slots": len(rows)}
        if in_slots and self.decoder.device.type == "cuda" and not self.decoder.records:
            notes["responses by single launches: the model's steps cannot be recorded as CUDA graphs"] = len(rows)
        return [response(row, self.ends, self.tokenizer, cut) for row in rows], notes

    def tokens(self, requests: Sequence[Request], progress: OnProgress) -> tuple[list[list[int]], bool]:
        """The tokens generated for each request, and whether they were decoded in slots."""
        if not requests:
            return [], True
        prompts = [requests[index].ids for index in sorted({0, len(requests) // 2, len(requests) - 1})]
        if self.decoder.can_decode(prompts, longest=max(len(one.ids) + one.budget for one in requests)):
            return self.decoder.decode(requests, lambda done, total: progress(done, total, "responses")), True
        decoding = PlainDecoding(
            ends=self.ends,
            pad_id=padding_id(self.model, self.tokenizer),
            batch_tokens=self.decoder.batch_tokens,
            sampling=self.settings.sampling,
        )
        generated = generate_plainly(
            self.model,
            requests,
            decoding,
            lambda done, total: progress(done, total, "responses by plain generate"),
        )
        return generated, False

    def _reached_next_turn(self, rows: Sequence[Sequence[int]]) -> list[bool]:
        tails = self.tokenizer.batch_decode([row[-_TAIL:] for row in rows], skip_special_tokens=True)
        return [TURN_HUMAN in tail for tail in tails]
