"""`tarazu record import`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from tarazu.commands.ceilings import DocumentOptions
from tarazu.commands.citing import CitationOptions, NewFolder, SourceFiles
from tarazu.commands.importing import FileFacts
from tarazu.commands.options import AnalysisChoices


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
    from tarazu.record.build.assemble import build_from_scores
    from tarazu.record.build.imported import OutsideStudy
    from tarazu.record.show import record_text

    outside = OutsideStudy(
        files=options.of(options.files),
        known_answers=options.known_answers,
        analysis=options.analysis(),
        published_by=options.published_by,
        read_with=options.read_with(),
    )
    record = build_from_scores(
        outside,
        options.out,
        claims=options.claims,
        sources=options.sources,
        citation=options.citation(),
        limits=options.limits(),
    )
    print(record_text(record), end="")
    return 0
