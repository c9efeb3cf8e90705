"""Tokenizers and chat templates of several shapes, and conversations for them."""

from __future__ import annotations

from typing import Any

import tiny
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from tarazu.data.rows import PreferencePair, Turn, transcript

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Turns end with a token of their own and a line break, as Qwen's."""

CHATML_MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

EOS = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content | trim }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
"""Turns end with the tokenizer's end token, and a space precedes the content."""

EOS_MARKED = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}"
    "{% generation %} {{ m.content | trim }}{{ eos_token }}{% endgeneration %}"
    "{% else %} {{ m.content | trim }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)

ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must take turns: user, assistant') }}{% endif %}{% endfor %}" + EOS
)

NO_SYSTEM = "{% for m in messages if m.role != 'system' %}{{ m.content }}{{ eos_token }}{% endfor %}"
"""Passes over system turns without a word."""

THINKING = (
    "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}"
    "{% set content = m.content.split('</think>')[-1] %}"
    "{% else %}{% set content = m.content %}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Drops the thoughts of earlier answers."""


def byte_level(
    single: str = "<s> $A", *, template: str | None = None, pad: str | None = "<pad>", marked: bool = True
) -> PreTrainedTokenizerFast:
    """A byte-level BPE with ChatML's tokens, special (`marked`) or merely added, within `tiny.VOCABULARY`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*tiny.SPECIAL, *alphabet])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.post_processor = processors.TemplateProcessing(
        single=single, pair=f"{single} {single.replace('$A', '$B')}", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token=pad
    )
    turns = [AddedToken(token, special=marked, normalized=False) for token in ("<|im_start|>", "<|im_end|>")]
    made.add_tokens(turns, special_tokens=marked)
    made.add_tokens([AddedToken("<think>"), AddedToken("</think>")])
    made.chat_template = template
    return made


def unigram() -> PreTrainedTokenizerFast:
    """Like SentencePiece's: its control tokens are pieces of the model too, and only the first word gets a sign."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -4.0) for letter in letters)]
    raw = Tokenizer(models.Unigram(pieces, unk_id=2))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    raw.decoder = decoders.Metaspace(prepend_scheme="first")
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", unk_token="<unk>", pad_token="<pad>")


def word_piece() -> PreTrainedTokenizerFast:
    """As BERT's."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    raw = Tokenizer(models.WordPiece({token: index for index, token in enumerate(tokens)}, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=False)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]",
        eos_token="[SEP]", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def slow() -> ByT5Tokenizer:
    """A tokenizer in Python, which ends every text with </s>."""
    return ByT5Tokenizer()


def pairs(count: int = 8, *, system: bool = True) -> list[PreferencePair]:
    """Conversations of one to three turns, every third with a system turn, every other with an earlier answer."""
    found = []
    for index, pair in enumerate(tiny.pairs(count)):
        turns = [Turn("user", f"say {index} é 是")]
        if index % 2:
            turns = [*turns, Turn("assistant", f"it is {index} 是"), Turn("user", "and now?")]
        if system and index % 3 == 0:
            turns = [Turn("system", "Be brief."), *turns]
        found.append(
            PreferencePair(
                prompt_id=pair.prompt_id, language="en", source="test", prompt=transcript(turns),
                chosen=pair.chosen, rejected=pair.rejected, turns=tuple(turns),
            )
        )  # fmt: skip
    return found


def rows(found: list[PreferencePair]) -> list[dict[str, Any]]:
    """The same as TRL's conversational preference data."""
    return [
        {
            "prompt": messages(pair.turns),
            "chosen": messages([Turn("assistant", pair.chosen[1:])]),
            "rejected": messages([Turn("assistant", pair.rejected[1:])]),
        }
        for pair in found
    ]


def messages(turns: Any) -> list[dict[str, str]]:
    return [turn._asdict() for turn in turns]
