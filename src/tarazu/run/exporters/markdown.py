"""The tables of a study in Markdown (GitHub's)."""

from __future__ import annotations

import re
from pathlib import Path

from tarazu.errors import one_line
from tarazu.report.checklist import Files
from tarazu.results.model import Results
from tarazu.run.exporters.tables import Table, preface, write_tables

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~$]|^[-+=]|(?<=^\d)[.)])")


def export_markdown(results: Results, files: Files, out: Path) -> str:
    """Write a file per table to the new folder `out`."""
    return write_tables(results, files, out, ".md", markdown_table)


def markdown_table(table: Table, results: Results) -> str:
    """The table below the study's title, caution and answer."""
    study = results.study
    lines = [f"# {escaped(study.title or study.name)}: {table.name}", ""]
    for text in preface(results):
        lines += [escaped(text), ""]
    lines += [f"*{escaped(table.caption)}*", "", _row(table.columns)]
    lines.append(
        "|" + "|".join(" ---: " if place in table.numbers else " --- " for place in range(len(table.columns))) + "|"
    )
    lines += [_row(row) for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {escaped(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"


def escaped(text: str) -> str:
    """The text on one line, in which no character is markup."""
    return _SPECIAL.sub(r"\\\1", one_line(text)).replace("&", "&amp;").replace("\\<", "&lt;").replace("\\>", "&gt;")
