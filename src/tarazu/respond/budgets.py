"""The maximum length of a response in each language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tarazu.data.rows import Prompt
from tarazu.errors import BadInput
from tarazu.study.generation import Generation


def response_budgets(settings: Generation, prompts: Sequence[Prompt], tokenizer: Any) -> dict[str, int]:
    """The maximum length of a response in tokens, for each language of the prompts.

    `tokens`: the same for all languages. `parallel`: max_new_tokens times the ratio of the language's tokens to English
    tokens over the prompts that both have (same prompt_id), rounded up. An English tokenizer needs several times as
    many tokens for the same sentence in Thai or Bengali, so a fixed limit would cut those responses much earlier.

    Raises BadInput if a language shares no prompt with English.
    """
    languages = sorted({prompt.language for prompt in prompts})
    if settings.budget == "tokens":
        return dict.fromkeys(languages, settings.max_new_tokens)
    counts = tokenizer([prompt.text for prompt in prompts], add_special_tokens=False)["input_ids"]
    tokens: dict[str, dict[str, int]] = defaultdict(dict)
    for prompt, ids in zip(prompts, counts, strict=True):
        tokens[prompt.language][prompt.prompt_id] = len(ids)
    english = tokens.get("en", {})
    budgets = {}
    for language in languages:
        shared = sorted(english.keys() & tokens[language].keys())
        if not shared:
            raise BadInput(
                f"generation.budget: parallel, but no prompt in {language} also exists in English; add a source "
                "that is parallel to English, or use budget: tokens"
            )
        own, reference = (sum(tokens[code][prompt_id] for prompt_id in shared) for code in (language, "en"))
        budgets[language] = -(-settings.max_new_tokens * own // max(1, reference))
    return budgets
