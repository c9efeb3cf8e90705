"""`tarazu record verify`, `correct` and `sign`: arguments in, one call, exit code out."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from tarazu.errors import BadInput

Actions = argparse._SubParsersAction  # argparse has no public name for it


def add_verify(actions: Actions[Any]) -> None:
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


def add_correct(actions: Actions[Any]) -> None:
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


def add_sign(actions: Actions[Any]) -> None:
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

    from tarazu.assessment.commands import assessment_line, write_outputs
    from tarazu.files import to_json
    from tarazu.record.verify.gate import verify
    from tarazu.report.text import visible

    stream = sys.stderr if arguments.json else sys.stdout
    found = verify(
        arguments.record,
        depth=arguments.depth,
        digest=arguments.digest,
        # A record may be a stranger's: what it says must not move the cursor.
        say=lambda line: print(visible(line.replace("\n", " ")), file=stream, flush=True),
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
