"""The published JSON Schemas (2020-12) of results.json and of a record's other files.

They are generated from the models, and builds check files against them.

`scripts/write_docs.py` writes them to src/tarazu/schemas/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydantic import BaseModel, JsonValue

from tarazu.errors import BadInput
from tarazu.preregistration.model import Plan
from tarazu.record.attestation.statement import Statement
from tarazu.record.contracts import (
    Assessment,
    BenchmarkEvidence,
    CorrectionEvent,
    CorrectionRecord,
    GateReport,
    QualityDimensions,
    QualityTiers,
    Review,
    ReviewMonitor,
    Signature,
    VerificationLevels,
)
from tarazu.record.manifest import Manifest
from tarazu.record.metadata.provenance import Provenance
from tarazu.record.model import Claims, Repro
from tarazu.results.model import Results

MODELS: Final[dict[str, type[BaseModel]]] = {
    "results-v2": Results,
    "preregistration-v1": Plan,
    "claims-v1": Claims,
    "repro-v1": Repro,
    "paper-manifest-v1.1": Manifest,
    "source-provenance-v1": Provenance,
    "correction-event-v1": CorrectionEvent,
    "correction-record-v1": CorrectionRecord,
    "signature-v1": Signature,
    "gate-attestation-v1": Statement,
    "gate-verdict-v1": GateReport,
    "assessment-v2": Assessment,
    "verification-levels-v1": VerificationLevels,
    "quality-dimensions-v1": QualityDimensions,
    "quality-tiers-v1": QualityTiers,
    "automated-review-v2": Review,
    "review-monitor-v1": ReviewMonitor,
    "benchmark-evidence-v1": BenchmarkEvidence,
}
"""Model of each schema, by the schema's name: src/tarazu/schemas/<name>.schema.json."""


def schema_of(name: str) -> dict[str, JsonValue]:
    """The JSON Schema of a model."""
    schema = MODELS[name].model_json_schema(by_alias=True)
    _close(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"tarazu/{name}",
        **schema,
    }


def _close(node: Any) -> None:
    """Refuse keys of a mapping that do not have the form that its keys have, as the models do."""
    for below in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _close(below)
    if isinstance(node, dict) and "patternProperties" in node:
        node.setdefault("additionalProperties", False)


@cache
def _published(name: str) -> Mapping[str, JsonValue]:
    text = files("tarazu").joinpath(f"schemas/{name}.schema.json").read_text(encoding="utf-8")
    published: dict[str, JsonValue] = json.loads(text)
    return published


def check_schema(value: Any, name: str, file: str) -> None:
    """Raise BadInput if `value`, the content of `file`, does not match the published schema `name`."""
    from jsonschema import Draft202012Validator

    error = next(iter(Draft202012Validator(_published(name)).iter_errors(value)), None)
    if error is not None:
        raise BadInput(f"{file}: {error.json_path}: {error.message[:300]}; it does not match the schema {name}")
