"""Checks and output that several commands share."""

from __future__ import annotations

import gc
import json
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

from tarazu.errors import MissingExtra, one_line
from tarazu.seeds import repeatable_on_cuda

if TYPE_CHECKING:
    from tarazu.results import Results


def need_models() -> None:
    """Raise MissingExtra, before any work, where torch or another package of the extra `models` is not installed."""
    for package in ("torch", "transformers", "accelerate", "peft"):
        if find_spec(package) is None:
            raise MissingExtra("models", package)
    repeatable_on_cuda()


def import_models() -> None:
    """Import torch and what loads models, for a command that is about to need them. Python's garbage collector would
    visit all of it again and again, and once more when the program ends: a fifth of this time, and most of that."""
    if "torch" in sys.modules:
        return
    gc.disable()
    try:
        import_module("tarazu.align.checkpoints")
    finally:
        gc.freeze()
        gc.enable()


def print_line(text: str, file: TextIO | None = None) -> None:
    """Print one line that may contain a stranger's text: it cannot move the cursor or begin another line."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    print(indent + one_line(text), file=file, flush=True)


def print_json(text: str) -> None:
    """Print JSON on standard output. On a terminal it is ASCII: characters that JSON does not escape can act there."""
    print(ascii_json(text) if sys.stdout.isatty() else text, end="")


def ascii_json(text: str) -> str:
    """The same JSON, with \\u escapes for all characters that are not printable ASCII."""
    return re.sub("[^ -~\n]", lambda match: _escaped(match.group()), text)


def _escaped(letter: str) -> str:
    return "\\u007f" if letter == "\x7f" else json.dumps(letter)[1:-1]


def print_results(results: Results, *, as_json: bool) -> None:
    """Print the answer in words, or results.json."""
    from tarazu.results import results_json
    from tarazu.summary import summary

    if as_json:
        print_json(results_json(results))
    else:
        print(summary(results), end="")
