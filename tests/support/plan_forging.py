"""What somebody does who forges a plan: from the plan alone to everything that refers to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from attesting import new_key
from gate_records import edit, reseal

from tarazu.files import file_sha256, to_json
from tarazu.preregistration.conduct import BINDING
from tarazu.preregistration.reading import PLAN_FILE, SIGNATURE_FILE
from tarazu.record.signing import PLAN, sign_digest

Edit = Callable[[Any], Any]


# --- what an attacker does to hide a change --------------------------------------------------------------


def rewrite(record: Path, change: Edit) -> None:
    """Change the plan and write it in its own layout."""
    plan = json.loads((record / PLAN_FILE).read_text(encoding="utf-8"))
    change(plan)
    (record / PLAN_FILE).write_text(to_json(plan), encoding="utf-8")


def sign_again(record: Path, *, context: bytes = PLAN) -> None:
    """Sign the plan with another key than the author's."""
    key = new_key(record.parent / "other.pem", 9)
    signed = sign_digest(f"sha256:{file_sha256(record / PLAN_FILE)}", key, context)
    (record / SIGNATURE_FILE).write_text(to_json(signed.model_dump(mode="json")), encoding="utf-8")


def name_plan(record: Path) -> None:
    """Let the results be about the plan that is there now, still confirmatory."""

    def change(results: Any) -> None:
        results["preregistration"]["plan"] = file_sha256(record / PLAN_FILE)

    edit(record / "results.json", change)


def rebind(record: Path, plan: str | None = None) -> None:
    """Write the plan's digest into the metadata of the responses, as if it had been there before them."""
    for path in sorted((record / "responses").glob("*.parquet")):
        mark(path, plan or file_sha256(record / PLAN_FILE))


def mark(path: Path, plan: str | None) -> None:
    table = pq.read_table(path)
    metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != BINDING}
    pq.write_table(table.replace_schema_metadata(metadata | ({BINDING: plan.encode()} if plan else {})), path)


def analyse(record: Path) -> None:
    """Give the record the results that its analysis gives, and the claim on the answer in words with them."""
    from tarazu.record.build.scripts.analysis import main

    main(record, record)
    sentence = json.loads((record / "results.json").read_text(encoding="utf-8"))["sentence"]

    def change(claims: Any) -> None:
        for claim in claims["claims"]:
            if claim.get("check", {}).get("pointer") == "/sentence":
                claim["check"]["value"] = sentence
                claim["statement"] = f"The answer in words: {sentence}"

    edit(record / "claims.json", change)


# --- how far the attacker goes ------------------------------------------------------------------------------


def kept(change: Edit) -> Callable[[Path], None]:
    """Only the plan is changed."""
    return lambda record: rewrite(record, change)


def listed(change: Edit) -> Callable[[Path], None]:
    """Also the manifest's digests."""
    return lambda record: (rewrite(record, change), reseal(record))[1]


def named(change: Edit) -> Callable[[Path], None]:
    """Also the plan's digest in the results. The old signature stays."""
    return lambda record: (rewrite(record, change), name_plan(record), reseal(record))[2]


def signed(change: Edit) -> Callable[[Path], None]:
    """Also the signature, by another key."""
    return lambda record: (rewrite(record, change), sign_again(record), name_plan(record), reseal(record))[3]


def bound(change: Edit) -> Callable[[Path], None]:
    """Also the metadata of the responses: all but what was done."""

    def apply(record: Path) -> None:
        rewrite(record, change)
        sign_again(record)
        name_plan(record)
        rebind(record)
        reseal(record)

    return apply


def honest(change: Edit, *, rebound: bool) -> Callable[[Path], None]:
    """The plan is another, and the results say what follows."""

    def apply(record: Path) -> None:
        rewrite(record, change)
        sign_again(record)
        if rebound:
            rebind(record)
        analyse(record)
        reseal(record)

    return apply


def bytes_of(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Another text of the plan's file, with signature, results and metadata for it."""

    def apply(record: Path) -> None:
        (record / PLAN_FILE).write_bytes(change((record / PLAN_FILE).read_bytes()))
        sign_again(record)
        name_plan(record)
        rebind(record)
        reseal(record)

    return apply
