"""`tarazu import`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tarazu.commands.dispatch import command, group
from tarazu.errors import BadInput

if TYPE_CHECKING:
    from tarazu.data.importers import Given

app = group()


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What the user says of files, because they may not say it themselves."""

    arm: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="The arm, in place of the model that the file names. *"),
    ] = field(default_factory=list)
    language: Annotated[list[str], typer.Option(metavar="CODE", help="The language, where the rows do not say. *")] = (
        field(default_factory=list)
    )
    kind: Annotated[
        list[str], typer.Option(metavar="harmful|benign", help="The kind of the prompts, where the rows do not say. *")
    ] = field(default_factory=list)
    label: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Take this score as the label: 1 for a good response.")
    ] = None
    harm: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Take this score as the label: 1 for a bad response.")
    ] = None

    def of(self, files: Sequence[Path]) -> list[tuple[Path, Given]]:
        """The files, each with what is said of it."""
        from tarazu.data.importers import Given

        if self.label is not None and self.harm is not None:
            raise BadInput("--label and --harm: both choose the label; give one")
        for kind in self.kind:
            if kind not in ("harmful", "benign"):
                raise BadInput(f"--kind: must be harmful or benign, not {kind!r}")
        said = zip(
            _for_each(self.arm, len(files), "--arm"),
            _for_each(self.language, len(files), "--language"),
            _for_each(self.kind, len(files), "--kind"),
            strict=True,
        )
        return [
            (path, Given(arm=arm, language=language, kind=kind, label=self.label, harm=self.harm))
            for path, (arm, language, kind) in zip(files, said, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class ImportOptions(FileFacts):
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of other tools.")]
    out: Annotated[Path, typer.Option(metavar="TABLE", help="The table to write (.parquet).")]


@command(
    app,
    "import",
    summary="Turn other evaluation tools' results into a table for score or analyze.",
    description="Read logs of inspect (.eval, .json), samples of lm-evaluation-harness (--log_samples), Every Eval "
    "Ever, RewardBench's scores per item and PolyGuard's responses, recognised by their content, and write one table. "
    "With --label or --harm it has labels, for `tarazu analyze`; without, `tarazu score` scores the responses. "
    "RewardBench's scores become a table for --known-answers. Options with * are given once, or once for each file.",
    example="tarazu import base.eval dpo.eval --language de --kind harmful --harm judge --out scores.parquet",
)
def import_results(options: ImportOptions) -> int:
    from tarazu.data.importers import import_files, write_imported

    files = options.of(options.files)
    if options.out.suffix != ".parquet":
        raise BadInput(f"{options.out}: the table is written as parquet; use a name that ends in .parquet")
    imported = import_files(files)
    rows = write_imported(options.out, imported)
    for one in imported:
        used = len(one.responses) + len(one.known_answers)
        print(f"{one.path}: {one.tool}, {used} rows", file=sys.stderr)
        for reason, number in sorted(one.excluded.items()):
            print(f"  {number} excluded: {reason}", file=sys.stderr)
        if one.metrics and options.label is None and options.harm is None:
            print(f"  scores that --label or --harm can take: {', '.join(sorted(one.metrics))}", file=sys.stderr)
    print(f"{rows} rows: {options.out}", file=sys.stderr)
    return 0


def _for_each(values: Sequence[str], count: int, flag: str) -> list[str | None]:
    if len(values) not in (0, 1, count):
        raise BadInput(f"{flag}: {len(values)} values for {count} files; give one, or one for each file in their order")
    if len(values) == count:
        return list(values)
    return [values[0] if values else None] * count
