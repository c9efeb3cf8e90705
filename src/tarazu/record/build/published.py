"""Read a published evaluation: one or several tables of scores, or files of another evaluation tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tarazu.data.importers import Given, Imported, import_files, tool_of_file
from tarazu.errors import BadInput
from tarazu.run.analyze import AnalysisOptions, GivenScores
from tarazu.scores import checked_rows, joined_rows, score_rows
from tarazu.tables import ROW_NUMBER, Constant

_TABLE, _COUNTS = "table of scores", "table of counts"


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file, the form in which it was read, how many of its rows were used, and how many not, by reason."""

    path: Path
    form: str
    rows: int
    excluded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Published:
    """The scores of a published evaluation, and its files."""

    scores: GivenScores
    files: tuple[PublishedFile, ...]


def read_published(files: Sequence[tuple[Path, Given]], analysis: AnalysisOptions) -> Published:
    """The scores in `files`, each with what the user says of it.

    Raises BadInput for files of different tools or forms, for responses without labels, and the errors of the readers.
    """
    tools = [tool_of_file(path) for path, _ in files]
    for (path, _), tool in zip(files, tools, strict=True):
        if tool != tools[0]:
            forms = " and ".join(name or "a table of scores" for name in (tools[0], tool))
            raise BadInput(f"{path}: {files[0][0]} and this file have different forms ({forms}); import files of one")
    if tools[0] is None:
        return _tables(files, analysis)
    if analysis.columns or analysis.values:
        raise BadInput(f"{files[0][0]}: is a file of {tools[0]}; --columns and --values are for tables of scores")
    return _of_tool(import_files(files), files[0][1])


def _tables(files: Sequence[tuple[Path, Given]], analysis: AnalysisOptions) -> Published:
    tables = []
    for path, given in files:
        if given.metric is not None:
            raise BadInput(
                f"{path}: is a table of scores; --label and --harm name scores of other tools' files. Take the label "
                f"from a column with --columns label={given.metric}"
            )
        said = {"arm": given.arm, "language": given.language, "kind": given.kind}
        constants = {name: Constant(value) for name, value in said.items() if value is not None}
        if twice := next((name for name in constants if name in analysis.columns), None):
            raise BadInput(f"--{twice} and --columns {twice}: both say the {twice}; give one")
        tables.append((path, score_rows(path, {**analysis.columns, **constants}, analysis.values)))
    if analysis.columns.get("prompt_id") == ROW_NUMBER:
        _refuse_unequal(tables)
    rows = joined_rows(tables)
    read = tuple(
        PublishedFile(path=path, form=_COUNTS if "k" in own[0] else _TABLE, rows=len(own)) for path, own in tables
    )
    return Published(scores=GivenScores(files=tuple(path for path, _ in tables), rows=rows), files=read)


def _refuse_unequal(tables: Sequence[tuple[Path, list[dict[str, Any]]]]) -> None:
    """Tables of the same prompts in the same order have equally many rows. Raises BadInput for others."""
    known: dict[str, tuple[Path, int]] = {}
    for path, rows in tables:
        for kind in sorted({row["kind"] for row in rows}):
            count = sum(row["kind"] == kind for row in rows)
            first, expected = known.setdefault(kind, (path, count))
            if count != expected:
                raise BadInput(
                    f"{path}: has {count} {kind} rows, and {first} has {expected}, so the numbers of their rows are "
                    "not ids of the same prompts; give a column of ids"
                )


def _of_tool(imported: Sequence[Imported], given: Given) -> Published:
    rows: list[dict[str, Any]] = []
    for one in imported:
        if one.known_answers:
            raise BadInput(
                f"{one.path}: has rewards of known answers, which test a reward model; give them with --known-answers "
                "(`tarazu import` turns them into a table)"
            )
        if given.metric is None:
            choices = f": {', '.join(sorted(one.metrics))}" if one.metrics else ""
            raise BadInput(
                f"{one.path}: its responses have no label; choose one of its scores with --label (1 is a good "
                f"response) or --harm (1 is a bad one){choices}"
            )
        rows += checked_rows(one.path, enumerate((asdict(row) for row in one.responses), 1), "response")
    read = tuple(
        PublishedFile(path=one.path, form=one.tool, rows=len(one.responses), excluded=dict(one.excluded))
        for one in imported
    )
    return Published(scores=GivenScores(files=tuple(one.path for one in imported), rows=rows), files=read)
