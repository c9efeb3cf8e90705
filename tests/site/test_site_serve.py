"""The server: its answers, its limits and its refusals."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import measure_site
import pytest
import site_data
from bs4 import BeautifulSoup
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tarazu.errors import BadInput
from tarazu.record.reading import read_record
from tarazu.site.api import description as generated
from tarazu.site.build import build_site
from tarazu.site.serve import site_application


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site_data.three_records(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def port(records: Path) -> Iterator[int]:
    build_site(records, records.parent / "site")
    server, thread, port = measure_site.serve(records.parent / "site")
    yield port
    server.should_exit = True
    thread.join()


class Answer:
    def __init__(self, port: int, path: str, method: str = "GET", **headers: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()
        connection.close()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def test_answers_match_the_api_description(port: int, records: Path) -> None:
    description = Answer(port, "/api/openapi.json").json
    assert (
        description == generated() == json.loads((records.parent / "site" / "openapi.json").read_text(encoding="utf-8"))
    )
    assert list(OpenAPIV31SpecValidator(description).iter_errors()) == []
    good = read_record(records / "good").manifest.work
    examples = {
        "/api/records": "/api/records?limit=2&offset=1",
        "/api/search": f"/api/search?q={quote('study scale')}&gate=VERIFIED",
        "/api/records/{id}": f"/api/records/{good.id}",
    }
    for path, example in examples.items():
        schema = description["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**schema, "components": description["components"]})
        answer = Answer(port, example)
        assert answer.status == 200
        assert list(validator.iter_errors(answer.json)) == []
    assert Answer(port, examples["/api/search"]).json["records"][0]["srch_id"] == good.srch_id
    first = Answer(port, "/api/records").json
    assert (first["total"], len(first["records"])) == (3, 3)
    assert Answer(port, examples["/api/records"]).json["records"] == first["records"][1:3]
    by_short = Answer(port, f"/api/records/{good.srch_id.lower()}").json
    assert by_short["manifest"]["work"]["id"] == good.id


@pytest.mark.parametrize(
    "path",
    [
        "/api/search",
        "/api/search?q=" + "a" * 201,
        "/api/search?q=a&limit=101",
        "/api/search?q=a&limit=0",
        "/api/search?q=a&limit=1e2",
        "/api/search?q=a&offset=-1",
        "/api/search?q=a&offset=1000001",
        "/api/search?q=a&verdict=maybe",
        "/api/search?q=a&gate=verified",
        "/api/search?q=a&tier=BEST",
        "/api/search?q=a&language=" + quote("d'e"),
        "/api/search?q=a&sort=title",
        "/api/records?q=a",
        "/api/records/1%20OR%201",
        "/search.html?q=" + "a" * 201,
    ],
)
def test_an_invalid_parameter_gives_400_and_one_line(port: int, path: str) -> None:
    answer = Answer(port, path)
    assert answer.status == 400
    text = answer.json["error"] if path.startswith("/api") else answer.body.decode()
    assert len(text.splitlines()) == 1
    assert "Traceback" not in text


def test_errors_of_the_api_have_one_shape(port: int) -> None:
    cases = {
        ("GET", "/api/search"): 400,
        ("GET", "/api/records/00000009"): 404,
        ("GET", "/api/other"): 404,
        ("POST", "/api/records"): 405,
        ("DELETE", "/api/openapi.json"): 405,
    }
    for (method, path), status in cases.items():
        answer = Answer(port, path, method)
        assert (answer.status, list(answer.json)) == (status, ["error"]), path
        assert answer.headers["Content-Type"] == "application/json"
        assert len(answer.json["error"].splitlines()) == 1
    assert Answer(port, "/api/records", "POST").headers["Allow"] == "GET, HEAD"


def test_the_description_is_a_page_that_loads_nothing(port: int) -> None:
    answer = Answer(port, "/docs")
    assert (answer.status, answer.headers["Location"]) == (307, "api.html")
    page = BeautifulSoup(Answer(port, "/api.html").body, "html.parser")
    assert page.find_all(["script", "img", "iframe"]) == []
    assert {link["href"] for link in page.find_all("link", rel="stylesheet")} == {"style.css"}
    text = page.get_text(" ")
    description = generated()
    for path, methods in description["paths"].items():
        assert path in text
        for parameter in methods["get"].get("parameters", []):
            assert parameter["description"] in text
    assert {one["id"] for one in page.select("h3[id]")} == {
        f"schema-{one}" for one in description["components"]["schemas"]
    }
    assert {link["href"][1:] for link in page.select("main a[href^='#']")} <= {one["id"] for one in page.select("[id]")}


def test_only_get_and_head_are_allowed(port: int) -> None:
    for path in ("/", "/index.html", "/api/records", "/api/search?q=a", "/search.html"):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            assert Answer(port, path, method).status == 405
        get, head = Answer(port, path), Answer(port, path, "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["ETag"] == get.headers["ETag"]
        again = Answer(port, path, If_None_Match=get.headers["ETag"])
        assert (again.status, again.body) == (304, b"")
        assert Answer(port, path, If_None_Match='"another"').status == 200


def test_no_path_leaves_the_site(port: int, records: Path) -> None:
    (records.parent / "secret.txt").write_text("secret", encoding="utf-8")
    for path in (
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/records/../../secret.txt",
        "//etc/passwd",
    ):
        answer = Answer(port, path)
        assert answer.status == 404
        assert b"secret\n" not in answer.body
    assert Answer(port, "/api/records/00000009").status == 404
    assert Answer(port, "/%00").status == 404


def test_other_host_names_are_refused(port: int) -> None:
    assert Answer(port, "/api/records", Host="evil.example").status == 400
    assert Answer(port, "/api/records", Host=f"localhost:{port}").status == 200


def test_files_of_a_record_are_served_as_text(port: int, records: Path) -> None:
    evil = site_data.srch_id(records, "evil")
    for path in ("repro/analysis.py.txt", "sources/a.md.txt", "manifest.json", "corrections.jsonl.txt"):
        answer = Answer(port, f"/records/{evil}/files/{path}")
        assert answer.status == 200
        kind = "application/json" if path.endswith(".json") else "text/plain; charset=utf-8"
        assert answer.headers["Content-Type"] == kind
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["Content-Disposition"].startswith("inline; filename=")
    archive = Answer(port, f"/records/{evil}/record.zip")
    assert archive.headers["Content-Disposition"] == 'attachment; filename="record.zip"'
    assert Answer(port, f"/records/{evil}/files/report.html").status == 404
    page = Answer(port, f"/records/{evil}/index.html")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


def test_search_works_without_javascript(port: int, records: Path) -> None:
    good = read_record(records / "good").manifest.work
    soup = BeautifulSoup(Answer(port, "/search.html?q=scale&language=&verdict=&gate=VERIFIED").body, "html.parser")
    assert soup.find(id="total").get_text() == "1 record"
    assert [link["href"] for link in soup.select(".entry a")] == [f"records/{good.srch_id}/index.html"]
    assert soup.find("input", {"name": "q"})["value"] == "scale"
    assert soup.find("option", selected=True)["value"] == "VERIFIED"
    script = quote('"><script>window.hacked=9</script>')
    answer = Answer(port, f"/search.html?q={script}")
    assert b"<script>w" not in answer.body
    assert "No search yet" in Answer(port, "/search.html").body.decode()


def test_a_folder_without_a_site_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="contains no site"):
        site_application(tmp_path, host="127.0.0.1")


@pytest.mark.proof
def test_ten_thousand_records_are_built_once_and_searched(records: Path, tmp_path: Path) -> None:
    """Prints seconds, memory and milliseconds. A changed record is the only one that is built again."""
    builds = measure_site.measure(records / "good", tmp_path, 10_000, 1000)
    assert [one.said for one in builds.values()] == [
        f"10000 records, {count} of them built now" for count in (10_000, 0, 1)
    ]


def test_a_few_records_are_built_once_and_searched(records: Path, tmp_path: Path) -> None:
    """As with ten thousand in `make proof`."""
    builds = measure_site.measure(records / "good", tmp_path, 25, 20)
    assert [one.said for one in builds.values()] == [f"25 records, {count} of them built now" for count in (25, 0, 1)]
