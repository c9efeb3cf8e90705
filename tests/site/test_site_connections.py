"""The server against clients that hold connections, blur the end of a request, or spell a path in other ways."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import measure_site
import pytest
from gate_records import drafted_record, edit, reseal

from tarazu.record.reading import read_record
from tarazu.site.build import build_site
from tarazu.site.connections import MOST, BoundedProtocol


class Brief(BoundedProtocol):
    """The bounds in short, for a test."""

    most_of_one_address = 8
    request_seconds = 1.0
    stalled_seconds = 1.0


ENDS_WITHIN = 20.0
"""Seconds in which such a connection has ended on a busy machine. Without the bounds it never ends."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("connections")
    (folder / "records").mkdir()
    record = drafted_record(folder / "records")
    (record / "large.json").write_bytes(b" " * (16 << 20))  # more than the buffers of a socket hold
    entry = {"path": "large.json", "role": "data", "media_type": "application/json", "size": 0, "sha256": "0" * 64}
    edit(record / "manifest.json", lambda manifest: manifest["artifacts"].append(entry))
    reseal(record)
    build_site(folder / "records", folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def srch(site: Path) -> str:
    return read_record(site.parent / "records" / "record").manifest.work.srch_id


@pytest.fixture(scope="module")
def port(site: Path) -> Iterator[int]:
    server, thread, port = measure_site.serve(site, Brief)
    yield port
    server.should_exit = True
    thread.join()


def connected(port: int, sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    """A connection on which `sent` was sent. On Linux every address in 127.0.0.0/8 is this machine's."""
    client = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
    client.sendall(sent)
    return client


def answer(client: socket.socket) -> bytes:
    """What comes before the server closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(1 << 16):
            received += piece
    return received


def request(path: str, *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *headers]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def ask(port: int, path: str, *headers: str, version: str = "1.1", source: str = "127.0.0.1") -> tuple[int, bytes]:
    """Status and complete answer of a request that closes its connection."""
    with connected(port, request(path, "Connection: close", *headers, version=version), source) as client:
        received = answer(client)
    return int(received.split(b" ", 2)[1]), received


# --- half requests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /index.html HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\na",
        b"POST /index.html HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na",
    ],
    ids=["nothing", "a letter", "headers", "a body", "a chunk"],
)
def test_half_a_request_ends_its_connection(port: int, half: bytes) -> None:
    start = time.monotonic()
    with connected(port, half) as client:
        answer(client)
    assert time.monotonic() - start < ENDS_WITHIN


def test_drops_of_a_request_do_not_begin_the_time_anew(port: int) -> None:
    start = time.monotonic()
    with connected(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n") as client, contextlib.suppress(ConnectionError):
        while time.monotonic() - start < 2 * ENDS_WITHIN:
            client.sendall(b"X-Drop: 1\r\n")
            time.sleep(0.1)
    assert time.monotonic() - start < ENDS_WITHIN


def test_half_a_second_request_ends_its_connection_too(port: int) -> None:
    start = time.monotonic()
    with connected(port, request("/index.html") + b"GET /index.html HTTP/1.1\r\nHo") as client:
        received = answer(client)
    assert received.startswith(b"HTTP/1.1 200") and received.count(b"HTTP/1.1 ") == 1
    assert time.monotonic() - start < ENDS_WITHIN


def test_a_reader_who_stalls_loses_the_connection(port: int, srch: str) -> None:
    with connected(port) as client:
        client.sendall(request(f"/records/{srch}/files/large.json", "Connection: close"))
        time.sleep(4)
        assert len(answer(client)) < 16 << 20
    # One who reads steadily gets all of it.
    assert len(ask(port, f"/records/{srch}/files/large.json")[1]) > 16 << 20


def test_one_address_cannot_take_all_connections(port: int) -> None:
    held = [connected(port, b"GET / HTTP/1.1\r\n", "127.0.0.2") for _ in range(20)]
    try:
        assert answer(connected(port, request("/index.html"), "127.0.0.2")).startswith(b"HTTP/1.1 503")
        assert ask(port, "/index.html")[0] == 200  # from another address
    finally:
        for client in held:
            client.close()
    assert Brief.most_of_one_address < BoundedProtocol.most_of_one_address < MOST


def test_the_number_of_all_connections_is_bounded(port: int) -> None:
    held: list[socket.socket] = []
    try:
        for _ in range(5):  # on a busy machine the first ones end before the last ones are there
            held += [connected(port, b"", f"127.0.1.{number // 5}") for number in range(MOST)]
            refused = answer(connected(port, request("/index.html"), "127.0.0.9")).startswith(b"HTTP/1.1 503")
            if refused:
                break
        assert refused
        # They end by themselves, and then others are answered.
        end = time.monotonic() + ENDS_WITHIN
        while (status := ask(port, "/index.html", source="127.0.0.9")[0]) == 503 and time.monotonic() < end:
            time.sleep(0.2)
        assert status == 200
    finally:
        for client in held:
            client.close()


# --- the length of a request ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        (("Content-Length: 4", "Transfer-Encoding: chunked"), "1.1"),
        (("Transfer-Encoding: chunked", "Content-Length: 4"), "1.1"),
        (("transfer-encoding: Chunked", "CONTENT-LENGTH: 0"), "1.1"),
        (("Content-Length: 4", "Content-Length: 5"), "1.1"),
        (("Content-Length: +4",), "1.1"),
        (("Transfer-Encoding: chunked",), "1.0"),
    ],
)
def test_an_ambiguous_length_is_refused_and_ends_the_connection(
    port: int, headers: tuple[str, ...], version: str
) -> None:
    smuggled = b"0\r\n\r\n" + request("/index.html")
    with connected(port, request("/index.html", *headers, version=version) + smuggled) as client:
        received = answer(client)
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in received.lower()


# --- spellings of a path -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "//records/{srch}/files/repro/analysis.py.txt",
        "/records//{srch}/files/repro/analysis.py.txt",
        "/records/{srch}//files/repro/analysis.py.txt",
        "/records/{srch}/files//repro/analysis.py.txt",
        "/records/{srch}/./files/repro/analysis.py.txt",
        "/./records/{srch}/files/repro/analysis.py.txt",
        "/by/../records/{srch}/files/repro/analysis.py.txt",
        "/%2e/records/{srch}/files/repro/analysis.py.txt",
        "/records/{srch}/x/%2E%2e/files/repro/analysis.py.txt",
        "/records/{srch}/files/repro/analysis.py.txt/",
        "/records/{srch}/files/repro/analysis.py.txt/.",
        "/records/{srch}/files%2f%2frepro/analysis.py.txt",
        "/records%5c{srch}/files/repro/analysis.py.txt",
        "/records/{srch}/record.zip/",
        "//index.html",
        "/index.html/",
    ],
)
def test_a_path_has_one_spelling(port: int, srch: str, path: str) -> None:
    status, received = ask(port, path.format(srch=srch))
    assert status == 404
    assert b"content-security-policy" in received.lower() and b"def " not in received


@pytest.mark.parametrize(
    "path",
    [
        "/records/{srch}/files/repro/analysis.py.txt",
        "/%72ecords/{srch}/files/repro/analysis.py.txt",
        "/records%2f{srch}/files%2frepro/analysis.py.txt",
        "/records/{srch}/files/repro/analysis.py.txt?a=//",
        "/records/{srch}/record.json",
        "/records/{srch}/record.zip",
        "/RECORDS/{srch}/files/repro/analysis.py.txt",  # where the file system ignores case
        "/record%C5%BF/{srch}/files/repro/analysis.py.txt",  # a long s is an s in capitals
        "/%EF%BD%92ecords/{srch}/index.html",  # a wide r
    ],
)
def test_what_may_be_a_strangers_file_has_the_strict_policy(port: int, srch: str, path: str) -> None:
    _, received = ask(port, path.format(srch=srch))
    assert b"content-security-policy: sandbox; default-src 'none'" in received.lower()
    assert b"content-disposition: " in received.lower()


@pytest.mark.parametrize("path", ["/", "/index.html", "/records/{srch}/", "/records/{srch}/index.html", "/style.css"])
def test_pages_have_the_policy_of_pages(port: int, srch: str, path: str) -> None:
    status, received = ask(port, path.format(srch=srch))
    assert status == 200 and b"script-src 'self'" in received


def test_refused_hosts_get_the_headers_too(port: int) -> None:
    with connected(port, b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n") as client:
        received = answer(client)
    assert received.startswith(b"HTTP/1.1 400") and b"x-content-type-options: nosniff" in received.lower()
