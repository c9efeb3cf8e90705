"""The tables of a study in LaTeX, with the rules of the package booktabs."""

from __future__ import annotations

from pathlib import Path

from tarazu.errors import one_line
from tarazu.report.checklist import Files
from tarazu.report.text import LATEX_ESCAPES, MINUS
from tarazu.results.model import Results
from tarazu.run.exporters.tables import Table, preface, write_tables

_ESCAPES = LATEX_ESCAPES | {
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after a row's end it would begin an option
    "]": "{]}",
    MINUS: "$-$",
    "≥": r"$\geq$",
    "±": r"$\pm$",
    "…": r"\ldots{}",
}


def export_latex(results: Results, files: Files, out: Path) -> str:
    """Write a file per table to the new folder `out`, each for `\\input`."""
    return write_tables(results, files, out, ".tex", latex_table)


def latex_table(table: Table, results: Results) -> str:
    """The table as a float; a long one is a `longtable`, which may go over pages. The answer and the notes are
    comments above it."""
    long = table.name in ("languages", "checklist")
    wide = "p{0.22\\textwidth}" if table.name == "checklist" else "l"
    columns = "".join("r" if place in table.numbers else wide for place in range(len(table.columns)))
    caption = f"\\caption{{{escaped(table.caption)}}}\\label{{tab:{table.name}}}"
    packages = "booktabs, longtable" if long else "booktabs"
    comments = [f"Needs the packages {packages}.", *preface(results), *table.notes]
    head = f"{_row(table.columns)}"
    rows = [_row(row) for row in table.rows]
    lines = [f"% {one_line(text)}" for text in comments]
    if long:
        lines += [
            f"\\begin{{longtable}}{{{columns}}}",
            f"{caption}\\\\",
            "\\toprule",
            head,
            "\\midrule",
            "\\endfirsthead",
        ]
        lines += ["\\toprule", head, "\\midrule", "\\endhead", "\\bottomrule", "\\endlastfoot", *rows]
        lines.append("\\end{longtable}")
    else:
        lines += ["\\begin{table}", "\\centering", caption, f"\\begin{{tabular}}{{{columns}}}", "\\toprule", head]
        lines += ["\\midrule", *rows, "\\bottomrule", "\\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return " & ".join(escaped(cell) for cell in cells) + r" \\"


def escaped(text: str) -> str:
    """The text on one line, in which no character is a command."""
    return "".join(_ESCAPES.get(character, character) for character in one_line(text))
