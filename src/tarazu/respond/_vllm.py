"""The engine `vllm`: vLLM in this process, on CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tarazu.conversation.tokens import end_ids
from tarazu.progress import OnProgress
from tarazu.respond.engine import Request, Response
from tarazu.respond.finish import response
from tarazu.study.generation import Generation


class VLLMEngine:
    def __init__(self, model: Any, tokenizer: Any, settings: Generation, folder: Path) -> None:
        from vllm import LLM

        self.tokenizer, self.settings = tokenizer, settings
        self.ends = end_ids(model, tokenizer)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        self.engine = LLM(model=str(folder), dtype=str(model.dtype).removeprefix("torch."))

    def answer(self, requests: Sequence[Request], progress: OnProgress) -> tuple[list[Response], dict[str, int]]:
        from vllm import SamplingParams

        sampling = self.settings.sampling
        options = {"temperature": sampling.temperature, "top_p": sampling.top_p} if sampling else {"temperature": 0.0}
        outputs = self.engine.generate(
            [{"prompt_token_ids": list(request.ids)} for request in requests],
            [
                SamplingParams(
                    max_tokens=request.budget, stop_token_ids=self.ends, seed=request.seed & 0x7FFFFFFF, **options
                )
                for request in requests
            ],
            use_tqdm=False,
        )
        progress(len(requests), len(requests), "responses")
        cut = self.settings.cut_at_next_turn
        rows = [list(output.outputs[0].token_ids) for output in outputs]
        return [response(row, self.ends, self.tokenizer, cut) for row in rows], {}
