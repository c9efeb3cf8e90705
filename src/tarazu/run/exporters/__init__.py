"""Runs in the forms of other tools, of papers and of model cards."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tarazu.files import refuse_occupied

FORMS: Final = ("model-index", "every-eval-ever", "latex", "markdown", "figures")


def export(run: Path, form: str, out: Path) -> str:
    """Write the results of a run, or of an analysis, in one of `FORMS` to the new or empty folder `out`.

    Returns what was written, in words. Equal results give equal bytes. Raises BadInput, one line."""
    from tarazu.run.exporters.every_eval_ever import export_run
    from tarazu.run.exporters.figures import export_figures
    from tarazu.run.exporters.folders import files_of_run, results_of_run
    from tarazu.run.exporters.latex import export_latex
    from tarazu.run.exporters.markdown import export_markdown
    from tarazu.run.exporters.model_index import export_model_index

    refuse_occupied(out)
    if form == "every-eval-ever":
        exported = export_run(run, out)
        missing = exported.without_text
        note = f"; {missing} responses without a prompt or a text are not among them" if missing else ""
        return f"{exported.arms} arms, {exported.samples} responses{note}"
    results = results_of_run(run)
    if form in ("latex", "markdown"):
        return (export_latex if form == "latex" else export_markdown)(results, files_of_run(run), out)
    return (export_figures if form == "figures" else export_model_index)(results, out)
