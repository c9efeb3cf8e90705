"""The engine `continuous`: greedy decoding by transformers' own continuous batching, for CUDA."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import ContinuousBatchingConfig

from tarazu.conversation.tokens import end_ids, padding_id
from tarazu.errors import TarazuError
from tarazu.progress import OnProgress
from tarazu.respond._plain import generation_config
from tarazu.respond.engine import Request, Response
from tarazu.respond.finish import not_finite, response
from tarazu.study.generation import Generation

_CPU_TOKENS = 16384  # tokens whose keys and values a CPU stores, if the study sets no number


class ContinuousEngine:
    def __init__(self, model: Any, tokenizer: Any, settings: Generation) -> None:
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        self.ends = end_ids(model, tokenizer)
        # Of each token the log-probability is returned too: it is NaN where the logits are not finite.
        self.batching = ContinuousBatchingConfig(return_logprobs=True)
        if model.device.type == "cpu":
            # By default it fills the memory that it finds, which on a CPU is all of the machine's memory.
            blocks = -(-(settings.batch_tokens or _CPU_TOKENS) // self.batching.page_size)
            self.batching = ContinuousBatchingConfig(num_blocks=blocks, max_batch_tokens=256, return_logprobs=True)

    def answer(self, requests: Sequence[Request], progress: OnProgress) -> tuple[list[Response], dict[str, int]]:
        cut = self.settings.cut_at_next_turn
        return [response(row, self.ends, self.tokenizer, cut) for row in self.tokens(requests, progress)], {}

    def tokens(self, requests: Sequence[Request], progress: OnProgress) -> list[list[int]]:
        """The tokens generated for each request. Raises TarazuError if the library leaves a request unanswered, and
        NotFinite."""
        generated: list[list[int]] = [[] for _ in requests]
        done = 0
        for budget in sorted({request.budget for request in requests}):
            indices = [index for index, request in enumerate(requests) if request.budget == budget]
            config = generation_config(budget, self.ends, padding_id(self.model, self.tokenizer))
            outputs = self.model.generate_batch(
                [list(requests[index].ids) for index in indices],
                generation_config=config,
                continuous_batching_config=self.batching,
            )
            rows = sorted(outputs.values(), key=lambda output: int(output.request_id.rsplit("_", 1)[-1]))
            if len(rows) != len(indices) or any(row.error for row in rows):
                reason = next((row.error for row in rows if row.error), "no reason given")
                raise TarazuError(
                    f"generation.engine: continuous left {len(indices) - len(rows)} of {len(indices)} requests "
                    f"unanswered ({reason}); use engine: transformers"
                )
            bad = [i for i, row in zip(indices, rows, strict=True) if not all(map(math.isfinite, row.logprobs))]
            if bad:
                # Requests of a batch share a row, in which NaN spreads: look for the one that has it alone.
                guilty = (index for index in bad if not self._finite_alone(requests[index]))
                raise not_finite(self.model, requests[next(guilty, bad[0])])
            for index, row in zip(indices, rows, strict=True):
                generated[index] = list(row.generated_tokens)
            done += len(indices)
            progress(done, len(requests), "responses")
        return generated

    @torch.no_grad()
    def _finite_alone(self, request: Request) -> bool:
        logits = self.model(torch.tensor([request.ids], device=self.model.device), use_cache=False).logits[0, -1]
        return bool(logits.max().isfinite())
