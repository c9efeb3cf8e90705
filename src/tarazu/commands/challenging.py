"""`tarazu record challenge`: reviewers on records with planted faults."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tarazu.commands.ceilings import CeilingOptions
from tarazu.commands.dispatch import command
from tarazu.commands.options import positive, prints_json
from tarazu.commands.output import print_json, print_line
from tarazu.commands.record import NewFolder, RecordFolder, app
from tarazu.errors import BadInput

if TYPE_CHECKING:
    from tarazu.assessment.challenge.reviewers import Reviewer
    from tarazu.record.reading import Record

MOST_FAULTS = 50


def _faults(text: str) -> int:
    count = positive(text)
    if count > MOST_FAULTS:
        raise typer.BadParameter(f"must be at most {MOST_FAULTS}, not {count}")
    return count


@dataclass(frozen=True, kw_only=True)
class ChallengeOptions(CeilingOptions):
    record: RecordFolder
    out: NewFolder
    judge_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="OpenAI-compatible address of a reviewer, such as http://127.0.0.1:8000/v1."),
    ] = None
    judge_model: Annotated[str | None, typer.Option(metavar="NAME", help="The model to use at that address.")] = None
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A local checkpoint with a chat template, as a reviewer on this machine."),
    ] = None
    faults: Annotated[
        int, typer.Option(metavar="N", parser=_faults, help="Plant N of the 50 faults, evenly chosen.")
    ] = MOST_FAULTS
    seed: Annotated[int, typer.Option(metavar="N", help="Decides the order of the claims in each copy.")] = 0
    json: Annotated[bool, prints_json("challenge.json")] = False


@command(
    app,
    "challenge",
    summary="Count the planted faults that reviewers find, and those that they invent.",
    description="Plant one fault each into 50 copies of RECORD, keep some without a fault, and give all of them to the "
    "gate, to the rules of the assessment and, if you name one, to a language model. Writes challenge.json and "
    "challenge.md to DIR: how many faults each finds, its false alarms, agreement, and what its confidence is worth. "
    "Nothing of it enters the gate, the review score or the tier. RECORD is one that `record build` drafted, without "
    "a plan; it is not changed. Set TARAZU_JUDGE_KEY if the address needs a key. docs/reviewers.md has results.",
    example="tarazu record challenge records/demo --out challenge",
)
def challenge_record(options: ChallengeOptions) -> int:
    from tarazu.assessment.challenge.cases import make_cases
    from tarazu.assessment.challenge.paper import paper_of
    from tarazu.assessment.challenge.scoring import challenge
    from tarazu.assessment.challenge.table import table_of
    from tarazu.files import atomic_directory, refuse_occupied, to_json, write_text
    from tarazu.record.reading import read_record

    if (options.judge_url is None) != (options.judge_model is None):
        raise BadInput("--judge-url and --judge-model: give both or neither")
    refuse_occupied(options.out)
    record = read_record(options.record, size_mib=options.max_size)
    cases = make_cases(paper_of(record), options.seed, options.faults)
    with ExitStack() as stack:
        result = challenge(
            cases, _reviewers(options, record, stack), record=record.digest, seed=options.seed, progress=_progress
        )
    text, table = to_json(result.model_dump(mode="json", by_alias=True)), table_of(result)
    with atomic_directory(options.out) as folder:
        write_text(folder / "challenge.json", text)
        write_text(folder / "challenge.md", table)
    if options.json:
        print_json(text)
    else:
        for line in table.splitlines():
            print_line(line)
    return 0


def _reviewers(options: ChallengeOptions, record: Record, stack: ExitStack) -> list[Reviewer]:
    """The language models that were named, the gate and the rules. The gate takes longest, and a server may fail."""
    from tarazu.assessment.challenge.reviewers import Gate, Rules, local_model, served_model

    models: list[Reviewer] = []
    if options.judge_url is not None and options.judge_model is not None:
        models.append(stack.enter_context(served_model(options.judge_url, options.judge_model)))
    if options.checkpoint is not None:
        models.append(local_model(str(options.checkpoint)))
    return [*models, Gate(record, options.ceilings()), Rules(record)]


def _progress(reviewer: str, done: int, total: int) -> None:
    if done == total or done % 10 == 0:
        typer.echo(f"{reviewer}: {done} of {total}", err=True)
