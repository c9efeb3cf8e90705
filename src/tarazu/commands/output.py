"""Checks and output that several commands share."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from tarazu.errors import MissingExtra
from tarazu.seeds import repeatable_on_cuda

if TYPE_CHECKING:
    from tarazu.results import Results


def need_models() -> None:
    """Raise MissingExtra, before any work, where torch or another package of the extra `models` is not installed."""
    for package in ("torch", "transformers", "accelerate", "peft"):
        if find_spec(package) is None:
            raise MissingExtra("models", package)
    repeatable_on_cuda()


def print_results(results: Results, *, as_json: bool) -> None:
    """Print the answer in words, or results.json."""
    from tarazu.results import results_json
    from tarazu.summary import summary

    print(results_json(results) if as_json else summary(results), end="")
