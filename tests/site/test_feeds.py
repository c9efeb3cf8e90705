"""Atom feeds: of the site and of each list, by the rules of RFC 4287."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit
from xml.etree import ElementTree

import pytest
import site_data
from atom import faults
from bs4 import BeautifulSoup

from tarazu.site.build import build_site

ADDRESS = "https://records.example/lab/"
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site_data.three_records(tmp_path_factory.mktemp("fed"))


@pytest.mark.parametrize("url", [None, ADDRESS.rstrip("/")])
def test_every_feed_is_valid_and_its_links_lead_into_the_site(records: Path, tmp_path: Path, url: str | None) -> None:
    site = tmp_path / "site"
    build_site(records, site, url=url)
    paths = [path for path in site.rglob("*.xml") if "records" not in path.relative_to(site).parts]
    lists = [path for path in (site / "by").glob("*.html") if not path.stem.rpartition("-")[2].isdigit()]
    assert len(paths) > 10
    assert {path.stem for path in paths if path.parent.name == "by"} >= {path.stem for path in lists}
    ids = set()
    for path in paths:
        text = path.read_text(encoding="utf-8")
        place = path.relative_to(site).as_posix()
        assert faults(text, urljoin(ADDRESS, place)) == [], place
        feed = ElementTree.fromstring(text)
        ids.add(feed.findtext(f"{ATOM}id"))
        for link in feed.iter(f"{ATOM}link"):
            href = link.get("href", "")
            assert (urlsplit(href).scheme == "https") == (url is not None)
            target = urljoin(urljoin(ADDRESS, place), href)
            assert target.startswith(ADDRESS)
            assert (site / unquote(target.removeprefix(ADDRESS))).is_file(), href
            if link.get("rel") == "self":
                assert target == urljoin(ADDRESS, place)
    assert len(ids) == len(paths)


def test_a_list_links_its_feed_and_the_feed_has_the_records_of_the_list(records: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build_site(records, site)
    for name in ("gate-verified", "corrected", "language-sw"):
        page = BeautifulSoup((site / "by" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        shown = {link["href"].removeprefix("../") for link in page.select(".entry h3 a")}
        linked = page.find("link", {"type": "application/atom+xml", "href": f"{name}.xml"})
        feed = ElementTree.parse(site / "by" / linked["href"]).getroot()
        entries = feed.findall(f"{ATOM}entry")
        assert shown == {entry.find(f"{ATOM}link").get("href", "").removeprefix("../") for entry in entries}
        assert page.h1.get_text() in feed.findtext(f"{ATOM}title", "")


def test_a_correction_comes_first(records: Path, tmp_path: Path) -> None:
    build_site(records, tmp_path / "site")
    feed = ElementTree.parse(tmp_path / "site" / "feed.xml").getroot()
    moments = [entry.findtext(f"{ATOM}updated", "") for entry in feed.iter(f"{ATOM}entry")]
    assert moments == sorted(moments, reverse=True) and feed.findtext(f"{ATOM}updated") == moments[0]
    first = feed.find(f"{ATOM}entry")
    assert first is not None and first.find(f"{ATOM}link").get("href") == (
        f"records/{site_data.srch_id(records, 'corrected')}/index.html"
    )


def test_the_rules_find_faults(records: Path, tmp_path: Path) -> None:
    """So that a feed without faults says something."""
    build_site(records, tmp_path / "site", url=ADDRESS)
    text = (tmp_path / "site" / "feed.xml").read_text(encoding="utf-8")
    for old, new in (
        ("<updated>", "<changed>"), ("T00:00:00Z<", "T00:00<"), ("urn:uuid:", ""), ('rel="alternate"', 'rel="self"'),
        ("<name>", "<email>"), ('<category term="sw" />', "<category />"),
    ):  # fmt: skip
        changed = text.replace(old, new).replace(old.replace("<", "</"), new.replace("<", "</"))
        assert changed != text and faults(changed, ADDRESS), old
