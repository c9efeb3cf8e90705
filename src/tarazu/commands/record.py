"""`tarazu record ...`: arguments in, one call, exit code out."""

from __future__ import annotations

import argparse
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tarazu.errors import BadInput

if TYPE_CHECKING:
    from tarazu.record.contracts import Assessment
    from tarazu.record.metadata.citation import CitationInfo

Actions = argparse._SubParsersAction  # argparse has no public name for it
_STUDY_HELP = "take thresholds, groups, arms and analysis from this study (a shipped one, or a YAML file)"


def add_record(commands: Actions[argparse.ArgumentParser]) -> None:
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
    _add_verify(actions)
    _add_assess(actions)
    _add_correct(actions)
    _add_sign(actions)
    _add_show(actions)


def run_record(arguments: argparse.Namespace) -> int:
    """Carry out the subcommand; its exit code."""
    code: int = arguments.handler(arguments)
    return code


def _add_build(actions: Actions[argparse.ArgumentParser]) -> None:
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


def _add_import(actions: Actions[argparse.ArgumentParser]) -> None:
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


def _add_show(actions: Actions[argparse.ArgumentParser]) -> None:
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
    from tarazu.record.build.assemble import OutsideStudy, build_from_scores
    from tarazu.record.show import record_text

    outside = OutsideStudy(
        scores=arguments.scores,
        known_answers=arguments.known_answers,
        study=arguments.study,
        overrides=arguments.set,
        base=arguments.base,
        primary=arguments.primary,
    )
    record = build_from_scores(
        outside,
        arguments.out,
        claims=arguments.claims,
        sources=arguments.source,
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


def _add_verify(actions: Actions[argparse.ArgumentParser]) -> None:
    verify = actions.add_parser(
        "verify",
        help="the gate: run a record again in a sealed sandbox, and compare it with what it claims",
        description="Take RECORD through the gate: hashes, corrections, signature; then its script in a sealed "
        "sandbox, its claims against the fresh results, each claim changed to see that the change is noticed, its "
        "proofs and its quotations. Writes gate.json, assessment.json and record.html. Exits with 0 for VERIFIED only.",
        epilog="example: tarazu record verify records/demo --digest sha256:...",
    )
    verify.add_argument("record", type=Path, metavar="RECORD", help="record folder")
    verify.add_argument(
        "--digest",
        type=_digest,
        metavar="D",
        help="the manifest's digest (sha256:...) as you had it from someone you trust; another manifest is refused",
    )
    verify.add_argument(
        "--depth",
        type=_depth,
        default="analysis",
        metavar="DEPTH",
        help="where the re-run begins: analysis (at the scores; default), responses, or training",
    )
    verify.add_argument("--json", action="store_true", help="print gate.json on standard output")
    verify.set_defaults(handler=_verify)


def _add_correct(actions: Actions[argparse.ArgumentParser]) -> None:
    correct = actions.add_parser(
        "correct",
        help="append a correction; what was wrong stays readable",
        description="Append a correction to RECORD. The manifest that it replaces is kept in superseded/, and events "
        "are chained by their digests. A signature is for one manifest: sign again.",
        epilog="example: tarazu record correct records/demo --type CLAIM --note 'The CAS of dpo was that of sft.' "
        "--replace claims.json=claims.json",
    )
    correct.add_argument("record", type=Path, metavar="RECORD", help="record folder")
    correct.add_argument(
        "--type",
        required=True,
        type=_correction_type,
        metavar="TYPE",
        help="what is corrected: METADATA, ARTIFACT, CLAIM, BENCHMARK, PROVENANCE or QUALITY_ASSESSMENT",
    )
    correct.add_argument("--note", required=True, metavar="TEXT", help="what was wrong and what is right, for readers")
    correct.add_argument(
        "--field", action="append", default=[], metavar="NAME", help="a field that it affects; repeatable"
    )
    correct.add_argument(
        "--replace",
        action="append",
        default=[],
        type=_replacement,
        metavar="PATH=FILE",
        help="put FILE in the place of the record's PATH (manifest.json for title, abstract, authors); repeatable",
    )
    correct.set_defaults(handler=_correct)


def _add_sign(actions: Actions[argparse.ArgumentParser]) -> None:
    sign = actions.add_parser(
        "sign",
        help="sign a record's manifest with an Ed25519 key",
        description="Sign RECORD's manifest and write signature.json. Make a key with: openssl genpkey -algorithm "
        "ed25519 -out key.pem",
        epilog="example: tarazu record sign records/demo --key key.pem",
    )
    sign.add_argument("record", type=Path, metavar="RECORD", help="record folder")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="private key: PEM, without a password")
    sign.set_defaults(handler=_sign)


def _one_of(text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(known)}, not {text!r}")
    return text


# The models that know these words are loaded where they are needed, not at every start of the program.
def _depth(text: str) -> str:
    from tarazu.record.model import DEPTHS

    return _one_of(text, DEPTHS)


def _correction_type(text: str) -> str:
    from typing import get_args

    from tarazu.record.contracts import CorrectionType

    return _one_of(text, get_args(CorrectionType))


def _digest(text: str) -> str:
    if not re.fullmatch("sha256:[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError(f"must be sha256: and 64 hex digits, not {text!r}")
    return text


def _replacement(text: str) -> tuple[str, Path]:
    path, found, file = text.partition("=")
    if not (path and found and file):
        raise argparse.ArgumentTypeError(f"must be PATH=FILE, not {text!r}")
    return path, Path(file)


def _verify(arguments: argparse.Namespace) -> int:
    import sys

    from tarazu.files import to_json
    from tarazu.record.verify.gate import verify
    from tarazu.report.text import visible

    stream = sys.stderr if arguments.json else sys.stdout
    found = verify(
        arguments.record,
        depth=arguments.depth,
        digest=arguments.digest,
        # A record may be a stranger's: what it says must not move the cursor.
        on_step=lambda line: print(visible(line.replace("\n", " ")), file=stream, flush=True),
    )
    assessed = write_outputs(arguments.record)
    if arguments.json:
        print(to_json(found), end="")
    else:
        print(f"    {assessment_line(assessed)}")
        for claim in found["claims"]:
            if claim["verdict"] != "verified":
                print(visible(f"    {claim['verdict']}: {claim['id']}: {claim['reason']}".replace("\n", " ")))
    return 0 if found["status"] == "VERIFIED" else 1


def _correct(arguments: argparse.Namespace) -> int:
    from tarazu.record.corrections import correct

    paths = [path for path, _ in arguments.replace]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise BadInput(f"--replace {twice}: is given twice; give it once")
    made = correct(
        arguments.record,
        kind=arguments.type,
        note=arguments.note,
        fields=arguments.field,
        replace=dict(arguments.replace),
    )
    print(f"{made.manifest.corrections.count} corrections; the manifest is now {made.digest}")
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    from tarazu.record.reading import read_record
    from tarazu.record.signing import sign

    made = sign(read_record(arguments.record), arguments.key)
    print(f"{made.digest} signed by {made.key_id}")
    return 0


def _add_assess(actions: Actions[argparse.ArgumentParser]) -> None:
    assess = actions.add_parser(
        "assess",
        help="levels, quality, tier and review from a record's public files, and its page",
        description="Write RECORD's assessment.json and record.html from its files and its gate.json, as `record "
        "verify` does after the gate. Nothing of the record is executed. Triage by rules, not peer review. By choice a "
        "language model adds a review, which does not count (its key, where it asks for one, in TARAZU_JUDGE_KEY).",
        epilog="example: tarazu record assess records/demo",
    )
    assess.add_argument("record", type=Path, metavar="RECORD", help="record folder")
    assess.add_argument(
        "--judge-url", metavar="URL", help="OpenAI-compatible address, such as http://127.0.0.1:8000/v1"
    )
    assess.add_argument("--judge-model", metavar="NAME", help="the model to ask there")
    assess.add_argument("--json", action="store_true", help="print assessment.json on standard output")
    assess.set_defaults(handler=_assess)


def write_outputs(path: Path, *, judge_url: str | None = None, judge_model: str | None = None) -> Assessment:
    """Write assessment.json and record.html of the record at `path`. Raises BadInput, TarazuError."""
    from tarazu.assessment.assess import assess, write_assessment
    from tarazu.assessment.facts import read_facts
    from tarazu.assessment.review import review_by_model
    from tarazu.record.reading import read_record
    from tarazu.site.record_page import write_record_page

    if (judge_url is None) != (judge_model is None):
        raise BadInput("--judge-url and --judge-model: give both or neither")
    facts = read_facts(read_record(path))
    model = (
        review_by_model(facts, judge_url, judge_model) if judge_url is not None and judge_model is not None else None
    )
    found = assess(facts, model)
    write_assessment(facts, found)
    write_record_page(facts, found)
    return found


def assessment_line(found: Assessment) -> str:
    """The assessment in a line."""
    levels, tier = found.verification_levels, found.quality_tiers.tier.replace("_", " ").lower()
    return (
        f"L{levels.paper_level} {levels.paper_level_label}; review {found.review.score:.2f}/10 (automated); {tier}. "
        "Triage, not peer review."
    )


def _assess(arguments: argparse.Namespace) -> int:
    from tarazu.files import to_json
    from tarazu.report.text import visible

    found = write_outputs(arguments.record, judge_url=arguments.judge_url, judge_model=arguments.judge_model)
    if arguments.json:
        print(to_json(found.model_dump(mode="json")), end="")
        return 0
    print(assessment_line(found))
    for review in found.review.reviews:
        score = "no rule applies" if review.score is None else f"{review.score:.2f}"
        print(f"{review.reviewer}: {score}")
        missed = [
            f"{check.question} No. {check.finding} {check.fix}" for check in review.checks if check.passed is False
        ]
        for line in (*missed, *review.findings):
            print(visible(f"  {line}".replace("\n", " ")))
    print(f"Page: {(arguments.record / 'record.html').resolve()}")
    return 0
