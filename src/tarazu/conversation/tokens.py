"""What begins, ends and pads a text, and texts whose control tokens stay text.

A tokenizer turns "</s>" into its end token wherever it occurs, also where a user typed it. `TextTokenizer.guard` marks
such places in data, and `encode` reads marked texts with a copy of the tokenizer that knows its control tokens by
other names. Texts without such places take the tokenizer's own path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

from tokenizers import Encoding, Tokenizer

_MARK = "\U000ffffd"
"""Encloses the number of a control token that a user typed. A character of private use, without a meaning."""
_NAME = "\U0010fffd"
"""Encloses the number of a control token that the format wrote."""


class TextTokenizer:
    """A tokenizer of transformers, with texts of users kept apart from control tokens.

    Control tokens are the special tokens and the added tokens that the chat template names. In an answer, only those
    are guarded that are special or part of every conversation: tags such as <think> are what a model writes.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        template = getattr(tokenizer, "chat_template", None)
        template = json.dumps(template, ensure_ascii=False) if isinstance(template, dict) else template or ""
        special = {token: tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens}
        named = {}
        for number, token in tokenizer.added_tokens_decoder.items():
            if token.special:
                special[token.content] = number
            elif token.content.strip() and token.content in template:
                named[token.content] = number
        self.special: dict[str, int] = {token: number for token, number in special.items() if token}
        self.control: dict[str, int] = {**named, **self.special}
        self._order = sorted(self.control, key=lambda token: (-len(token), token))
        self._places = {token: index for index, token in enumerate(self._order)}

    @cached_property
    def around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The special tokens that the tokenizer puts before and behind a text."""
        bare, full = (list(self.tokenizer("x", add_special_tokens=add)["input_ids"]) for add in (False, True))
        for start in range(len(full) - len(bare) + 1):
            if full[start : start + len(bare)] == bare:
                return tuple(full[:start]), tuple(full[start + len(bare) :])
        return (), ()

    def guard(self, text: str, *, answer: bool = False) -> str:
        """A user's text (or an answer) with its control tokens marked as text.

        The two characters that enclose marks are removed from it, so that no text can write a mark."""
        text = text.translate(_NO_MARKS)
        pattern = self._answer_pattern if answer else self._control_pattern
        if pattern is None or pattern.search(text) is None:
            return text
        return pattern.sub(lambda match: f"{_MARK}{self._places[match[0]]}{_MARK}", text)

    def plain(self, text: str) -> str:
        """A guarded text without its marks."""
        return _MARKED.sub(lambda match: self._order[int(match[1])], text) if _MARK in text else text

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of guarded texts, without special tokens around them."""
        guarded = {index for index, text in enumerate(texts) if _MARK in text}
        own = [text for index, text in enumerate(texts) if index not in guarded]
        plain = iter(self.tokenizer(own, add_special_tokens=False)["input_ids"] if own else ())
        return [
            self._without_control(text) if index in guarded else list(next(plain)) for index, text in enumerate(texts)
        ]

    def inputs(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> list[dict[str, list[int]]]:
        """A model's inputs for guarded texts (or pairs of texts), with the tokenizer's special tokens around them."""
        pairs = [(text,) for text in texts] if seconds is None else list(zip(texts, seconds, strict=True))
        guarded = [any(_MARK in text for text in pair) for pair in pairs]
        own = [pair for pair, marked in zip(pairs, guarded, strict=True) if not marked]
        encoded = self.tokenizer(*map(list, zip(*own, strict=True))) if own else {}
        plain = ({name: list(encoded[name][row]) for name in encoded} for row in range(len(own)))
        return [
            self._guarded_inputs(pair) if marked else next(plain) for pair, marked in zip(pairs, guarded, strict=True)
        ]

    def spans_of_tokens(self, text: str, spans: Sequence[tuple[int, int]]) -> tuple[list[int], list[bool]]:
        """Token ids of a guarded text, and for each whether it lies in one of the spans of characters."""
        if self._copy is None:
            raise NotImplementedError("a slow tokenizer has no offsets")
        edges = [0, *(edge for span in spans for edge in span), len(text)]
        pieces = [self._renamed(text[start:end]) for start, end in pairwise(edges)]
        encoding = self._copy.encode("".join(pieces), add_special_tokens=False)
        ends = [0]
        for piece in pieces:
            ends.append(ends[-1] + len(piece))
        inside = [(ends[number], ends[number + 1]) for number in range(1, len(pieces), 2)]
        return encoding.ids, [
            any(start <= first < end or first <= start < last for start, end in inside)
            for first, last in encoding.offsets
        ]

    @cached_property
    def _control_pattern(self) -> re.Pattern[str] | None:
        return re.compile("|".join(map(re.escape, self._order))) if self._order else None

    @cached_property
    def _answer_pattern(self) -> re.Pattern[str] | None:
        order = [token for token in self._order if token in self.special or token in "".join(self._scaffold)]
        return re.compile("|".join(map(re.escape, order))) if order else None

    @cached_property
    def _scaffold(self) -> tuple[str, str]:
        """What the chat template writes before an answer to a short request, and behind the answer. Empty if it has
        none, or refuses such a conversation."""
        if not getattr(self.tokenizer, "chat_template", None):
            return "", ""
        turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "tarazu"}]
        try:
            before = self.tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
            full = self.tokenizer.apply_chat_template(turns, tokenize=False)
        except Exception:  # the study's own conversations are rendered later, and their errors reported
            return "", ""
        return str(before), str(full).rpartition("tarazu")[2]

    @cached_property
    def end_of_turn(self) -> int | None:
        """The control token that the chat template writes behind an answer, if any."""
        (ids,) = self.encode([self._scaffold[1]])
        control = set(self.control.values())
        return next((number for number in ids if number in control), None)

    @cached_property
    def _copy(self) -> Tokenizer | None:
        """The tokenizer with other names for its control tokens; None if it is not one of the tokenizers library."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            return None
        data = json.loads(backend.to_str())
        names = {token: f"{_NAME}{place}{_NAME}" for token, place in self._places.items()}
        for token in data["added_tokens"]:
            token["content"] = names.get(token["content"], token["content"])
        model = data["model"]
        if isinstance(model["vocab"], dict):
            # A piece of a merge keeps its name: no text of more than one piece can become it otherwise.
            model["vocab"] = {names.get(piece, piece): number for piece, number in model["vocab"].items()}
            model["merges"] = [merge for merge in model.get("merges", []) if not _makes(merge, names)]
        else:
            model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
        if model.get("unk_token") in names:
            model["unk_token"] = names[model["unk_token"]]
        copy = Tokenizer.from_str(json.dumps(data))
        copy.no_truncation()
        copy.no_padding()
        return copy

    def _renamed(self, text: str) -> str:
        """A guarded text for the copy: the format's control tokens by their other names, the user's as typed."""
        if self._control_pattern is not None:
            text = self._control_pattern.sub(lambda match: f"{_NAME}{self._places[match[0]]}{_NAME}", text)
        return self.plain(text)

    def _without_control(self, text: str) -> list[int]:
        if self._copy is not None:
            return list(self._copy.encode(self._renamed(text), add_special_tokens=False).ids)
        return [number for piece in _pieces(text) for number in self._piece_ids(piece)]

    def _piece_ids(self, piece: str) -> list[int]:
        """Token ids of a piece of a guarded text by a slow tokenizer."""
        if not piece.startswith(_MARK):
            return list(self.tokenizer(piece, add_special_tokens=False)["input_ids"])
        typed = self.plain(piece)
        ids = list(self.tokenizer(typed, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        if not set(ids) & set(self.control.values()):
            return ids
        # The model of the tokenizer has the token as a piece: spell it.
        return [number for sign in typed for number in self.tokenizer(sign, add_special_tokens=False)["input_ids"]]

    def _guarded_inputs(self, pair: Sequence[str]) -> dict[str, list[int]]:
        if self._copy is None:
            return dict(self.tokenizer.prepare_for_model(*(self._without_control(text) for text in pair)))
        first, *second = map(self._renamed, pair)
        encoding: Encoding = self._copy.encode(first, second[0] if second else None)
        parts = {
            "input_ids": encoding.ids,
            "token_type_ids": encoding.type_ids,
            "attention_mask": encoding.attention_mask,
        }
        return {name: list(part) for name, part in parts.items() if name in self.tokenizer.model_input_names}


_NO_MARKS = {ord(_MARK): None, ord(_NAME): None}
_MARKED = re.compile(f"{_MARK}(\\d+){_MARK}")


def _pieces(text: str) -> Iterator[str]:
    """A guarded text cut before and behind each mark."""
    return (piece for piece in re.split(f"({_MARK}\\d+{_MARK})", text) if piece)


def _makes(merge: Any, names: dict[str, str]) -> bool:
    """Whether a merge makes, or is made of, a renamed piece."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first + second in names or first in names or second in names


def padding_id(model: Any, tokenizer: Any) -> int:
    """The token that fills rows: the tokenizer's, if the model has an embedding of it. Filling is always masked."""
    words = model.get_input_embeddings().weight.shape[0]
    number = tokenizer.pad_token_id
    return int(number) if number is not None and 0 <= number < words else 0


def declare_ends(model: Any, tokenizer: Any) -> None:
    """Have a checkpoint's generation settings name all tokens that end a response, for servers that read only these."""
    settings, ends = model.generation_config, end_ids(model, tokenizer)
    if set(ends) != _ids(settings.eos_token_id):
        settings.eos_token_id = ends


def end_ids(model: Any, tokenizer: Any) -> list[int]:
    """All tokens that end a response: those that the model's configuration, its generation settings and the tokenizer
    declare, and the token that ends an answer in the chat template."""
    declared = [
        getattr(model.config, "eos_token_id", None),
        getattr(getattr(model, "generation_config", None), "eos_token_id", None),
        tokenizer.eos_token_id,
        TextTokenizer(tokenizer).end_of_turn,
    ]
    return sorted(set().union(*map(_ids, declared)))


def _ids(declared: int | Sequence[int] | None) -> set[int]:
    if declared is None:
        return set()
    return {declared} if isinstance(declared, int) else set(declared)
