"""The engine `ctranslate2`: a checkpoint converted for CTranslate2, in float32, decoded greedily.

It cannot sample reproducibly: each of its threads has its own random numbers, which no seed sets once it runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from tarazu.conversation.tokens import end_ids
from tarazu.errors import BadInput, NotFinite, damaged_weight, fix_for
from tarazu.progress import OnProgress
from tarazu.respond._slots import default_batch_tokens
from tarazu.respond.engine import Request, Response
from tarazu.respond.finish import response
from tarazu.study.generation import Generation

_MULTIPLE = 8  # CTranslate2 requires this multiple for OPT's vocabulary


def convert(model: Any, tokenizer: Any, folder: Path) -> int:
    """Write a model for CTranslate2 into `folder` in float32. Returns the size of its vocabulary before padding.

    Embeddings are padded with zeros to a multiple of 8. The padding words must not be generated. Raises BadInput for an
    architecture that CTranslate2 has no converter for.
    """
    import ctranslate2

    words = model.get_input_embeddings().weight.shape[0]
    if words % _MULTIPLE:
        model.resize_token_embeddings(-(-words // _MULTIPLE) * _MULTIPLE, mean_resizing=False)
    source = folder / "transformers"
    model.float().save_pretrained(source)
    tokenizer.save_pretrained(source)
    # The converter needs a name for every word of the model, but tokenizers often have fewer.
    missing = range(len(tokenizer), model.get_input_embeddings().weight.shape[0])
    if missing:
        filled = AutoTokenizer.from_pretrained(source)
        filled.add_tokens([f"<no word {index}>" for index in missing])
        filled.save_pretrained(source)
    try:
        ctranslate2.converters.TransformersConverter(str(source)).convert(
            str(folder / "converted"), quantization="float32"
        )
    except (ValueError, NotImplementedError, KeyError, AttributeError) as error:
        kind = model.config.model_type
        raise BadInput(
            f"generation.engine: ctranslate2 cannot convert a model of type {kind} ({error}); use engine: transformers"
        ) from None
    return int(words)


class CTranslate2Engine:
    def __init__(self, model: Any, tokenizer: Any, settings: Generation, folder: Path) -> None:
        import ctranslate2
        import torch

        self.tokenizer, self.settings = tokenizer, settings
        self.ends = end_ids(model, tokenizer)
        self.batch_tokens = settings.batch_tokens or default_batch_tokens(model)
        self.fix = fix_for("float32", damaged_weight(model), "model.dtype")
        words = convert(model, tokenizer, folder)
        self.generator = ctranslate2.Generator(
            str(folder / "converted"),
            device="cuda" if torch.cuda.is_available() else "cpu",
            compute_type="float32",
            intra_threads=torch.get_num_threads(),
        )
        # The names that the converter gave the tokens, by id.
        self.names: list[str] = _names(folder / "converted")
        self.padding = [[name] for name in self.names[words:]]

    def answer(self, requests: Sequence[Request], progress: OnProgress) -> tuple[list[Response], dict[str, int]]:
        cut = self.settings.cut_at_next_turn
        return [response(row, self.ends, self.tokenizer, cut) for row in self.tokens(requests, progress)], {}

    def tokens(self, requests: Sequence[Request], progress: OnProgress) -> list[list[int]]:
        """The tokens generated for each request, including the end token if there is one. Raises NotFinite."""
        generated: list[list[int]] = [[] for _ in requests]
        done = 0
        for budget in sorted({request.budget for request in requests}):
            indices = [index for index, request in enumerate(requests) if request.budget == budget]
            results = self.generator.generate_batch(
                [[self.names[token] for token in requests[index].ids] for index in indices],
                max_batch_size=self.batch_tokens,
                batch_type="tokens",
                max_length=budget,
                include_prompt_in_result=False,
                end_token=self.ends,
                return_end_token=True,
                suppress_sequences=self.padding or None,
                return_scores=True,
            )
            for index, result in zip(indices, results, strict=True):
                if not math.isfinite(result.scores[0]):
                    raise NotFinite("logits", "float32", self.fix, requests[index].ids)
                generated[index] = list(result.sequences_ids[0])
            done += len(indices)
            progress(done, len(requests), "responses")
        return generated


def _names(folder: Path) -> list[str]:
    names: list[str] = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    return names
