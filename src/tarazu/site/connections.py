"""Bounds on connections to the server: in number, in the time of a request, and in the time that a reader may stall.

uvicorn bounds only the time between requests. A client could hold a connection open with half a request, or by not
reading its answer, and two hundred such connections would be all that the server accepts.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Final, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST: Final = 200
"""Connections at once."""
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BoundedProtocol(H11Protocol):
    """A connection that is refused or ended where it exceeds a bound."""

    most_of_one_address = 50
    request_seconds = 10.0
    """From the beginning of a connection, or the end of the last answer, to the end of the request."""
    stalled_seconds = 30.0
    """For the reader to take what was sent, some 64 KiB, before more is sent."""

    _request_timer: asyncio.TimerHandle | None = None
    _stalled_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        from_here = [one for one in self.connections if isinstance(one, H11Protocol) and _place(one) == _place(self)]
        if len(self.connections) > MOST or len(from_here) > self.most_of_one_address:
            transport.write(_BUSY)
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop("_request_timer")
        self._stop("_stalled_timer")
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled_timer = self.loop.call_later(self.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop("_stalled_timer")
        super().resume_writing()

    def _watch(self) -> None:
        """Keep the time while a request is awaited or incomplete. More bytes of it do not begin the time anew."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop("_request_timer")
        elif self._request_timer is None and not self.transport.is_closing():
            self._request_timer = self.loop.call_later(self.request_seconds, self.transport.abort)

    def _stop(self, name: Literal["_request_timer", "_stalled_timer"]) -> None:
        timer = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)


def _place(connection: H11Protocol) -> str:
    """Where a connection is from: an address of IPv4, or a network of IPv6, which is as much as one client has."""
    if connection.client is None:
        return ""
    try:
        address = ipaddress.ip_address(connection.client[0].partition("%")[0])
    except ValueError:
        return connection.client[0]
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)
