"""The server of the rating page: what it tells, what it saves and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rating

from tarazu import cli
from tarazu.errors import BadInput
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.run.lock import run_lock
from tarazu.study import load_study


@pytest.fixture
def page(run: Path, tmp_path: Path) -> Iterator[rating.Served]:
    with rating.served(run, table=tmp_path / "ratings.csv") as served:
        yield served


def test_no_answer_tells_the_arm_or_the_judge(page: rating.Served, run: Path) -> None:
    answers = [page.call(path) for path in ("/", "/label.js", "/label.css", "/api/session")]
    answers += [page.call(f"/api/items/{name}") for name in page.names()]
    for _, headers, body in answers:
        text = (json.dumps(headers) + body.decode()).lower()
        assert not any(word in text for word in (*rating.ARMS, "reward", "score", "prompt_id"))
    items = [json.loads(body) for _, _, body in answers[4:]]
    assert {frozenset(item) for item in items} == {
        frozenset(("kind", "language", "prompt", "response", "rated", "label"))
    }
    assert len(items) == 2 * 3 * 2 * 2
    with rating.served(run, table=page.ratings.path) as later:
        assert not set(page.names()) & set(later.names())


def test_a_rating_is_a_row_and_a_restart_resumes(page: rating.Served, run: Path) -> None:
    order = page.sample.ordered_for("amina")
    names = page.names()
    for name, answer in zip(names, ("good", "bad", "cannot tell"), strict=False):
        status, _, body = page.call(f"/api/items/{name}", json.dumps({"answer": answer}).encode())
        assert (status, json.loads(body)) == (200, {"saved": True})
    rows = rating.rows_of(page.ratings.path)
    assert [tuple(row.values()) for row in rows] == [
        (*map(str, item.key), "amina", label) for item, label in zip(order, ("1", "0", ""), strict=False)
    ]
    with rating.served(run, table=page.ratings.path) as again:
        assert [rated for _, rated in again.json("/api/session")["items"]] == [True] * 3 + [False] * (len(names) - 3)
        first = again.json(f"/api/items/{again.names()[1]}")
        assert (first["rated"], first["label"]) == (True, 0)
    with rating.served(run, rater="berta", table=page.ratings.path) as other:
        assert not any(rated for _, rated in other.json("/api/session")["items"])
        assert set(other.sample.items) == set(page.sample.items)


def test_texts_keep_their_characters_and_show_those_that_act(page: rating.Served) -> None:
    items = [page.json(f"/api/items/{name}") for name in page.names()]
    english = [item for item in items if item["language"]["code"] == "en"]
    urdu = [item for item in items if item["language"]["code"] == "ur"]
    assert all("[U+202E]evil[U+0007]" in item["response"] for item in english)
    assert all("<script>" in item["response"] for item in english)
    assert {(item["language"]["name"], item["language"]["direction"]) for item in urdu} == {("Urdu", "rtl")}
    assert english[0]["language"]["direction"] == "ltr"


def test_every_request_for_data_needs_the_token(page: rating.Served) -> None:
    name = page.names()[0]
    for token in ("", "x", rating.TOKEN + "x", rating.TOKEN[:-1], "é"):
        for path, body in (
            ("/api/session", None),
            (f"/api/items/{name}", None),
            (f"/api/items/{name}", b'{"answer": "good"}'),
        ):
            status, _, answer = page.call(path, body, token=token)
            assert status == 403
            assert "tarazu label" in json.loads(answer)["error"]
    assert rating.rows_of(page.ratings.path) == []


def test_other_host_names_are_refused(page: rating.Served) -> None:
    for path in ("/", "/api/session"):
        assert page.call(path, Host="evil.example")[0] == 400
        assert page.call(path, Host=f"evil.example:{page.port}")[0] == 400
        assert page.call(path, Host=f"localhost:{page.port}")[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 422),
        (b"good", {}, 422),
        (b"[]", {}, 422),
        (b'{"answer": 1}', {}, 422),
        (b'{"answer": "best"}', {}, 422),
        (b'{"answer": ["good"]}', {}, 422),
        (b'{"answer": "good", "arm": "x"}', {}, 422),
        (b'"\xff"', {}, 422),
        (b"[" * 1000, {}, 422),
        (b" " * 1025, {}, 413),
        (b'{"answer": "good"}', {"Content_Type": "text/plain"}, 415),
        (b"answer=good", {"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_other_bodies_are_refused_and_nothing_is_saved(
    page: rating.Served, body: bytes, headers: dict[str, str], status: int
) -> None:
    got, _, answer = page.call(f"/api/items/{page.names()[0]}", body, **headers)
    assert got == status
    assert set(json.loads(answer)) == {"error"}
    assert rating.rows_of(page.ratings.path) == []


def test_unknown_items_and_other_methods_are_refused(page: rating.Served) -> None:
    assert page.call("/api/items/0123456789abcdef")[0] == 404
    assert page.call("/api/items/0123456789abcdef", b'{"answer": "good"}')[0] == 404
    assert page.call("/../ratings.csv")[0] == 404
    assert page.call("/api/session", b"{}")[0] == 405


def test_a_body_that_never_arrives_is_given_up(page: rating.Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tarazu.site.label.serve.BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", page.port), timeout=20) as opened:
        start = time.monotonic()
        opened.sendall(
            f"POST /api/items/{page.names()[0]} HTTP/1.1\r\nHost: localhost\r\nX-Tarazu-Token: {rating.TOKEN}\r\n"
            "Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{".encode()
        )
        assert b" 408 " in opened.recv(4096)
        assert time.monotonic() - start < 10


def test_the_headers_let_nothing_else_in(page: rating.Served) -> None:
    for path in ("/", "/label.js", "/api/session", "/nowhere"):
        headers = page.call(path)[1]
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy and "http" not in policy and "*" not in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"


def test_a_rating_that_cannot_be_saved_is_reported(page: rating.Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tarazu.site.label.ratings.os.fsync", full)
    status, _, answer = page.call(f"/api/items/{page.names()[0]}", b'{"answer": "good"}')
    assert status == 507
    assert "the disk is full" in json.loads(answer)["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rater", "a,b"], "--rater 'a,b'"),
        (["--rater", "=cmd"], "--rater '=cmd'"),
        (["--rater", ""], "--rater ''"),
        (["--per-cell", "0"], "must be a whole number from 1"),
        (["--languages", "klingonese"], "--languages klingonese: unknown language"),
        (["--languages", "de"], "has no responses in it"),
        (["--port", "99999"], "must be a port"),
    ],
)
def test_options_that_cannot_be_used_get_one_line(
    run: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["label", str(run), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not (run / "ratings.csv").exists()


def test_a_port_in_use_gets_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["label", str(run), "--port", port, "--out", str(tmp_path / "r.csv")]) == 2
    assert f"127.0.0.1:{port}: Address already in use; choose another --port" in capsys.readouterr().err


def test_the_table_is_what_analyze_reads(page: rating.Served, run: Path) -> None:
    """Two raters, one of whom changes their mind and cannot tell of one response."""
    names = page.names()
    answers = {0: "good", 1: "bad", 2: "cannot tell"}
    for place, name in enumerate(names):
        page.call(f"/api/items/{name}", json.dumps({"answer": answers[place % 2]}).encode())
    page.call(f"/api/items/{names[0]}", b'{"answer": "bad"}')
    page.call(f"/api/items/{names[1]}", b'{"answer": "cannot tell"}')
    with rating.served(run, rater="berta", table=page.ratings.path) as other:
        other.call(f"/api/items/{other.names()[0]}", b'{"answer": "good"}')
    options = AnalysisOptions(base=rating.ARMS[0], overrides=["analysis.draws=200"], ratings=[page.ratings.path])
    people = analyze_file(run.parent / "table.csv", options).agreement
    assert people is not None
    assert (people.raters, people.labels) == (("amina", "berta"), len(names) + 1)
    assert (people.cannot_tell, people.unmatched) == (1, 0)
    assert people.of_responses == 2 * 3 * 2 * 6
    # Every stratum has its size from the scores and its number of labels from the ratings.
    rates = people.arms[rating.ARMS[0]].languages["ur"].HmR
    assert (rates.n, rates.labelled) == (6, 2)


def test_another_analysis_of_the_folder_keeps_the_ratings(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = AnalysisOptions(base=rating.ARMS[0], overrides=["analysis.draws=200"])
    shutil.copytree(run, out)
    with rating.served(out) as served:
        served.call(f"/api/items/{served.names()[0]}", b'{"answer": "good"}')
    before = (out / "ratings.csv").read_bytes()
    analyze_file(run.parent / "table.csv", options, out=out)
    assert (out / "ratings.csv").read_bytes() == before
    with rating.served(out) as served:
        assert [rated for _, rated in served.json("/api/session")["items"]].count(True) == 1


def test_a_fresh_run_does_not_delete_ratings(tmp_path: Path) -> None:
    loaded = load_study("demo")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "study.lock.yaml").write_text("study: {name: demo}\n", encoding="utf-8")
    (tmp_path / "run" / "ratings.csv").write_text("ratings", encoding="utf-8")
    with (
        pytest.raises(BadInput, match=r"--fresh would delete ratings\.csv"),
        run_lock(tmp_path / "run", loaded, fresh=True),
    ):
        pass
    assert (tmp_path / "run" / "ratings.csv").read_text(encoding="utf-8") == "ratings"


def test_the_command_serves_until_it_is_interrupted(run: Path, tmp_path: Path) -> None:
    """The process itself: its address works, the rating is on the disk, and Ctrl-C ends it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    table = tmp_path / "ratings.csv"
    arguments = ["label", str(run), "--rater", "amina", "--per-cell", "1", "--port", str(port), "--out", str(table)]
    command = [sys.executable, "-m", "tarazu", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[0] == "12 responses to rate from 12 strata, 0 rated by amina so far\n"
        token = re.fullmatch(rf"http://127\.0\.0\.1:{port}/#(\S+) \(.*\)\n", lines[2])
        assert token is not None, lines
        served = rating.Served(port)
        name = json.loads(served.call("/api/session", token=token[1])[2])["items"][0][0]
        assert served.call(f"/api/items/{name}", b'{"answer": "good"}', token=token[1])[0] == 200
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode in (0, 130)
    assert "Traceback" not in error
    assert [row["label"] for row in rating.rows_of(table)] == ["1"]
