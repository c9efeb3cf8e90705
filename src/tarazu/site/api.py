"""The query API by FastAPI: typed parameters and answers, from which its description (OpenAPI 3.1) is generated.

All errors have one shape: a status, and `{"error": ONE LINE}`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import fastapi
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

import tarazu
from tarazu.errors import one_line
from tarazu.record.contracts import Assessment, CorrectionRecord, GateReport, GateStatus, Tier
from tarazu.record.manifest import Manifest
from tarazu.record.model import Claim
from tarazu.site.database import LONGEST_QUERY, Query, one_record, open_database, search
from tarazu.site.summary import Summary, Verdict

MOST: Final = 100
"""Largest number of records in an answer."""
FURTHEST: Final = 1_000_000
RECORD: Final = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){0,3}(-[0-9A-Fa-f]{12})?$"
DESCRIPTION: Final = "/api/openapi.json"


class Filters(BaseModel):
    """The parameters of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,16}$")] | SkipJsonSchema[None] = Field(
        None, description="Code of a language that has scores."
    )
    verdict: Verdict | SkipJsonSchema[None] = Field(None, description="The study's answer.")
    gate: GateStatus | SkipJsonSchema[None] = Field(None, description="The gate's status.")
    tier: Tier | SkipJsonSchema[None] = Field(None, description="The quality tier.")
    limit: int = Field(20, ge=1, le=MOST, description="Number of records in the answer.")
    offset: int = Field(0, ge=0, le=FURTHEST, description="Number of records to skip.")


class Search(Filters):
    """The parameters of a search."""

    q: str = Field(
        max_length=LONGEST_QUERY, description="Words; each must begin a word of the record. Or a SRCH id or UUID."
    )


class Page(BaseModel):
    """A part of the matching records."""

    total: int = Field(ge=0, description="Number of matching records.")
    limit: int = Field(ge=1, le=MOST)
    offset: int = Field(ge=0)
    records: list[Summary] = Field(max_length=MOST)


class RecordDocument(BaseModel):
    """Everything that the site says about a record."""

    summary: Summary
    manifest: Manifest
    claims: list[Claim]
    gate: GateReport | None
    assessment: Assessment
    correction_record: CorrectionRecord


class Error(BaseModel):
    """Why a request was refused."""

    error: str = Field(description="What is wrong, in one line.")


class Database:
    """The site's database, with a connection for each thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        open_database(path).close()

    @property
    def connection(self) -> Any:
        if not hasattr(self._local, "connection"):
            self._local.connection = open_database(self._path)
        return self._local.connection


def api(folder: Path | None, database: Database | None, middleware: Sequence[Middleware] = ()) -> fastapi.FastAPI:
    """The application with the API's paths, for the site in `folder`. Without a site, it only describes itself."""
    application = fastapi.FastAPI(
        title="Tarazu records",
        summary="Read-only queries over a site of records.",
        version=tarazu.__version__,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/"}],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        middleware=middleware,
        exception_handlers={
            RequestValidationError: _invalid,
            HTTPException: _refused,
            Exception: _failed,
        },
    )
    _add_paths(application, folder or Path(), database)
    for path in ("/api", "/api/{rest:path}"):
        application.add_route(path, _no_such_path, methods=["GET"])
    return application


@cache
def description() -> Mapping[str, Any]:
    """The API's description."""
    made: dict[str, Any] = api(None, None).openapi()
    # A refused parameter has status 400 and the one shape of all errors. FastAPI describes one of its own.
    for operations in made["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        made["components"]["schemas"].pop(name, None)
    return made


def _add_paths(application: fastapi.FastAPI, folder: Path, database: Database | None) -> None:
    def records(request: Request, query: Annotated[Filters, fastapi.Query()]) -> Response:
        return page(request, Query(**dict(query)))

    def matching(request: Request, query: Annotated[Search, fastapi.Query()]) -> Response:
        return page(request, Query(**dict(query)))

    def page(request: Request, query: Query) -> Response:
        assert database is not None
        total, matches = search(database.connection, query)
        answer = Page(total=total, limit=query.limit, offset=query.offset, records=matches)
        return _json(request, answer.model_dump(mode="json"))

    def record(
        request: Request,
        name: Annotated[str, fastapi.Path(alias="id", pattern=RECORD, description="SRCH id or UUID.")],
    ) -> Response:
        assert database is not None
        match = one_record(database.connection, name)
        if match is None:
            raise HTTPException(404, "id: no such record")
        text = (folder / "records" / match.srch_id / "record.json").read_bytes()
        return with_tag(request, text, "application/json")

    def describe(request: Request) -> Response:
        return _json(request, description())

    def add(path: str, operation: str, endpoint: Callable[..., Response], model: Any, *refusals: int) -> None:
        texts = {400: "A parameter is unknown or out of bounds.", 404: "No such record."}
        responses: dict[int | str, dict[str, Any]] = {
            **{status: {"model": Error, "description": texts[status]} for status in refusals},
            304: {"description": "Not modified since the given ETag."},
        }
        summary = _SUMMARIES[operation]
        application.add_api_route(
            path, endpoint, response_model=model, operation_id=operation, summary=summary,
            response_description=summary, responses=responses,
        )  # fmt: skip
        application.add_api_route(path, endpoint, response_model=None, methods=["HEAD"], include_in_schema=False)

    add("/api/records", "listRecords", records, Page, 400)
    add("/api/search", "search", matching, Page, 400)
    add("/api/records/{id}", "getRecord", record, RecordDocument, 400, 404)
    add(DESCRIPTION, "getDescription", describe, dict[str, Any])


_SUMMARIES: Final = {
    "listRecords": "List records, newest first.",
    "search": "Search records by words.",
    "getRecord": "Everything that the site says about a record.",
    "getDescription": "This description.",
}


def parameter_message(error: Mapping[str, Any], known: Sequence[str]) -> str:
    """One line for an error that pydantic found in a parameter."""
    name = str(error["loc"][-1])[:40]
    if error["type"] == "extra_forbidden":
        return one_line(f"{name}: no such parameter; the parameters are {', '.join(sorted(known))}")
    if error["type"] == "missing":
        return one_line(f"{name}: is missing")
    return one_line(f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}")


def _no_such_path(request: Request) -> Response:
    raise HTTPException(404, "no such path; /docs describes the API")


async def _failed(request: Request, error: Exception) -> Response:
    return _error(500, "the server failed; its log says why")


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    known = Search.model_fields if request.url.path == "/api/search" else Filters.model_fields
    return _error(400, parameter_message(error.errors()[0], list(known)))


async def _refused(request: Request, error: Exception) -> Response:
    """Errors of the API have its one shape; those of other paths are text."""
    assert isinstance(error, HTTPException)
    if re.match("/api(/|$)", request.url.path):
        return _error(error.status_code, one_line(error.detail), error.headers)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, status, headers)


def _json(request: Request, value: Any) -> Response:
    return with_tag(request, json.dumps(value, ensure_ascii=False).encode(), "application/json")


def with_tag(request: Request, body: bytes, media_type: str) -> Response:
    """The body with its ETag, or 304 if the client already has it."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, 200, {"ETag": tag}, media_type)
