"""Well-known open reward models, with the input that each expects.

Usage and base models are those of the models' own pages. Licences and languages were noted without each page at hand:
check the page before you rely on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

PRESET = "preset:"
"""Prefix of a preset's name in `reward.*.model`."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A reward model: its Hub name, how it takes prompt and response, and what a reader must know about it.

    `max_length` is how many tokens of prompt and response Tarazu keeps.
    """

    model: str
    input: Literal["pair", "transcript", "chat_template"]
    max_length: int
    dtype: Literal["float32", "bfloat16"]
    languages: str
    licence: str
    thresholds: str
    source: str

    def settings(self) -> dict[str, Any]:
        """The settings that its name stands for in a study."""
        return {
            "model": self.model,
            "input": self.input,
            "max_length": self.max_length,
            "dtype": self.dtype,
        }


_RELATIVE = "none: trained on comparisons (Bradley-Terry), so only differences within a prompt are meaningful"


def _skywork(base: str, licence: str, languages: str) -> Preset:
    return Preset(
        model=f"Skywork/Skywork-Reward-V2-{base}",
        input="chat_template",
        max_length=4096,
        dtype="bfloat16",
        languages=languages,
        licence=licence,
        thresholds=_RELATIVE,
        source="model card; Liu et al. 2025, arXiv 2507.01352",
    )


_QWEN = "its page names none; Qwen3, its base model, is multilingual"
_LLAMA = "its page names none; its base model, a Llama 3 instruct model, is meant for eight languages"

PRESETS: dict[str, Preset] = {
    "deberta-v3-large-v2": Preset(
        model="OpenAssistant/reward-model-deberta-v3-large-v2",
        input="pair",
        max_length=512,
        dtype="float32",
        languages="English",
        licence="MIT",
        thresholds="it has none; the source study uses >= -3 for harmless and > -2 for helpful",
        source="model card; arXiv 2509.09055 for the thresholds",
    ),
    "skywork-v2-qwen3-0.6b": _skywork("Qwen3-0.6B", "Apache 2.0", _QWEN),
    "skywork-v2-qwen3-1.7b": _skywork("Qwen3-1.7B", "Apache 2.0", _QWEN),
    "skywork-v2-qwen3-4b": _skywork("Qwen3-4B", "Apache 2.0", _QWEN),
    "skywork-v2-qwen3-8b": _skywork("Qwen3-8B", "Apache 2.0", _QWEN),
    "skywork-v2-llama-3.2-1b": _skywork("Llama-3.2-1B", "Llama 3.2 Community License", _LLAMA),
    "skywork-v2-llama-3.2-3b": _skywork("Llama-3.2-3B", "Llama 3.2 Community License", _LLAMA),
    "skywork-v2-llama-3.1-8b": _skywork("Llama-3.1-8B", "Llama 3.1 Community License", _LLAMA),
}
"""By the name that a study gives: `preset:deberta-v3-large-v2`."""
