"""`tarazu record ...`: arguments in, one call, exit code out."""

from __future__ import annotations

import argparse
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tarazu.assessment.commands import add_assess
from tarazu.record.gate_commands import add_correct, add_sign, add_verify

if TYPE_CHECKING:
    from tarazu.record.metadata.citation import CitationInfo

_STUDY_HELP = "take thresholds, groups, arms and analysis from this study (a shipped one, or a YAML file)"


def add_record(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command group; each subcommand sets `handler`, a function from its arguments to an exit code."""
    record = commands.add_parser(
        "record",
        help="records: a run made citable and checkable",
        description="Make a record of a run or of an outside study, check it, correct it, sign it. docs/records.md "
        "says what a record holds. Needs the extra `records`.",
    )
    actions = record.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_build(actions)
    _add_import(actions)
    add_verify(actions)
    add_assess(actions)
    add_correct(actions)
    add_sign(actions)
    _add_show(actions)


def run_record(arguments: argparse.Namespace) -> int:
    """Carry out the subcommand; its exit code."""
    code: int = arguments.handler(arguments)
    return code


def _add_build(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    build = actions.add_parser(
        "build",
        help="a record from a run folder",
        description="Make a record of RUN: a folder that `tarazu run` or `tarazu analyze --out` wrote. Claims are "
        "drafted from its results.json.",
        epilog="example: tarazu record build runs/demo --out records/demo",
    )
    build.add_argument("run", type=Path, metavar="RUN", help="run folder")
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make (new or empty)")
    build.add_argument("--claims", type=Path, metavar="FILE", help="your own claims (YAML), beside the drafted ones")
    _add_sources(build)
    _add_work(build)
    build.set_defaults(handler=_build)


def _add_import(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    imported = actions.add_parser(
        "import",
        help="a record from an outside study: its scores, its claims, its document",
        description="Make a record of a study that was carried out elsewhere, so that what it says can be checked "
        "claim by claim. A claim that its own table contradicts does not stop the build; `record verify` then says "
        "FALSIFIED.",
        epilog="example: tarazu record import scores.csv --claims claims.yaml --source paper.pdf --out records/paper",
    )
    imported.add_argument("scores", type=Path, metavar="SCORES", help="table of scores, as `tarazu analyze` takes it")
    imported.add_argument("--claims", type=Path, required=True, metavar="FILE", help="the study's claims (YAML)")
    _add_sources(imported, required=True)
    imported.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make (new or empty)")
    imported.add_argument(
        "--known-answers", type=Path, metavar="FILE", help="rewards of known answers, as `tarazu analyze` takes them"
    )
    imported.add_argument("--study", metavar="STUDY", help=_STUDY_HELP)
    imported.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, for example --set thresholds.harmless=-2; repeatable",
    )
    imported.add_argument("--base", metavar="ARM", help="the arm that the others are compared with (default: base)")
    imported.add_argument("--primary", metavar="ARM", help="the arm of the primary question (default: dpo)")
    _add_work(imported)
    imported.set_defaults(handler=_import)


def _add_show(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    show = actions.add_parser(
        "show",
        help="what a record holds and says",
        description="Print a record's title, ids, claims, the depths it can be run again from, and what the gate found "
        "where it has run. Nothing of the record is executed and no digest is checked: that is `record verify`.",
        epilog="example: tarazu record show records/demo",
    )
    show.add_argument("record", type=Path, metavar="RECORD", help="record folder")
    show.add_argument("--json", action="store_true", help="print as JSON")
    show.set_defaults(handler=_show)


def _add_sources(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--source",
        type=Path,
        action="append",
        default=[],
        required=required,
        metavar="FILE",
        help="a document that source-grounded claims quote (.pdf, .html, .md); repeatable",
    )


def _add_work(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--title", metavar="TEXT", help="title of the work (default: the study's or the document's)")
    parser.add_argument("--abstract", metavar="TEXT", help="abstract (default: the answer in words)")
    parser.add_argument("--question", metavar="TEXT", help="research question (default: that of the analysis)")
    parser.add_argument(
        "--author", action="append", default=[], metavar="NAME", help="an author, as 'Family, Given'; repeatable"
    )
    parser.add_argument(
        "--license", metavar="SPDX", help="licence of the record, as an SPDX identifier such as CC-BY-4.0"
    )
    parser.add_argument("--link", action="append", default=[], metavar="URL", help="a page about the work; repeatable")
    parser.add_argument(
        "--date",
        type=_date,
        metavar="YYYY-MM-DD",
        help="submission date (default: today); two builds of the same evidence with the same date are equal files",
    )


def _date(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise argparse.ArgumentTypeError(f"must be a date such as 2026-11-24, not {text!r}")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"no such day: {text}") from None


def _build(arguments: argparse.Namespace) -> int:
    from tarazu.record.build.assemble import build_from_run
    from tarazu.record.show import record_text

    record = build_from_run(
        arguments.run,
        arguments.out,
        claims=arguments.claims,
        sources=arguments.source,
        citation=_citation(arguments),
    )
    print(record_text(record), end="")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from tarazu.record.build.assemble import build_from_scores
    from tarazu.record.show import record_text

    record = build_from_scores(
        arguments.scores,
        arguments.out,
        claims=arguments.claims,
        sources=arguments.source,
        known_answers=arguments.known_answers,
        study=arguments.study,
        overrides=arguments.set,
        base=arguments.base,
        primary=arguments.primary,
        citation=_citation(arguments),
    )
    print(record_text(record), end="")
    return 0


def _citation(arguments: argparse.Namespace) -> CitationInfo:
    from tarazu.record.metadata.citation import CitationInfo

    return CitationInfo(
        title=arguments.title,
        abstract=arguments.abstract,
        question=arguments.question,
        authors=tuple(arguments.author),
        license=arguments.license,
        links=tuple(arguments.link),
        submitted=arguments.date or date.today(),
    )


def _show(arguments: argparse.Namespace) -> int:
    from tarazu.files import to_json
    from tarazu.record.reading import read_record
    from tarazu.record.show import record_facts, record_text

    record = read_record(arguments.record)
    print(to_json(record_facts(record)) if arguments.json else record_text(record), end="")
    return 0
