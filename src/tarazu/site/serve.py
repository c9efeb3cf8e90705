"""`tarazu site serve`: the built site and its query API over HTTP, read-only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from tarazu.errors import BadInput
from tarazu.site import pages
from tarazu.site.beside.badge import BADGE
from tarazu.site.build import MARK
from tarazu.site.database import DATABASE, Query, languages, search
from tarazu.site.publish import list_row
from tarazu.site.web import listen, middleware, require_site_extra, settings_of

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from uvicorn import Config

    from tarazu.site.api import Database

_PAGES: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_FILES: Final = "sandbox; default-src 'none'; frame-ancestors 'none'"


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
    from starlette.responses import RedirectResponse
    from starlette.staticfiles import StaticFiles

    from tarazu.site.api import Database, api

    if not (folder / MARK).is_file():
        raise BadInput(f"{folder}: contains no site; name a folder that `tarazu site build` made")
    database = Database(folder / DATABASE)
    application = api(folder, database, middleware(host, _headers, _is_canonical))
    application.add_route("/search.html", _search_page(folder, database), methods=["GET"])
    application.add_route("/docs", lambda request: RedirectResponse("api.html"), methods=["GET"])
    application.mount("/", StaticFiles(directory=folder, html=True))
    return application


def _headers(path: str) -> dict[str, str]:
    """No scripts but the site's own, and a stricter policy for records' files."""
    if not _is_of_record(path):
        return {"Content-Security-Policy": _PAGES}
    badge = re.fullmatch(rf"/records/[0-9A-F]{{8}}/{re.escape(BADGE)}", path) is not None
    shown = badge or path.endswith((".txt", ".json"))
    name = re.sub(r"[^A-Za-z0-9._-]", "_", path.rsplit("/", 1)[1])
    headers = {
        "Content-Security-Policy": _FILES,
        "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{name}"',
    }
    if badge:
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # made to be shown by other sites
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


def _search_page(folder: Path, database: Database) -> Callable[[Request], Response]:
    """search.html with results, for browsers without JavaScript."""
    from starlette.responses import PlainTextResponse

    from tarazu.site.api import MOST, Search, parameter_message, with_tag

    def answer(request: Request) -> Response:
        given = {key: value for key, value in request.query_params.items() if value}
        try:
            query = Query(**dict(Search.model_validate({"q": "", "limit": MOST, **given}))) if given else None
        except ValidationError as error:
            return PlainTextResponse(f"{parameter_message(error.errors()[0], list(Search.model_fields))}\n", 400)
        total, matches = search(database.connection, query) if query else (0, [])
        rows = [list_row(one) for one in matches]
        text = pages.search_page(query, total, rows, languages(database.connection))
        return with_tag(request, text.encode(), "text/html; charset=utf-8")

    return answer
