"""`tarazu record import`, and the options that it shares with `record build`: new folder, documents, citation."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tarazu.commands.ceilings import DocumentOptions
from tarazu.commands.importing import FileFacts
from tarazu.commands.options import AnalysisChoices, past_day

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


@dataclass(frozen=True, kw_only=True)
class ImportOptions(CitationOptions, FileFacts, AnalysisChoices, DocumentOptions):
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The published files.")]
    out: NewFolder
    claims: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its claims (YAML).", show_default="those that follow from the scores"),
    ] = None
    sources: Annotated[list[Path], SourceFiles] = field(default_factory=list)
    published_by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who published the files. The record says that you said so.")
    ] = None

    def read_with(self) -> tuple[str, ...]:
        """The options that decide what the files' columns and values mean, as they were given."""
        flags = {
            "--arm": self.arm,
            "--language": self.language,
            "--kind": self.kind,
            "--label": [self.label] if self.label else [],
            "--harm": [self.harm] if self.harm else [],
            "--columns": self.columns,
            "--values": self.values,
        }
        return tuple(f"{flag} {text}" for flag, texts in flags.items() for text in texts)


def import_evaluation(options: ImportOptions) -> int:
    from tarazu.record.build.assemble import AuthorInput, build_from_scores
    from tarazu.record.build.imported import OutsideStudy
    from tarazu.record.show import record_text

    outside = OutsideStudy(
        files=options.of(options.files),
        known_answers=options.known_answers,
        analysis=options.analysis(),
        published_by=options.published_by,
        read_with=options.read_with(),
    )
    author = AuthorInput(
        claims=options.claims, sources=options.sources, citation=options.citation(), limits=options.limits()
    )
    print(record_text(build_from_scores(outside, options.out, author)), end="")
    return 0
