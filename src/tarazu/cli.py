"""The entry point. Exit codes: 0 for success, 1 for a failed check, 2 for bad input, 130 for an interrupt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

import tarazu
from tarazu.commands import (
    bench,
    challenging,
    comparing,
    exporting,
    importing,
    label,
    languages,
    pooling,
    preregistering,
    run,
    scores,
    site,
)
from tarazu.commands.dispatch import group, run_command_line

_EXAMPLES = """\b
Examples:
  tarazu run
      The demo: fifty languages, about two minutes on two cores.
  tarazu run hh-local --set data.root=/data
      Real HH-RLHF pairs, MultiJail and XTREME-R files, on a small model.
  tarazu run pant2025 --set arms.dpo.beta=0.05
      The source study's protocol with one setting changed.
  tarazu analyze scores.csv --out runs/mine
      The answer and a report from your own scores.
"""

app = group(name="tarazu", epilog=_EXAMPLES)
for commands in (run, preregistering, comparing, scores, label, pooling, importing, exporting, languages):
    app.add_typer(commands.app)
for commands in (bench, challenging, site):  # challenging adds a command to those of record
    app.add_typer(commands.app)


def _print_version(value: bool) -> None:
    if value:
        print(f"tarazu {tarazu.__version__}")
        raise typer.Exit


@app.callback(help="Compare what alignment gains in helpfulness with what it gains in harmlessness, by language.")
def _tarazu(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return run_command_line(app, argv)
