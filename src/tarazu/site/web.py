"""What the local web servers share: headers, host names and how they listen.

They use Starlette, on which FastAPI is built, and uvicorn, not the standard library's server, because those handle
HEAD, ranges, ETags and malformed requests as the standards require, and are designed to face a network.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from tarazu.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from uvicorn import Config

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def require_site_extra() -> None:
    """Raise MissingExtra if a package of the extra `site` is not installed."""
    for package in ("fastapi", "starlette", "uvicorn"):
        if find_spec(package) is None:
            raise MissingExtra("site", package)


def middleware(
    host: str, headers_of: Callable[[str], Mapping[str, str]], is_canonical: Callable[[str], bool] = lambda path: True
) -> Sequence[Middleware]:
    """The checks and headers of every response. `headers_of` gives the headers of a path, beside those of every path.
    Headers depend on the path, so a path has one spelling: others, by `is_canonical`, are not found.

    If `host` is a loopback address, the application accepts only this machine's names, so that no other site can read
    it under a name of its own (DNS rebinding).
    """
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    allowed = [*LOOPBACK[:2], "[::1]"] if host in LOOPBACK else ["*"]
    return [
        Middleware(_SecurityHeaders, headers_of=headers_of, is_canonical=is_canonical),
        Middleware(TrustedHostMiddleware, allowed_hosts=allowed, www_redirect=False),
    ]


class _SecurityHeaders:
    """Sets headers of every response: no sniffing, no framing, and what `headers_of` adds."""

    def __init__(
        self, app: Any, headers_of: Callable[[str], Mapping[str, str]], is_canonical: Callable[[str], bool]
    ) -> None:
        self._app = app
        self._headers_of = headers_of
        self._is_canonical = is_canonical

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.datastructures import MutableHeaders
        from starlette.responses import PlainTextResponse

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**_HEADERS, **self._headers_of(scope["path"])}.items():
                    headers[name] = value
            await send(message)

        application = self._app
        if _is_ambiguous(scope):
            application = PlainTextResponse("The length of the request is ambiguous.\n", 400, {"Connection": "close"})
        elif not self._is_canonical(scope["path"]):
            application = PlainTextResponse("Not found: no such path.\n", 404)
        await application(scope, receive, send_with_headers)


def _is_ambiguous(scope: Any) -> bool:
    """Whether two servers could take the request to end at different places (RFC 9112, 6.1)."""
    names = [name for name, _ in scope["headers"]]
    return b"transfer-encoding" in names and (b"content-length" in names or scope["http_version"] != "1.1")


def settings_of(application: Starlette, *, host: str, port: int, protocol: type[Any] | None = None) -> Config:
    """The application with the server's settings. `protocol` is what bounds its connections."""
    import uvicorn

    from tarazu.site.connections import BoundedProtocol

    return uvicorn.Config(
        application,
        host=host,
        port=port,
        http=protocol or BoundedProtocol,
        log_level="error",
        access_log=False,
        server_header=False,
    )


def listen(settings: Config, *, announce: Callable[[], None]) -> None:
    """Serve until interrupted. `announce` is called once the port is open. Raises BadInput if it cannot be opened."""
    import uvicorn

    with _open(settings.host, settings.port) as opened:
        announce()
        uvicorn.Server(settings).run(sockets=[opened])


def _open(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # socket.create_server writes the address into the text of the error.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise BadInput(f"{host}:{port}: {reason}; choose another --port") from None
