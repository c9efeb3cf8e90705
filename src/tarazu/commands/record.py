"""`tarazu record ...`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tarazu.commands.ceilings import (
    LARGEST_MIB,
    CeilingOptions,
    DocumentOptions,
    MaxSize,
    TrustedSigners,
    trusted_signers,
)
from tarazu.commands.dispatch import command, group
from tarazu.commands.options import one_of, prints_json
from tarazu.commands.output import print_json, print_line
from tarazu.commands.preregistering import signed_plan
from tarazu.commands.published import CitationOptions, NewFolder, SourceFiles, import_evaluation
from tarazu.errors import BadInput

if TYPE_CHECKING:
    from tarazu.files import Json
    from tarazu.record.contracts import Assessment, AttestationEntry, Cap

app = group(
    name="record",
    short_help="Make a run or a study citable and checkable.",
    help="Make a record of a run or of an outside study, check it, correct it, sign it. docs/records.md describes what "
    "a record contains. Needs the extra `records`.",
)

RecordFolder = Annotated[Path, typer.Argument(metavar="RECORD", help="Record folder.")]


# The models that define these words are imported only where they are needed, to keep the program's start fast.
def _depth(text: str) -> Any:
    from tarazu.record.model import DEPTHS

    return one_of(text, DEPTHS)


def _correction_type(text: str) -> Any:
    from typing import get_args

    from tarazu.record.contracts import CorrectionType

    return one_of(text, get_args(CorrectionType))


def _digest(text: str) -> str:
    if not re.fullmatch("sha256:[0-9a-f]{64}", text):
        raise typer.BadParameter(f"must be sha256: and 64 hex digits, not {text!r}")
    return text


def _replacement(text: str) -> tuple[str, Path]:
    path, separator, file = text.partition("=")
    if not (path and separator and file):
        raise typer.BadParameter(f"must be PATH=FILE, not {text!r}")
    return path, Path(file)


@dataclass(frozen=True, kw_only=True)
class BuildOptions(CitationOptions, DocumentOptions):
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]
    out: NewFolder
    claims: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own claims (YAML), in addition to the drafted ones.")
    ] = None
    sources: Annotated[list[Path], SourceFiles] = field(default_factory=list)
    pooled: Annotated[
        list[Path],
        typer.Option(
            "--run", metavar="RUN", help="Where RUN is a folder of `tarazu pool`: each pooled run. Repeatable."
        ),
    ] = field(default_factory=list)
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Check that RUN's plan is this one, and put the signature beside it into RUN.",
        ),
    ] = None


@command(
    app,
    "build",
    summary="Make a record of a run folder.",
    description="Make a record of RUN: a folder that `tarazu run` or `tarazu analyze --out` wrote. Claims are drafted "
    "from its results.json. Of runs that `tarazu pool --out` pooled, RUN is that folder, and --run names each of them.",
    example="tarazu record build runs/demo --out records/demo",
)
def build(options: BuildOptions) -> int:
    from tarazu.pool.recorded import POOL
    from tarazu.record.build.assemble import AuthorInput, build_from_pool, build_from_run
    from tarazu.record.build.evidence import take_plan
    from tarazu.record.show import record_text

    author = AuthorInput(
        claims=options.claims, sources=options.sources, citation=options.citation(), limits=options.limits()
    )
    if options.pooled or (options.run / POOL).is_file():
        if options.plan is not None:
            raise BadInput("--plan is for the record of one run; build it with --plan first, then pool the runs")
        print(record_text(build_from_pool(options.run, options.pooled, options.out, author)), end="")
        return 0
    if (plan := signed_plan(options.plan)) is not None:
        take_plan(options.run, plan)
    print(record_text(build_from_run(options.run, options.out, author)), end="")
    return 0


command(
    app,
    "import",
    summary="Make a record of a published evaluation: its files, its claims, its document.",
    description="Make a record of an evaluation that others ran, so that its claims can be checked one by one. FILE is "
    "a table of scores or counts as for `tarazu analyze` (several, if each has one arm or language), or what `tarazu "
    "import` reads: logs of inspect, samples of lm-evaluation-harness, Every Eval Ever. Without --claims, the claims "
    "are those that follow from the scores. A claim that the scores contradict does not stop the build; `record "
    "verify` then reports FALSIFIED. Options with * are given once, or once for each file. docs/imported.md has "
    "examples.",
    example="tarazu record import base.eval dpo.eval --language de --kind harmful --harm judge --out records/theirs",
)(import_evaluation)


Depth = Annotated[
    Any,
    typer.Option(
        metavar="DEPTH",
        parser=_depth,
        help="Where the re-run begins: analysis (from the scores), responses, or training.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(CeilingOptions):
    record: RecordFolder
    trusted: TrustedSigners = field(default_factory=list)
    digest: Annotated[
        str | None,
        typer.Option(
            metavar="D",
            parser=_digest,
            help="The manifest's digest (sha256:...) from someone you trust. Any other manifest is refused.",
        ),
    ] = None
    depth: Depth = "analysis"
    json: Annotated[bool, prints_json("gate.json, the tier and the caps")] = False


@command(
    app,
    "verify",
    summary="Run the gate: re-run a record in a sealed sandbox and compare the results with its claims.",
    description="Check RECORD at the gate: its hashes, corrections and signature; then its analysis in a sealed "
    "sandbox, on its scores and on others; its claims against the new results; a change to each claim and to the "
    "scores, which must be detected; its proofs and its quotations. docs/records.md says what VERIFIED promises. "
    "Writes gate.json, assessment.json and record.html. Exit code 0 means VERIFIED; any other verdict gives 1.",
    example="tarazu record verify records/demo --digest sha256:...",
)
def verify_record(options: VerifyOptions) -> int:
    from tarazu.files import to_json
    from tarazu.record.verify.gate import verify

    stream = sys.stderr if options.json else sys.stdout
    gate = verify(
        options.record,
        depth=options.depth,
        digest=options.digest,
        ceilings=options.ceilings(),
        trusted=trusted_signers(options.trusted),
        on_step=lambda line: print_line(line, stream),
    )
    assessment = write_outputs(options.record, size_mib=options.max_size, trusted=options.trusted)
    if options.json:
        limits = {"quality_tier": assessment.quality_tiers.tier, "caps": _caps_json(assessment.review.caps)}
        print_json(to_json(gate.model_dump(mode="json") | limits))
    else:
        print_line(f"    {assessment_line(assessment)}")
        for line in _attestation_lines(assessment.verification_levels.attestations):
            print_line(f"    {line}")
        for line in _cap_lines(assessment.review.caps):
            print_line(f"    {line}")
        for claim in gate.claims:
            if claim.verdict not in ("verified", "context"):
                print_line(f"    {claim.verdict}: {claim.id}: {claim.reason}")
            for warning in claim.warnings:
                print_line(f"    compare the words with the check: {claim.id}: {warning}")
    return 0 if gate.status == "VERIFIED" else 1


@dataclass(frozen=True, kw_only=True)
class AttestOptions(CeilingOptions):
    record: RecordFolder
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Private key: PEM, without a password.")] = None
    keyless: Annotated[
        bool,
        typer.Option(
            "--keyless",
            help="Sign with an identity that Sigstore certifies, in place of a key. Needs the network, a browser and "
            "the extra `sigstore`.",
        ),
    ] = False
    depth: Depth = "analysis"


@command(
    app,
    "attest",
    summary="Run the gate on a record, and sign what it found.",
    description="Run the gate on RECORD and add a signed statement of its verdict to attestations/: an in-toto "
    "Statement in a DSSE envelope. A record carries up to 100. One from responses or training, by a key other than the "
    "author's that a reader knows, lifts the record to L6 for that reader. Exit code 0 means VERIFIED; another verdict "
    "is signed too, and gives 1.",
    example="tarazu record attest records/demo --key key.pem --depth training",
)
def attest_record(options: AttestOptions) -> int:
    from tarazu.record.verify.attest import attest

    if (options.key is None) != options.keyless:
        raise BadInput("record attest: give --key FILE or --keyless, and not both")
    gate, file = attest(
        options.record, options.key, depth=options.depth, ceilings=options.ceilings(), on_step=print_line
    )
    assessment = write_outputs(options.record, size_mib=options.max_size)
    print_line(f"    {assessment_line(assessment)}")
    for line in _attestation_lines(assessment.verification_levels.attestations):
        print_line(f"    {line}")
    print_line(f"Attestation: {file.resolve()}")
    return 0 if gate.status == "VERIFIED" else 1


@dataclass(frozen=True, kw_only=True)
class AssessOptions:
    record: RecordFolder
    trusted: TrustedSigners = field(default_factory=list)
    judge_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="OpenAI-compatible address, such as http://127.0.0.1:8000/v1."),
    ] = None
    judge_model: Annotated[str | None, typer.Option(metavar="NAME", help="The model to use at that address.")] = None
    max_size: MaxSize = LARGEST_MIB
    json: Annotated[bool, prints_json("assessment.json")] = False


@command(
    app,
    "assess",
    summary="Compute levels, quality, tier and review from a record's public files, and write its page.",
    description="Write RECORD's assessment.json and record.html from its files and its gate.json, as `record verify` "
    "does after the gate. Nothing of the record is executed. This is triage by rules, not peer review. Optionally a "
    "language model adds a review, which does not count (set TARAZU_JUDGE_KEY if it needs a key).",
    example="tarazu record assess records/demo",
)
def assess_record(options: AssessOptions) -> int:
    from tarazu.files import to_json

    assessment = write_outputs(
        options.record,
        size_mib=options.max_size,
        trusted=options.trusted,
        judge_url=options.judge_url,
        judge_model=options.judge_model,
    )
    if options.json:
        print_json(to_json(assessment.model_dump(mode="json")))
        return 0
    print_line(assessment_line(assessment))
    for review in assessment.review.reviews:
        score = "no rule applies" if review.score is None else f"{review.score:.2f}"
        print_line(f"{review.reviewer}: {score}")
        missed = [
            f"{check.question} No. {check.finding} {check.fix}" for check in review.checks if check.passed is False
        ]
        for line in (*missed, *review.findings):
            print_line(f"  {line}")
    print_line(f"Page: {(options.record / 'record.html').resolve()}")
    return 0


@dataclass(frozen=True, kw_only=True)
class CorrectOptions:
    record: RecordFolder
    type: Annotated[
        Any,
        typer.Option(
            metavar="TYPE",
            parser=_correction_type,
            help="What is corrected: METADATA, ARTIFACT, CLAIM, BENCHMARK, PROVENANCE or QUALITY_ASSESSMENT.",
        ),
    ]
    note: Annotated[str, typer.Option(metavar="TEXT", help="What was wrong and what is right, in words for readers.")]
    fields: Annotated[
        list[str], typer.Option("--field", metavar="NAME", help="A field that the correction affects. Repeatable.")
    ] = field(default_factory=list)
    replace: Annotated[
        list[Any],
        typer.Option(
            metavar="PATH=FILE",
            parser=_replacement,
            help="Replace the record's PATH with FILE (manifest.json for title, abstract and authors). Repeatable.",
        ),
    ] = field(default_factory=list)


@command(
    app,
    "correct",
    summary="Append a correction; what was wrong stays readable.",
    description="Append a correction to RECORD. The previous manifest is kept in superseded/, and the corrections are "
    "chained by their digests. A signature is valid for one manifest only: sign again.",
    example="tarazu record correct records/demo --type CLAIM --note 'The CAS of dpo was that of sft.' --replace "
    "claims.json=claims.json",
)
def correct_record(options: CorrectOptions) -> int:
    from tarazu.record.corrections import correct

    paths = [path for path, _ in options.replace]
    if duplicate := next((path for path in paths if paths.count(path) > 1), None):
        raise BadInput(f"--replace {duplicate}: is given twice; give it once")
    corrected = correct(
        options.record, kind=options.type, note=options.note, fields=options.fields, replace=dict(options.replace)
    )
    print(f"{corrected.manifest.corrections.count} corrections; the manifest is now {corrected.digest}")
    return 0


@dataclass(frozen=True, kw_only=True)
class SignOptions:
    record: RecordFolder
    key: Annotated[Path, typer.Option(metavar="FILE", help="Private key: PEM, without a password.")]


@command(
    app,
    "sign",
    summary="Sign a record's manifest with an Ed25519 key.",
    description="Sign RECORD's manifest and write signature.json. To make a key: openssl genpkey -algorithm ed25519 "
    "-out key.pem",
    example="tarazu record sign records/demo --key key.pem",
)
def sign_record(options: SignOptions) -> int:
    from tarazu.record.reading import read_record
    from tarazu.record.signing import sign

    signed = sign(read_record(options.record), options.key)
    print(f"{signed.digest} signed by {signed.key_id}")
    return 0


@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    record: RecordFolder
    json: Annotated[bool, prints_json("the same as JSON")] = False


@command(
    app,
    "show",
    summary="Print what a record contains and claims.",
    description="Print a record's title, ids and claims, the depths from which it can be re-run, the gate's verdict if "
    "it has run, and what limits its review score and tier. Nothing of the record is executed and no digest is "
    "checked: `record verify` does that.",
    example="tarazu record show records/demo",
)
def show_record(options: ShowOptions) -> int:
    from tarazu.assessment.caps import caps
    from tarazu.files import to_json
    from tarazu.record.reading import read_record
    from tarazu.record.show import record_facts, record_text

    record = read_record(options.record)
    applied = caps(record)
    if options.json:
        print_json(to_json({**record_facts(record), "caps": _caps_json(applied)}))
    else:
        print(record_text(record), end="")
        print("Caps on review score and tier:" if applied else "Caps on review score and tier: none")
        for line in _cap_lines(applied):
            print_line(f"  {line}")
    return 0


def _caps_json(applied: Iterable[Cap]) -> list[Json]:
    return [cap.model_dump(mode="json") for cap in applied]


def _cap_lines(applied: Iterable[Cap]) -> Iterator[str]:
    for cap in applied:
        yield f"{cap.id}: at most {cap.ceiling:.2f} and {cap.highest_tier}. {cap.reason} To lift it: {cap.lift}"


def _attestation_lines(attestations: Iterable[AttestationEntry]) -> Iterator[str]:
    for one in attestations:
        unnamed = "a signer whom you have not named" if one.key_id else "an unknown signer"
        whose = "the author's key" if one.by_author else one.signer or unnamed
        said = one.path
        if one.status is not None:
            said = f"{one.status} from {one.depth}, {one.evaluated_at}, by {whose} ({one.key_id})"
        counts = "; an independent reproduction" if one.independent else ""
        yield f"attestation {one.state}: {said}{counts}" + ("" if one.state == "accepted" else f": {one.reason}")


def write_outputs(
    path: Path,
    *,
    size_mib: int | None = None,
    trusted: Sequence[tuple[str, str]] = (),
    judge_url: str | None = None,
    judge_model: str | None = None,
) -> Assessment:
    """Write assessment.json and record.html of the record at `path`. Raises BadInput, TarazuError."""
    from tarazu.assessment.assess import assess, write_assessment
    from tarazu.assessment.facts import read_facts
    from tarazu.assessment.review import review_by_model
    from tarazu.record.reading import read_record
    from tarazu.site.record_page import write_record_page

    if (judge_url is None) != (judge_model is None):
        raise BadInput("--judge-url and --judge-model: give both or neither")
    facts = read_facts(read_record(path, size_mib=size_mib), trusted_signers(trusted))
    model = (
        review_by_model(facts, judge_url, judge_model) if judge_url is not None and judge_model is not None else None
    )
    assessment = assess(facts, model)
    write_assessment(facts, assessment)
    write_record_page(facts, assessment)
    return assessment


def assessment_line(assessment: Assessment) -> str:
    """The assessment in a line."""
    levels, tier = assessment.verification_levels, assessment.quality_tiers.tier.replace("_", " ").lower()
    score = f"{assessment.review.score:.2f}/10"
    level = f"L{levels.paper_level} {levels.paper_level_label}"
    return f"{level}; review {score} (automated); {tier}. Triage, not peer review."
