"""A record's badge: its words, its mark, and how a site serves it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
import site_data
from bs4 import BeautifulSoup
from starlette.testclient import TestClient

from tarazu.site.build import build_site
from tarazu.site.serve import site_application

ADDRESS = "https://records.example"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = site_data.three_records(tmp_path_factory.mktemp("badges"))
    build_site(records, records.parent / "site", url=ADDRESS)
    return records


def test_a_badge_says_verdict_and_level_in_words(records: Path) -> None:
    site = records.parent / "site"
    drawn = {}
    for name, words in {"good": "Verified, L5", "corrected": "Unverified, L4", "evil": "Unverified, L5"}.items():
        srch_id = site_data.srch_id(records, name)
        page = BeautifulSoup((site / "records" / srch_id / "index.html").read_text(encoding="utf-8"), "html.parser")
        root = ElementTree.fromstring((site / "records" / srch_id / "badge.svg").read_text(encoding="utf-8"))
        title = root.find(f"{SVG}title")
        assert title is not None and root.get("aria-labelledby") == title.get("id") and root.get("role") == "img"
        level = next(line.b.text for line in page.select(".ladder li.reached"))
        status = page.select_one(".facts .mark").get_text()
        texts = [text.text for text in root.iter(f"{SVG}text")]
        assert texts == [f"SRCH {srch_id}", f"{status}, {level.partition(' ')[0]}"]
        assert f"gate {texts[1]}" in (title.text or "")
        assert texts[1] == words or name == "evil"
        drawn[status] = [path.get("d") for path in root.iter(f"{SVG}path")][-1]
        allowed = {"svg", "title", "rect", "path", "g", "text"}
        assert {element.tag.removeprefix(SVG) for element in root.iter()} == allowed
        snippet = page.select("#cite pre")[-1].get_text()
        address = f"{ADDRESS}/records/{srch_id}/"
        assert snippet == f"[![{texts[1]}: record SRCH {srch_id}]({address}badge.svg)]({address})"
    assert len(set(drawn.values())) == len(drawn) == 2


def test_a_badge_can_be_shown_elsewhere_and_no_other_file_of_a_record(records: Path) -> None:
    client = TestClient(site_application(records.parent / "site", host="127.0.0.1"), base_url="http://127.0.0.1")
    place = f"/records/{site_data.srch_id(records, 'evil')}"
    answer = client.get(f"{place}/badge.svg")
    assert answer.headers["Content-Type"].startswith("image/svg+xml")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    for path in ("record.zip", "files/claims.json", ""):
        assert client.get(f"{place}/{path}").headers["Cross-Origin-Resource-Policy"] == "same-origin"
