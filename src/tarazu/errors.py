"""Errors for people: each is one line that names the file, the line or key, and the mend."""

from __future__ import annotations


class TarazuError(Exception):
    """Anything a user can mend. The command line prints it as one line and exits with 2."""

    def __init__(self, message: str) -> None:
        # One line is the contract, whatever a library put into the text it is built from.
        super().__init__(" ".join(message.split()))


class BadInput(TarazuError):
    """A study, data file, scores table or checkpoint that cannot be used as it is."""


class MissingExtra(TarazuError):
    """A command needs packages of an optional extra that are not installed."""

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(f"this needs {package}, which is not installed: pip install 'tarazu[{extra}]'")
