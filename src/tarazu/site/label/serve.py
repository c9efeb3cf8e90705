"""`tarazu label`: the page on which a person rates responses, for this machine only.

Nothing that the page receives names an arm: items have random names, new at each start, and come in a random order.
Every request for data needs the token in the address that the command prints, which no other site or user can guess.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, cast

from tarazu.data.rows import turns_of
from tarazu.errors import TarazuError
from tarazu.languages import direction_of
from tarazu.report.text import visible
from tarazu.site.label.questions import CANNOT_TELL, QUESTIONS
from tarazu.site.label.ratings import Ratings
from tarazu.site.label.sample import Item, Sample
from tarazu.site.web import listen, middleware, settings_of

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HOST: Final = "127.0.0.1"
LARGEST_BODY: Final = 1024
"""Bytes of a request's body. A rating has some 20."""
BODY_SECONDS: Final = 5
"""For a body to arrive."""
TOKEN_HEADER: Final = "X-Tarazu-Token"

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_PAGE: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/label.css": ("label.css", "text/css; charset=utf-8"),
    "/label.js": ("label.js", "text/javascript; charset=utf-8"),
}


class _Refused(Exception):
    """A request is refused with this status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def serve_labels(sample: Sample, ratings: Ratings, *, rater: str, port: int, say: Callable[[str], None]) -> None:
    """Serve the page until it is interrupted. `say` receives its address. Raises BadInput."""
    token = secrets.token_urlsafe(24)
    application = label_application(sample, ratings, rater=rater, token=token)
    listen(
        settings_of(application, host=HOST, port=port),
        announce=lambda: say(f"http://{HOST}:{port}/#{token} (open it in a browser of this machine; Ctrl-C stops it)"),
    )


def label_application(sample: Sample, ratings: Ratings, *, rater: str, token: str) -> Starlette:
    """The application."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    endpoints = _Endpoints(sample, ratings, rater, token)
    page = [Route(path, _file(*names)) for path, names in _PAGE.items()]
    return Starlette(
        routes=[
            *page,
            Route("/api/session", endpoints.session),
            Route("/api/items/{name}", endpoints.item),
            Route("/api/items/{name}", endpoints.rate, methods=["POST"]),
        ],
        middleware=middleware(HOST, lambda _: {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}),
        exception_handlers={_Refused: _refuse},
    )


def _file(name: str, media_type: str) -> Callable[[Request], Response]:
    body = files("tarazu.site.label").joinpath("page", name).read_bytes()

    def endpoint(_: Request) -> Response:
        from starlette.responses import Response

        return Response(body, media_type=media_type)

    return endpoint


async def _refuse(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, cast(_Refused, error).status)


def _json(value: Any, status: int = 200) -> Response:
    from starlette.responses import Response

    return Response(json.dumps(value, ensure_ascii=False).encode(), status, media_type="application/json")


class _Endpoints:
    """The data of the page: the list of items, one item, and a rating of it."""

    def __init__(self, sample: Sample, ratings: Ratings, rater: str, token: str) -> None:
        self._sample = sample
        self._ratings = ratings
        self._rater = rater
        self._token = token.encode()
        self._items: dict[str, Item] = {secrets.token_hex(8): item for item in sample.ordered_for(rater)}

    def session(self, request: Request) -> Response:
        self._check(request)
        return _json(
            {
                "rater": visible(self._rater),
                "items": [[name, item.key in self._ratings] for name, item in self._items.items()],
                "questions": {kind: asdict(question) for kind, question in QUESTIONS.items()},
                "cannot_tell": CANNOT_TELL,
            }
        )

    def item(self, request: Request) -> Response:
        item = self._item(request)
        code = item.key.language
        return _json(
            {
                "kind": item.key.kind,
                "language": {"code": code, "name": visible(self._sample.names[code]), "direction": direction_of(code)},
                "prompt": [[turn.role, visible(turn.content)] for turn in turns_of(item.prompt)],
                "response": visible(item.response),
                "rated": item.key in self._ratings,
                "label": self._ratings.label(item.key) if item.key in self._ratings else None,
            }
        )

    async def rate(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        item = self._item(request)
        label = _label(await _body(request))
        try:
            await run_in_threadpool(self._ratings.add, item.key, label)
        except (TarazuError, OSError) as error:
            raise _Refused(507, f"the rating could not be saved: {error}") from None
        return _json({"saved": True})

    def _item(self, request: Request) -> Item:
        self._check(request)
        item = self._items.get(request.path_params["name"])
        if item is None:
            raise _Refused(404, "no such item")
        return item

    def _check(self, request: Request) -> None:
        given = request.headers.get(TOKEN_HEADER, "").encode("latin-1")
        if not secrets.compare_digest(given, self._token):
            raise _Refused(403, "this address is not valid; open the one that tarazu label printed last")


async def _body(request: Request) -> bytes:
    """The body of a request, which must be short and arrive soon."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _Refused(415, "the body must be application/json")

    async def read() -> bytes:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise _Refused(413, "the body is too large")
        return body

    try:
        return await asyncio.wait_for(read(), BODY_SECONDS)
    except TimeoutError:
        raise _Refused(408, "the body took too long") from None


def _label(body: bytes) -> int | None:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    labels = {"good": 1, "bad": 0, "cannot tell": None}
    answer = given.get("answer") if isinstance(given, dict) and set(given) == {"answer"} else None
    if not isinstance(answer, str) or answer not in labels:
        raise _Refused(422, f"the body must have one key, answer: {', '.join(labels)}")
    return labels[answer]
