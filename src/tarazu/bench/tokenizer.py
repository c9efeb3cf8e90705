"""A tokenizer for benchmarks, like OPT's but trained on the given texts, so that nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
OPT_VOCABULARY = 50265

WORDS_WITH_MARKS = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"
"""Words by GPT-2's pattern, extended by the marks that are vowels in the scripts of India and Southeast Asia. Without
them a word would be split at every vowel, and no token can cross a split."""


def train_tokenizer(
    texts: Iterable[str], *, vocabulary: int = OPT_VOCABULARY, model_max_length: int = 2048, words: str | None = None
) -> PreTrainedTokenizerFast:
    """Byte-level BPE with OPT's special tokens. </s> begins each text, as in OPT.

    `words` is the pattern within which tokens are formed (default: GPT-2's, which OPT uses).
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if words is not None:
        split = pre_tokenizers.Split(Regex(words), "isolated")
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A", pair="</s> $A </s> $B", special_tokens=[("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="</s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=model_max_length,
        clean_up_tokenization_spaces=False,
    )
