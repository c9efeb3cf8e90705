"""`tarazu pool`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tarazu.commands.dispatch import command, group
from tarazu.commands.options import prints_json

app = group()


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, or of analyses: two or more.")]
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write pool.json and pool.html to this folder.")] = (
        None
    )
    margin: Annotated[
        float | None, typer.Option(metavar="POINTS", min=0, help="The margin of equivalence, where the runs' differ.")
    ] = None
    json: Annotated[bool, prints_json("pool.json")] = False


@command(
    app,
    "pool",
    summary="Pool the answers of several runs: one study over model families.",
    description="Pool D of several runs of one study with different models: a random-effects mean with its interval, "
    "how much models differ, a forest plot, and whether the finding is one model's alone. Needs no torch.",
    example="tarazu pool runs/smollm2 runs/gemma runs/opt --out runs/pooled",
)
def pool_answers(options: PoolOptions) -> int:
    from tarazu.pool.folders import pool_folders, pool_json, write_pool

    pooled = pool_folders(options.runs, options.margin)
    if options.out is not None:
        write_pool(pooled, options.out)
    print(pool_json(pooled) if options.json else pooled.sentence + "\n", end="")
    if options.out is not None:
        print(f"\nPage: {(options.out / 'pool.html').resolve()}", file=sys.stderr)
    return 0
