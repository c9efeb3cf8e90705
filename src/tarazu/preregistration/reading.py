"""A plan's file: written canonically, read strictly, known by the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tarazu.errors import BadInput
from tarazu.files import file_sha256, to_json, write_text
from tarazu.preregistration.model import PLAN_SCHEMA, Plan
from tarazu.readers import read_json, validation_message

PLAN_FILE = "preregistration.json"
"""The plan's name in a run folder and in a record."""
SIGNATURE_FILE = "preregistration.signature.json"


@dataclass(frozen=True, kw_only=True)
class FrozenPlan:
    """A plan, the text of its file, and the signature beside it; `signature` is the text of that file."""

    plan: Plan
    text: str
    signature: str | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()


def signature_of(path: Path) -> Path:
    """Where the signature of a plan's file is: beside it."""
    return path.with_name(f"{path.name.removesuffix('.json')}.signature.json")


def plan_text(plan: Plan) -> str:
    """The one text of a plan's file."""
    return to_json(plan.model_dump(mode="json", by_alias=True))


def read_plan(path: Path) -> FrozenPlan:
    """Read a plan and the signature beside it, which is not checked here.

    Raises BadInput, one line with file, key and fix, for a file that is not a plan or is not as `tarazu preregister`
    wrote it.
    """
    fix = "make a plan with `tarazu preregister`"
    if not path.is_file():
        raise BadInput(f"{path}: no such file; {fix}")
    value = read_json(path)
    if not isinstance(value, dict) or value.get("schema") != PLAN_SCHEMA:
        raise BadInput(f"{path}: does not have the schema {PLAN_SCHEMA}; {fix}")
    try:
        plan = Plan.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise BadInput(f"{path}: {validation_message(error)}; {fix}") from None
    text = plan_text(plan)
    if hashlib.sha256(text.encode("utf-8")).hexdigest() != file_sha256(path):
        raise BadInput(f"{path}: is not as `tarazu preregister` writes it; restore the original, or {fix}")
    beside = signature_of(path)
    try:
        signature = beside.read_text(encoding="utf-8") if beside.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{beside}: cannot be read ({error}); sign the plan again, or remove the file") from None
    return FrozenPlan(plan=plan, text=text, signature=signature)


def write_plan(folder: Path, frozen: FrozenPlan | None) -> None:
    """Write a plan and its signature into a folder, in place of those of an earlier analysis."""
    texts = (None, None) if frozen is None else (frozen.text, frozen.signature)
    for name, text in zip((PLAN_FILE, SIGNATURE_FILE), texts, strict=True):
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            write_text(folder / name, text)
