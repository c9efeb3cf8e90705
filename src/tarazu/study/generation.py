"""`generation` of a study: how responses are generated."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tarazu.study._settings import Settings

NEUTRAL = {
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "no_repeat_ngram_size": 0,
    "top_k": 0,
    "min_p": 0.0,
}
"""What every engine decodes with, whatever a checkpoint's generation_config.json says: no penalty and no filter."""


class Sampling(Settings):
    """Sampling instead of greedy decoding, seeded by the study's seed."""

    temperature: float = Field(1.0, gt=0, description="Softmax temperature.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus mass.")


class Server(Settings):
    """A server that speaks OpenAI's protocol: vLLM, SGLang, `transformers serve`. Its completions endpoint is used."""

    url: str = Field(
        pattern=r"^https?://", description="Its address, up to /v1. {arm} stands for the arm's name, as in `model`."
    )
    model: str = Field(
        "{folder}",
        min_length=1,
        description="The model to request: {folder} is the arm's checkpoint in the run folder, {arm} its name "
        "(`dpo`, `dpo@1`).",
    )
    key_variable: str = Field(
        "OPENAI_API_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable with the API key.",
    )
    concurrency: int = Field(8, ge=1, le=512, description="How many requests may be open at once.")
    timeout: float = Field(300.0, gt=0, description="Seconds to wait for an answer.")
    retries: int = Field(6, ge=0, description="How often a request is repeated after a failure that may be temporary.")
    first_wait: float = Field(1.0, gt=0, description="Seconds before the first repeat. The wait doubles each time.")


class Generation(Settings):
    engine: Literal["transformers", "ctranslate2", "continuous", "vllm", "openai"] = Field(
        "transformers",
        description="The generator (docs/engines.md). Only `transformers` gives the same tokens as plain generate.",
    )
    server: Server | None = Field(None, description="For `openai`: the server.")
    budget: Literal["tokens", "parallel"] = Field(
        "tokens",
        description="`tokens`: max_new_tokens in every language. `parallel`: scaled for each language by the "
        "token count of text parallel to English.",
    )
    max_new_tokens: int = Field(
        64,
        ge=1,
        description="The longest response in tokens (in English, if `parallel`). Together with the prompt it must fit "
        "the model's positions (docs/lengths.md).",
    )
    max_prompt_tokens: int = Field(
        512, ge=8, description="The most tokens of a prompt; a longer one loses tokens at its start."
    )
    prompt_format: Literal["opt", "chat_template", "custom"] = Field(
        "opt", description="`opt`: \\n\\nHuman: ...\\n\\nAssistant:; or the tokenizer's chat template; or `template`."
    )
    template: str | None = Field(None, description="For `custom`: text that contains {prompt}.")
    cut_at_next_turn: bool = Field(True, description="End a response where the next \\n\\nHuman: begins.")
    sampling: Sampling | None = Field(None, description="Sample; default: greedy.")
    samples: int = Field(1, ge=1, description="Responses per prompt (more than 1 needs `sampling`).")
    batch_tokens: int | None = Field(
        None,
        ge=1,
        description="How many tokens of prompts and responses have their keys and values in memory at once: more is "
        "faster. Default: as many as fit in 2 GiB.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Generation:
        if (self.engine == "openai") != (self.server is not None):
            raise ValueError("`server` and engine: openai need each other; set both or neither")
        if self.sampling is not None and self.engine in ("ctranslate2", "continuous"):
            raise ValueError(
                f"engine: {self.engine} cannot sample from the study's seed; remove `sampling`, or use another engine"
            )
        if (self.prompt_format == "custom") != (self.template is not None):
            raise ValueError("`template` and prompt_format: custom need each other; set both or neither")
        if self.template is not None and self.template.count("{prompt}") != 1:
            raise ValueError("`template` must contain {prompt} exactly once")
        if self.samples > 1 and self.sampling is None:
            raise ValueError("samples: more than 1 needs `sampling`, since greedy responses are all the same")
        return self
