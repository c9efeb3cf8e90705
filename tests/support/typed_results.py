"""Results that a test has changed, through the models."""

from __future__ import annotations

from typing import Any

from tarazu.results import Results, results_of


def in_words(document: dict[str, Any]) -> str:
    """The answer in words, with the remarks for which it has no room."""
    return " ".join([document["sentence"], *document.get("remarks", [])])


def typed(document: dict[str, Any]) -> Results:
    """The results that the JSON objects of a results.json hold."""
    return results_of(document, "results.json")
