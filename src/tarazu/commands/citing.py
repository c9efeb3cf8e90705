"""Options that the makers of records share: the new folder, the documents, the citation."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tarazu.commands.options import past_day

if TYPE_CHECKING:
    from tarazu.record.metadata.citation import CitationInfo

NewFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write: new or empty.")]
SourceFiles = typer.Option(
    "--source", metavar="FILE", help="A document that source-grounded claims quote (.pdf, .html, .md). Repeatable."
)


@dataclass(frozen=True, kw_only=True)
class CitationOptions:
    """Facts for the citation of the record."""

    title: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Title of the work.", show_default="that of the study or document"),
    ] = None
    abstract: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Abstract.", show_default="the answer in words")
    ] = None
    question: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Research question.", show_default="that of the analysis")
    ] = None
    author: Annotated[list[str], typer.Option(metavar="NAME", help="An author, as 'Family, Given'. Repeatable.")] = (
        field(default_factory=list)
    )
    license: Annotated[
        str | None, typer.Option(metavar="SPDX", help="Licence of the record: an SPDX identifier such as CC-BY-4.0.")
    ] = None
    link: Annotated[list[str], typer.Option(metavar="URL", help="A web page about the work. Repeatable.")] = field(
        default_factory=list
    )
    submitted: Annotated[
        Any,
        typer.Option(
            "--date",
            metavar="YYYY-MM-DD",
            parser=past_day,
            help="Submission date. Two builds from the same evidence with the same date write the same bytes.",
            show_default="today",
        ),
    ] = None

    def citation(self) -> CitationInfo:
        from tarazu.record.metadata.citation import CitationInfo

        return CitationInfo(
            title=self.title,
            abstract=self.abstract,
            question=self.question,
            authors=tuple(self.author),
            license=self.license,
            links=tuple(self.link),
            submitted=self.submitted or date.today(),
        )
