"""What a study may say of how responses are made."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tarazu.study._settings import Settings


class Sampling(Settings):
    """Sampling in place of greedy decoding, seeded by the study's seed."""

    temperature: float = Field(1.0, gt=0, description="Softmax temperature.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus mass.")


class Server(Settings):
    """A server that speaks OpenAI's protocol: vLLM, SGLang, `transformers serve`. Its completions endpoint is asked."""

    url: str = Field(
        pattern=r"^https?://", description="Where it is, up to /v1. {arm} stands for the arm's name, as in `model`."
    )
    model: str = Field(
        "{folder}",
        min_length=1,
        description="The model to ask for: {folder} is the arm's checkpoint in the run folder, {arm} its name "
        "(`dpo`, `dpo@1`).",
    )
    key_variable: str = Field(
        "OPENAI_API_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable with the API key.",
    )
    concurrency: int = Field(8, ge=1, le=512, description="Requests under way at a time.")
    timeout: float = Field(300.0, gt=0, description="Seconds that an answer may take.")
    retries: int = Field(6, ge=0, description="How often a request is repeated that failed in a way that may pass.")
    first_wait: float = Field(1.0, gt=0, description="Seconds before the first repeat; twice as long before each next.")


class Generation(Settings):
    engine: Literal["transformers", "ctranslate2", "continuous", "vllm", "openai"] = Field(
        "transformers",
        description="What generates (docs/engines.md). Tokens are those of plain generate with `transformers` alone.",
    )
    server: Server | None = Field(None, description="For `openai`: which server.")
    budget: Literal["tokens", "parallel"] = Field(
        "tokens",
        description="`tokens`: max_new_tokens everywhere. `parallel`: scaled per language by the token count of "
        "text parallel to English.",
    )
    max_new_tokens: int = Field(
        64,
        ge=1,
        description="Longest response in tokens (in English, if `parallel`); with the prompt it must fit the "
        "model's positions (docs/lengths.md).",
    )
    max_prompt_tokens: int = Field(512, ge=8, description="Prompts are shortened to this many tokens, from the left.")
    prompt_format: Literal["opt", "chat_template", "custom"] = Field(
        "opt", description="`opt`: \\n\\nHuman: ...\\n\\nAssistant:; or the tokenizer's chat template; or `template`."
    )
    template: str | None = Field(None, description="For `custom`: text with {prompt} in it.")
    cut_at_next_turn: bool = Field(True, description="End a response at the next \\n\\nHuman:.")
    sampling: Sampling | None = Field(None, description="Sample; default: greedy.")
    samples: int = Field(1, ge=1, description="Responses per prompt (more than 1 needs `sampling`).")
    batch_tokens: int | None = Field(
        None,
        ge=1,
        description="Tokens, of prompts and responses, whose keys and values are held at a time: memory for speed. "
        "Default: as many as 2 GiB hold.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Generation:
        if (self.engine == "openai") != (self.server is not None):
            raise ValueError("`server` goes with engine: openai, and only with it")
        if self.sampling is not None and self.engine in ("ctranslate2", "continuous"):
            raise ValueError(f"engine: {self.engine} draws from no seed of the study's; leave `sampling` out")
        if (self.prompt_format == "custom") != (self.template is not None):
            raise ValueError("`template` goes with prompt_format: custom, and only with it")
        if self.template is not None and self.template.count("{prompt}") != 1:
            raise ValueError("`template` must contain {prompt} exactly once")
        if self.samples > 1 and self.sampling is None:
            raise ValueError("samples above 1 need `sampling`: greedy responses are all the same")
        return self
