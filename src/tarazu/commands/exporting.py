"""`tarazu export`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tarazu.commands.dispatch import command, group
from tarazu.commands.options import one_of

app = group()

_FORMS = ("every-eval-ever",)
_FORM = typer.Option(
    "--as", metavar="|".join(_FORMS), parser=lambda text: one_of(text, _FORMS), help="The form to write."
)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or of an analysis.")]
    form: Annotated[str, _FORM]
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write: new or empty.")]


@command(
    app,
    "export",
    summary="Write the results of a run in the form of another tool.",
    description="Write the rates of each arm and its responses in the form Every Eval Ever: a JSON file per arm, and "
    "beside it the responses with their labels. Equal runs give equal files. RUN is the folder of `tarazu run` or of "
    "`tarazu analyze --out`; only its results.json and scores.parquet are written, and the version of Tarazu.",
    example="tarazu export runs/demo --as every-eval-ever --out demo-eee",
)
def export_results(options: ExportOptions) -> int:
    from tarazu.run.exporters import export_run

    exported = export_run(options.run, options.out)
    if exported.without_text:
        print(f"{exported.without_text} responses without a prompt or a text are not among them", file=sys.stderr)
    print(f"{exported.arms} arms, {exported.samples} responses: {options.out}", file=sys.stderr)
    return 0
