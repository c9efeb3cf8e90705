"""Options that several commands share, each declared once, and parsers of their values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tarazu.errors import BadInput

if TYPE_CHECKING:
    from tarazu.preregistration.reading import FrozenPlan
    from tarazu.run.analyze import AnalysisOptions
    from tarazu.tables import Constant

SHIPPED_STUDY = "a shipped study (demo, gemma3, hh-local, pant2025, smollm2, xtreme-r) or a YAML file"

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

PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        help="The plan that `tarazu preregister` wrote. The results say whether they are confirmatory and what departs "
        "from the plan.",
    ),
]


def columns_option(flag: str, names: str) -> Any:
    """An option that says which columns of a table are ours."""
    return typer.Option(
        flag,
        metavar="NAME=COLUMN",
        help=f"Columns that have another name in the file, for example {names}; or NAME:=VALUE, one value for "
        "all rows; or NAME=#, the number of the row. Repeatable.",
    )


Columns = Annotated[list[str], columns_option("--columns", "reward=score,prompt_id=id")]


def prints_json(document: str) -> Any:
    """The flag `--json`: print a document on standard output."""
    return typer.Option("--json", help=f"Print {document} on standard output.")


@dataclass(frozen=True, kw_only=True)
class AnalysisChoices:
    """How a table of scores is analyzed."""

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
    columns: Columns = field(default_factory=list)
    values: Annotated[
        list[str],
        typer.Option(
            metavar="NAME:THEIRS=OURS,...",
            help="What the values of a column mean, for example kind:contrast_*=harmful,*=benign; or of one kind of "
            "prompts, label.harmful:refusal=1,compliance=0. Repeatable.",
        ),
    ] = field(default_factory=list)
    known_answers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Rewards of known good and known bad answers, which show whether the reward model can be trusted: a "
            "table with the columns language, kind, reward_good and reward_bad.",
        ),
    ] = None
    known_columns: Annotated[
        list[str], columns_option("--known-columns", "reward_good=scores_chosen,reward_bad=scores_rejected")
    ] = field(default_factory=list)
    ratings: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="People's labels of responses: a table with the columns arm, language, kind, prompt_id, rater and "
            "label (docs/people.md). Repeatable.",
        ),
    ] = field(default_factory=list)
    rating_columns: Annotated[list[str], columns_option("--rating-columns", "rater=annotator")] = field(
        default_factory=list
    )
    raters: Annotated[
        str,
        typer.Option(
            metavar="COLUMN,...",
            help="Columns of the ratings that hold one person's labels each, in place of rater and label.",
        ),
    ] = ""

    def analysis(self, plan: FrozenPlan | None = None) -> AnalysisOptions:
        from tarazu.judge.known_answers import COLUMNS as KNOWN
        from tarazu.judge.ratings import COLUMNS as RATED
        from tarazu.run.analyze import AnalysisOptions
        from tarazu.scores import COLUMNS
        from tarazu.tables import read_values

        return AnalysisOptions(
            study=self.study,
            overrides=self.overrides,
            base=self.base,
            primary=self.primary,
            columns=renamed_columns(self.columns, COLUMNS, "--columns"),
            values=read_values(self.values, COLUMNS, "--values"),
            known_columns=renamed_columns(self.known_columns, KNOWN, "--known-columns"),
            ratings=self.ratings,
            rating_columns=renamed_columns(self.rating_columns, RATED, "--rating-columns"),
            raters=tuple(name.strip() for name in self.raters.split(",") if name.strip()),
            plan=plan,
        )


@dataclass(frozen=True, kw_only=True)
class ScoresOptions(AnalysisChoices):
    """A table of scores, and how it is analyzed."""

    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="Table of scores.", show_default=False)]


def renamed_columns(given: list[str], ours: Sequence[str], flag: str) -> dict[str, str | Constant]:
    """The texts of an option `--columns`: for our names, which are `ours`, those of a file or a value for all rows."""
    from tarazu.tables import Constant

    columns: dict[str, str | Constant] = {}
    for part in (part for text in given for part in re.split(r",(?=[^,=]*=)", text)):
        name, equals, theirs = (piece.strip() for piece in part.partition("="))
        constant = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name or not theirs:
            raise BadInput(f"{flag} {part}: write NAME=COLUMN or NAME:=VALUE, for example reward=score")
        if name not in ours:
            raise BadInput(f"{flag} {part}: no such column as '{name}'; Tarazu's are {', '.join(ours)}")
        if name in columns:
            raise BadInput(f"{flag} {part}: '{name}' is named twice; keep one")
        columns[name] = Constant(theirs) if constant else theirs
    return columns


def positive(value: str | int) -> int:
    """A count of at least one. (typer passes a default, which is a number already, through its parser too.)"""
    text = str(value)
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise typer.BadParameter(f"must be a whole number from 1, not {text!r}")
    return int(text)


def port_number(value: str | int) -> int:
    text = str(value)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise typer.BadParameter(f"must be a port from 1 to 65535, not {text!r}")
    return int(text)


def choice(*words: str, meaning: str, show_default: bool | str = True) -> Any:
    """An option whose value is one of a few words."""
    return typer.Option(
        metavar="|".join(words), parser=lambda text: one_of(text, words), help=meaning, show_default=show_default
    )


def one_of(text: str, words: tuple[str, ...]) -> str:
    """The text, which must be one of these words."""
    if text not in words:
        raise typer.BadParameter(f"must be one of {', '.join(words)}, not {text!r}")
    return text


def past_day(text: str) -> date:
    """A day that is not in the future."""
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise typer.BadParameter(f"must be a date such as 2026-11-24, not {text!r}")
    from tarazu.results.dates import latest_day

    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"no such day: {text}") from None
    if day > latest_day():
        raise typer.BadParameter(f"{text} is in the future; give a day that has begun")
    return day
