"""`tarazu export`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tarazu.commands.dispatch import command, group
from tarazu.commands.options import one_of
from tarazu.run.exporters import FORMS, export

app = group()

_FORM = typer.Option(
    "--as", metavar="|".join(FORMS), parser=lambda text: one_of(text, FORMS), help="The form to write."
)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or of an analysis.")]
    form: Annotated[str, _FORM]
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write: new or empty.")]


@command(
    app,
    "export",
    summary="Write the results of a run for papers, model cards and other tools.",
    description="Write the results of a run in one of these forms. model-index: the rates of each arm as metadata of "
    "its model card on the Hub. every-eval-ever: rates and responses in the form Every Eval Ever. latex and markdown: "
    "tables of the rates with intervals and numbers of responses, of the answer, of the languages, and of checklists. "
    "figures: the report's figures as SVG and PDF, with their data as csv. Equal runs give equal files. RUN is the "
    "folder of `tarazu run` or of `tarazu analyze --out` (docs/exports.md).",
    example="tarazu export runs/demo --as latex --out tables",
)
def export_results(options: ExportOptions) -> int:
    written = export(options.run, options.form, options.out)
    print(f"{written}: {options.out}", file=sys.stderr)
    return 0
