"""Errors for people: each is one line that names the file, the line or key, and the fix."""

from __future__ import annotations


class TarazuError(Exception):
    """Anything that a user can fix. The command line prints it as one line and exits with 2."""

    def __init__(self, message: str) -> None:
        # One line is the contract, even where the text comes from a library that wrote several.
        super().__init__(" ".join(message.split()))


class BadInput(TarazuError):
    """A study, data file, scores table or checkpoint that cannot be used."""


class MissingExtra(TarazuError):
    """A command needs packages of an optional extra that are not installed."""

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(f"this needs {package}, which is not installed: pip install 'tarazu[{extra}]'")
