"""Errors for people: each is one line that names the file, the line or key, and the fix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


class TarazuError(Exception):
    """Anything that a user can fix. The command line prints it as one line and exits with 2."""

    def __init__(self, message: str) -> None:
        # One line is the contract, even where the text comes from a library that wrote several. Part of it may be a
        # stranger's, such as a key or the name of a file.
        super().__init__(message_line(message))


class BadInput(TarazuError):
    """A study, data file, scores table or checkpoint that cannot be used."""


class MissingExtra(TarazuError):
    """A command needs packages of an optional extra that are not installed."""

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(f"this needs {package}, which is not installed: pip install 'tarazu[{extra}]'")


# --- numbers of a model that are not finite
#
# Looking for them costs one reduction per batch. The model is examined only where there is one.

_SHOWN = 60  # characters of a text in a message


class NotFinite(BadInput):
    """A model gave `numbers` (its logits, its loss) that are not all finite.

    `tokens` are those of the text for which it did, empty if it is not known. Who knows the names of the model and of
    the text raises the result of `at` instead.
    """

    def __init__(self, numbers: str, dtype: str, fix: str, tokens: Sequence[int] = ()) -> None:
        super().__init__(f"{numbers} are not finite in {dtype}; {fix}")
        self.numbers, self.dtype, self.fix, self.tokens = numbers, dtype, fix, tuple(tokens)

    def at(self, model: str, text: str) -> BadInput:
        """The error for the user. `model` is the key or the name of the model, and `text` describes the text."""
        where = f" for {text}" if text else ""
        return BadInput(f"{model}: {self.numbers} are not finite in {self.dtype}{where}; {self.fix}")

    def at_tokens(self, model: str, tokenizer: Any) -> BadInput:
        """The error for the user, with the beginning of the text in place of its name."""
        text = tokenizer.decode(list(self.tokens), skip_special_tokens=True) if self.tokens else ""
        return self.at(model, f"the text {excerpt(text)}" if text else "")


def excerpt(text: str) -> str:
    """The beginning of a text, in quotes and on one line."""
    words = " ".join(text.split())
    return f"'{words[:_SHOWN]}...'" if len(words) > _SHOWN else f"'{words}'"


def damaged_weight(model: Any, *, trained: bool = False) -> str | None:
    """The name of a weight that is not finite, or None if all are; with `trained`, of those that training changes."""
    weights = ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad or not trained)
    return next((name for name, weight in weights if not _all_finite(weight)), None)


def _all_finite(weight: Any) -> bool:
    """Whether the lowest and the highest value are finite, which a NaN among them is not: in one pass over the weight,
    14 times as fast as asking each value."""
    return not weight.numel() or all(bool(end.isfinite()) for end in weight.aminmax())


def fix_for(dtype: str, weight: str | None, key: str) -> str:
    """What to do about a model that gives numbers that are not finite in `dtype`, which the study's `key` sets.
    `weight` is the result of `damaged_weight`."""
    if dtype != "float32":
        return f"set {key}: float32"
    if weight is not None:
        return f"the checkpoint is damaged (its weight {weight} is not finite): save it again or use another"
    return "remove that text, or use another checkpoint"


def dtype_name(model: Any) -> str:
    """The precision of a model, as a study names it."""
    return str(model.dtype).removeprefix("torch.")


# --- untrusted text, made safe to print: on a terminal, in a page, in a feed

# Joiners (U+200C, U+200D) stay: Persian and the Indic scripts are spelt with them. U+FFFE and U+FFFF, and the last two
# of every other plane, are no characters, and XML does not allow the first two.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff\ufff0-\ufffb"
    "\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)


def visible(text: str) -> str:
    """`text` with control, bidirectional and invisible characters replaced by their names, so that none acts."""
    return _UNSAFE.sub(lambda match: f"[U+{ord(match.group()):04X}]", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`text` as one line that cannot move a terminal's cursor or hide what follows."""
    return visible(" ".join(text.split()))


_LONGEST_MESSAGE = 2_000


def message_line(text: str) -> str:
    """An error's message as one line. Of a very long one, the middle is cut, where it quotes a stranger's text: the
    beginning names the file, and the end the fix."""
    line = one_line(text)
    cut = len(line) - _LONGEST_MESSAGE
    if cut <= 0:
        return line
    half = _LONGEST_MESSAGE // 2
    return f"{line[:half]} [{cut} characters] {line[-half:]}"
