"""The query API's description (OpenAPI 3.1), from the same limits that the server enforces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import tarazu
from tarazu.files import Json
from tarazu.site.database import LONGEST_QUERY
from tarazu.site.summary import STATUSES, TIERS, VERDICTS, Summary

MOST: Final = 100
"""Largest number of records in an answer."""
FURTHEST: Final = 1_000_000
DEFAULT: Final = 20
LANGUAGE: Final = r"^[A-Za-z0-9-]{1,16}$"
RECORD: Final = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){0,3}(-[0-9A-Fa-f]{12})?$"
CHOICES: Final[dict[str, tuple[str, ...]]] = {"verdict": VERDICTS, "gate": STATUSES, "tier": TIERS}


def openapi() -> Mapping[str, Json]:
    """The description, which is /api/openapi.json and the site's openapi.json."""
    summary = Summary.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    count: Mapping[str, Json] = {"type": "integer", "minimum": 0}
    page: Mapping[str, Json] = {
        "type": "object",
        "required": ["total", "limit", "offset", "records"],
        "properties": {
            "total": {**count, "description": "Number of matching records."},
            "limit": count,
            "offset": count,
            "records": {"type": "array", "items": {"$ref": "#/components/schemas/Summary"}, "maxItems": MOST},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tarazu records",
            "version": tarazu.__version__,
            "summary": "Read-only queries over a site of records.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/api/records": {
                "get": _operation("listRecords", "List records, newest first.", "Page", [*_filters(), *_window()])
            },
            "/api/search": {
                "get": _operation("search", "Search records by words.", "Page", [_words(), *_filters(), *_window()])
            },
            "/api/records/{id}": {
                "get": _operation("getRecord", "Everything that the site says about a record.", "Record", [_record()])
            },
            "/api/openapi.json": {"get": _operation("getDescription", "This description.", "Description", [])},
        },
        "components": {
            "schemas": {
                "Summary": summary,
                "Page": page,
                "Record": {
                    "type": "object",
                    "required": [
                        "summary", "manifest", "claims", "gate", "assessment", "correction_record",
                    ],
                    "properties": {
                        "summary": {"$ref": "#/components/schemas/Summary"},
                        "manifest": {"type": "object", "description": "paper-manifest-v1.1"},
                        "claims": {"type": "array", "items": {"type": "object"}},
                        "gate": {"type": ["object", "null"], "description": "gate-verdict-v1"},
                        "assessment": {"type": "object"},
                        "correction_record": {"type": "object", "description": "correction-record-v1"},
                    },
                },
                "Description": {"type": "object"},
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string", "description": "What is wrong, in one line."}},
                },
            }
        },
    }  # fmt: skip


def _operation(name: str, summary: str, schema: str, parameters: Sequence[Json]) -> Mapping[str, Json]:
    def answer(description: str, ref: str) -> Mapping[str, Json]:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ref}"}}}
        return {"description": description, "content": content}

    responses = {"200": answer(summary, schema), "304": {"description": "Not modified since the given ETag."}}
    if parameters:
        responses["400"] = answer("A parameter is unknown or out of bounds.", "Error")
    if name == "getRecord":
        responses["404"] = answer("No such record.", "Error")
    return {"operationId": name, "summary": summary, "parameters": parameters, "responses": responses}


def _query(name: str, schema: Mapping[str, Json], description: str, *, required: bool = False) -> Mapping[str, Json]:
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": description}


def _words() -> Mapping[str, Json]:
    schema: Mapping[str, Json] = {"type": "string", "maxLength": LONGEST_QUERY}
    return _query("q", schema, "Words; each must begin a word of the record. Or a SRCH id or UUID.", required=True)


def _filters() -> Sequence[Json]:
    descriptions = {"verdict": "The study's answer.", "gate": "The gate's status.", "tier": "The quality tier."}
    language = _query("language", {"type": "string", "pattern": LANGUAGE}, "Code of a language that has scores.")
    return [
        language,
        *(_query(key, {"type": "string", "enum": list(CHOICES[key])}, descriptions[key]) for key in CHOICES),
    ]


def _window() -> Sequence[Json]:
    limit: Mapping[str, Json] = {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT}
    offset: Mapping[str, Json] = {"type": "integer", "minimum": 0, "maximum": FURTHEST, "default": 0}
    return [
        _query("limit", limit, "Number of records in the answer."),
        _query("offset", offset, "Number of records to skip."),
    ]


def _record() -> Mapping[str, Json]:
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": RECORD},
        "description": "SRCH id or UUID.",
    }
