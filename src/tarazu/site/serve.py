"""`tarazu site serve`: the built site and its query API over HTTP, read-only."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tarazu.errors import BadInput
from tarazu.site import pages
from tarazu.site.build import MARK
from tarazu.site.database import DATABASE, LONGEST_QUERY, Query, languages, one_record, open_database, search
from tarazu.site.openapi import CHOICES, DEFAULT, FURTHEST, LANGUAGE, MOST, RECORD, openapi
from tarazu.site.publish import list_row
from tarazu.site.web import listen, middleware, require_site_extra, settings_of

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from uvicorn import Config

_PAGES: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_FILES: Final = "sandbox; default-src 'none'; frame-ancestors 'none'"


class _BadParameter(Exception):
    """A parameter is unknown or out of bounds. The message names it, in one line."""


def serve_site(folder: Path, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve the site in `folder` until it is interrupted. `say` receives its address. Raises BadInput, MissingExtra."""
    require_site_extra()
    settings = server_settings(folder, host=host, port=port)
    listen(settings, announce=lambda: say(f"http://{host}:{port}/ (Ctrl-C stops it)"))


def server_settings(folder: Path, *, host: str, port: int, protocol: type[Any] | None = None) -> Config:
    """The application with the server's settings. `protocol` is what bounds its connections. Raises BadInput."""
    return settings_of(site_application(folder, host=host), host=host, port=port, protocol=protocol)


def site_application(folder: Path, *, host: str) -> Starlette:
    """The application, for a server that listens on `host`."""
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    if not (folder / MARK).is_file():
        raise BadInput(f"{folder}: contains no site; name a folder that `tarazu site build` made")
    endpoints = _Endpoints(folder)
    return Starlette(
        routes=[
            Route("/api/records", endpoints.records),
            Route("/api/search", endpoints.search),
            Route("/api/records/{id}", endpoints.record),
            Route("/api/openapi.json", endpoints.description),
            Route("/search.html", endpoints.page),
            Mount("/", StaticFiles(directory=folder, html=True)),
        ],
        middleware=middleware(host, _headers, _is_canonical),
    )


def _headers(path: str) -> dict[str, str]:
    """No scripts but the site's own, and a stricter policy for records' files."""
    if not _is_of_record(path):
        return {"Content-Security-Policy": _PAGES}
    shown = path.endswith((".txt", ".json"))
    name = re.sub(r"[^A-Za-z0-9._-]", "_", path.rsplit("/", 1)[1])
    headers = {
        "Content-Security-Policy": _FILES,
        "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{name}"',
    }
    if path.endswith((".txt", ".bib")):
        headers["Content-Type"] = "text/plain; charset=utf-8"
    return headers


def _is_canonical(path: str) -> bool:
    """Whether the path is the one spelling of what it names. Only folders with a page end in a slash."""
    *folders, last = path.split("/")[1:]
    if not last and path != "/" and not re.fullmatch(r"/records/[0-9A-F]{8}/", path):
        return False
    return path.isprintable() and "\\" not in path and not {"", ".", ".."} & {*folders, last or "index.html"}


def _is_of_record(path: str) -> bool:
    """Whether there may be a stranger's file at the path: all that is below records/ but the records' pages. Some file
    systems ignore case and forms of letters."""
    first = unicodedata.normalize("NFKC", path.lstrip("/").partition("/")[0]).casefold()
    return first == "records" and re.fullmatch(r"/records/[0-9A-F]{8}(/(index\.html)?)?", path) is None


class _Endpoints:
    """The query API and the search page, backed by the site's database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / DATABASE
        self._local = threading.local()
        open_database(self._path).close()

    @property
    def _database(self) -> Any:
        """This thread's connection."""
        if not hasattr(self._local, "database"):
            self._local.database = open_database(self._path)
        return self._local.database

    def records(self, request: Request) -> Response:
        try:
            query = _query(request.query_params, words=False)
        except _BadParameter as error:
            return _json_response(request, {"error": str(error)}, 400)
        return self._search_response(request, query)

    def search(self, request: Request) -> Response:
        try:
            query = _query(request.query_params, words=True)
        except _BadParameter as error:
            return _json_response(request, {"error": str(error)}, 400)
        return self._search_response(request, query)

    def record(self, request: Request) -> Response:
        name = request.path_params["id"]
        if not re.fullmatch(RECORD, name):
            return _json_response(request, {"error": "id: must be a SRCH id or a UUID"}, 400)
        match = one_record(self._database, name)
        if match is None:
            return _json_response(request, {"error": "id: no such record"}, 404)
        text = (self._folder / "records" / match.srch_id / "record.json").read_bytes()
        return _response(request, text, "application/json")

    def description(self, request: Request) -> Response:
        return _json_response(request, openapi())

    def page(self, request: Request) -> Response:
        """search.html with results, for browsers without JavaScript."""
        from starlette.responses import PlainTextResponse

        given = {key: value for key, value in request.query_params.items() if value}
        try:
            query = _query({"q": "", "limit": str(MOST), **given}, words=True) if given else None
        except _BadParameter as error:
            return PlainTextResponse(f"{error}\n", 400)
        total, matches = search(self._database, query) if query else (0, [])
        rows = [list_row(one) for one in matches]
        text = pages.search_page(query, total, rows, languages(self._database))
        return _response(request, text.encode(), "text/html; charset=utf-8")

    def _search_response(self, request: Request, query: Query) -> Response:
        total, matches = search(self._database, query)
        records = [one.model_dump(mode="json") for one in matches]
        return _json_response(
            request, {"total": total, "limit": query.limit, "offset": query.offset, "records": records}
        )


def _query(given: Mapping[str, str], *, words: bool) -> Query:
    """The query in a request's parameters. Raises _BadParameter if one is unknown or out of bounds."""
    known = {"language", "limit", "offset", *CHOICES, *(["q"] if words else [])}
    for name in given:
        if name not in known:
            raise _BadParameter(f"{name[:40]}: no such parameter; the parameters are {', '.join(sorted(known))}")
    if words and "q" not in given:
        raise _BadParameter("q: is missing; give the words to search for")
    if len(given.get("q", "")) > LONGEST_QUERY:
        raise _BadParameter(f"q: at most {LONGEST_QUERY} characters")
    language = given.get("language")
    if language is not None and not re.fullmatch(LANGUAGE, language):
        raise _BadParameter("language: must be a code such as sw")
    for name, choices in CHOICES.items():
        if name in given and given[name] not in choices:
            raise _BadParameter(f"{name}: must be one of {', '.join(choices)}")
    return Query(
        q=given.get("q", ""),
        language=language,
        verdict=given.get("verdict"),
        gate=given.get("gate"),
        tier=given.get("tier"),
        limit=_integer(given, "limit", 1, MOST, DEFAULT),
        offset=_integer(given, "offset", 0, FURTHEST, 0),
    )


def _integer(given: Mapping[str, str], name: str, least: int, most: int, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise _BadParameter(f"{name}: must be a whole number from {least} to {most}")
    return int(text)


def _json_response(request: Request, value: Any, status: int = 200) -> Response:
    return _response(request, json.dumps(value, ensure_ascii=False).encode(), "application/json", status)


def _response(request: Request, body: bytes, media_type: str, status: int = 200) -> Response:
    """The body with its ETag, or 304 if the client already has it."""
    from starlette.responses import Response

    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if status == 200 and (tag in known or "*" in known):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, status, {"ETag": tag}, media_type)
