"""Options that several commands share, each declared once, and parsers of their values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

SHIPPED_STUDY = "a shipped study (demo, hh-local, pant2025, xtreme-r) or a YAML file"

Overrides = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of the study, for example --set thresholds.harmless=-2. Repeatable.",
    ),
]
RunFolder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Run folder.", show_default="runs/<study>")
]


def prints_json(document: str) -> Any:
    """The flag `--json`: print a document on standard output."""
    return typer.Option("--json", help=f"Print {document} on standard output.")


@dataclass(frozen=True, kw_only=True)
class ScoresOptions:
    """A table of scores, and how it is analyzed."""

    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="Table of scores.", show_default=False)]
    study: Annotated[
        str | None,
        typer.Option(
            metavar="STUDY",
            help=f"Take thresholds, groups, arms and analysis settings from this study: {SHIPPED_STUDY}.",
        ),
    ] = None
    overrides: Overrides = field(default_factory=list)
    base: Annotated[
        str | None, typer.Option(metavar="ARM", help="The arm that the others are compared with.", show_default="base")
    ] = None
    primary: Annotated[
        str | None, typer.Option(metavar="ARM", help="The arm of the primary question.", show_default="dpo")
    ] = None
    known_answers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Rewards of known good and known bad answers, which show whether the reward model can be trusted: a "
            "table with the columns language, kind, reward_good and reward_bad.",
        ),
    ] = None


def positive(value: str | int) -> int:
    """A count of at least one. (typer passes a default, which is a number already, through its parser too.)"""
    text = str(value)
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise typer.BadParameter(f"must be a whole number from 1, not {text!r}")
    return int(text)


def choice(*words: str, meaning: str) -> Any:
    """An option whose value is one of a few words."""
    return typer.Option(metavar="|".join(words), parser=lambda text: one_of(text, words), help=meaning)


def one_of(text: str, words: tuple[str, ...]) -> str:
    """The text, which must be one of these words."""
    if text not in words:
        raise typer.BadParameter(f"must be one of {', '.join(words)}, not {text!r}")
    return text
