"""Results as JSON: written in one place, read back through the same models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tarazu.errors import BadInput
from tarazu.files import to_json, write_text
from tarazu.readers import read_json, validation_message
from tarazu.results.model import SCHEMA, Results


def document(results: Results) -> dict[str, Any]:
    """The results as JSON objects, arrays and values."""
    return results.model_dump(mode="json", by_alias=True)


def results_json(results: Results) -> str:
    """The text of results.json. Equal results give equal bytes."""
    return to_json(document(results))


def write_results(path: Path, results: Results) -> None:
    """Write results.json."""
    write_text(path, results_json(results))


def read_results(path: Path) -> Results:
    """Read and validate a results.json.

    Raises BadInput, one line that names the file, the key and the fix.
    """
    return results_of(read_json(path), str(path))


def results_of(value: Any, file: str) -> Results:
    """The results that the JSON value of `file` holds. Raises BadInput as `read_results` does."""
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise BadInput(f"{file}: does not have the schema {SCHEMA}; compute it again with this version")
    try:
        # Strict, and so from text: JSON has no tuples, and a number in quotation marks is not a number.
        return Results.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise BadInput(f"{file}: {validation_message(error)}; it does not match the schema {SCHEMA}") from None
