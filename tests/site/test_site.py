"""The site's files: valid links, escaped text, exports, benchmarks and search."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag
from xml.etree import ElementTree

import pytest
import site_data
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from measure_site import many_records

import tarazu
from tarazu.cli import main
from tarazu.record.contracts import BenchmarkEntry
from tarazu.record.manifest import Work
from tarazu.record.reading import read_record
from tarazu.site.benchmarks import benchmark_evidence, severity_of
from tarazu.site.build import build_site
from tarazu.site.database import Query, open_database, search
from tarazu.site.record_page import published
from tarazu.site.record_parts import Lines, bibtex, csl


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site_data.three_records(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def site(records: Path) -> Path:
    built = build_site(records, records.parent / "site", url="https://records.example/")
    assert (built.records, built.skipped) == (3, ())
    return records.parent / "site"


def pages(site: Path) -> list[Path]:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 20
    return found


def test_every_link_leads_to_a_file_or_an_anchor_in_the_site(site: Path) -> None:
    anchors: dict[Path, set[str]] = {}
    for page in pages(site):
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        anchors[page.resolve()] = {tag["id"] for tag in soup.find_all(id=True)}
    count = 0
    for page in pages(site):
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        for tag in soup.find_all(["a", "link", "script", "img", "form"]):
            href = tag.get("href") or tag.get("src") or tag.get("action")
            if href is None or href == "data:,":
                continue
            if href.startswith("https://"):
                assert tag.name == "a"
                assert "noopener" in tag["rel"]
                continue
            path, anchor = urldefrag(href.partition("?")[0])
            target = (page.parent / unquote(path)).resolve() if path else page.resolve()
            assert target.is_relative_to(site.resolve()), href
            assert target.is_file(), f"{page}: {href}"
            assert not anchor or anchor in anchors[target], f"{page}: {href}"
            count += 1
    assert count > 500


def test_text_of_a_record_never_becomes_markup(site: Path, records: Path) -> None:
    for page in [*pages(site)]:
        text = page.read_text(encoding="utf-8")
        soup = BeautifulSoup(text, "html.parser")
        policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        for script in soup.find_all("script"):
            assert script.string is None
            assert Path(script["src"]).name in ("site.js", "compare.js")
        assert soup.find_all(["img", "iframe", "object", "embed", "base"]) == []
        for tag in soup.find_all(True):
            assert not [name for name in tag.attrs if name.startswith("on") or name == "style"]
            assert not str(tag.get("href", "")).lower().startswith(("javascript:", "vbscript:"))
        assert "\u202e" not in text
    evil = (site / "records" / site_data.srch_id(records, "evil") / "index.html").read_text(encoding="utf-8")
    assert evil.count("&lt;script&gt;window.hacked=1") > 30
    assert "[U+202E]" in evil
    script = (site / "records.js").read_text(encoding="utf-8")
    assert "<" not in script
    assert script.isascii()


def test_names_of_files_keep_their_letters(site: Path, records: Path) -> None:
    soup = BeautifulSoup(
        (site / "records" / site_data.srch_id(records, "evil") / "index.html").read_text(encoding="utf-8"),
        "html.parser",
    )
    rows = {row.dt.text: row.dd.text for row in soup.select("#provenance dl div")}
    assert rows["Report artifact"] in ("report.html", "none")
    assert rows["Contract"].startswith("source-provenance-v1")


def test_files_that_a_browser_could_run_are_text_or_in_the_archive(site: Path, records: Path) -> None:
    for path in site.rglob("files/**/*"):
        if path.is_file():
            assert path.suffix in (".json", ".txt", ".pdf")
    evil = site / "records" / site_data.srch_id(records, "evil") / "files"
    assert (evil / "repro" / "analysis.py.txt").read_bytes() == (records / "evil/repro/analysis.py").read_bytes()
    assert not list(evil.glob("report*"))
    for name in ("a.svg", "x.xml", "a.xhtml", "a.js", "b.HTML", "c.mjs", "d", "scores.parquet", "report.html"):
        assert published(name) is None
    assert published("sources/paper.html") == "files/sources/paper.html.txt"


def test_the_archive_contains_the_record(site: Path, records: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(site / "records" / site_data.srch_id(records, "corrected") / "record.zip") as archive:
        archive.extractall(tmp_path)
    original, unpacked = (
        read_record(records / "corrected"),
        read_record(tmp_path / f"srch-{site_data.srch_id(records, 'corrected')}"),
    )
    assert (original.digest, original.files) == (unpacked.digest, unpacked.files)


def test_a_page_has_the_sections_of_its_contract(site: Path, records: Path) -> None:
    record = read_record(records / "good")
    work = record.manifest.work
    soup = BeautifulSoup((site / "records" / work.srch_id / "index.html").read_text(encoding="utf-8"), "html.parser")
    headings = [heading.get_text() for heading in soup.find_all("h2")]
    for heading in (
        "Abstract", "Research Question", "Verification Level", "Truth-Engine Gate Verdict", "Quality Tier",
        "Quality Dimensions", "Correction Record", "Provenance", "Claims", "Cite",
    ):  # fmt: skip
        assert heading in headings
    assert record.digest in soup.find(id="rerun").get_text()
    for claim in record.claims.claims:
        item = soup.find(id=f"claim-{claim.id}")
        assert " ".join(claim.statement.split()) in " ".join(item.get_text().split())
        assert item.find("details").find("a")["href"].startswith("files/")
    value = record.results.arms["dpo"].HmR.value
    assert f'"value": {value}' in soup.find(id="claim-hmr-dpo").find("mark").get_text()
    corrected = (site / "records" / site_data.srch_id(records, "corrected") / "index.html").read_text(encoding="utf-8")
    assert "The scale was not level." in corrected
    assert "CORRECTED" in corrected


def test_line_numbers_match_the_file(records: Path) -> None:
    record = read_record(records / "good")
    text = (record.path / "results.json").read_text(encoding="utf-8")
    lines, shown = Lines(record.document, text), text.split("\n")
    count = 0

    def walk(value: Any, pointer: str, key: str | None) -> None:
        nonlocal count
        line = shown[lines.line_of(pointer) - 1].strip().rstrip(",")
        start = f"{json.dumps(key)}: " if key is not None else ""
        if isinstance(value, dict | list) and value:
            assert line == start + ("{" if isinstance(value, dict) else "[")
        else:
            assert line == start + json.dumps(value, ensure_ascii=False)
        count += 1
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(inner, f"{pointer}/{name}", name)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                walk(inner, f"{pointer}/{index}", None)

    walk(record.document, "", None)
    assert count > 1000
    assert lines.evidence("/arms/nobody").line is None


def test_exports_are_valid_and_agree(site: Path, records: Path) -> None:
    index = json.loads((site / "index.json").read_text(encoding="utf-8"))
    assert index["count"] == 3
    folder = Path(tarazu.__file__).parent / "schemas"
    schema = json.loads((folder / "benchmark-evidence-v1.schema.json").read_text(encoding="utf-8"))
    benchmarks = json.loads((site / "benchmarks.json").read_text(encoding="utf-8"))
    assert benchmarks
    for one in benchmarks:
        assert list(Draft202012Validator(schema).iter_errors(one)) == []
    feed = ElementTree.parse(site / "feed.xml").getroot()
    atom = "{http://www.w3.org/2005/Atom}"
    assert {entry.findtext(f"{atom}id") for entry in feed.iter(f"{atom}entry")} == {
        f"urn:uuid:{one['id']}" for one in index["records"]
    }
    links = [link.get("href", "") for link in feed.iter(f"{atom}link")]
    assert all(link.startswith("https://records.example/") for link in links)
    for one in index["records"]:
        record = json.loads((site / "records" / one["srch_id"] / "record.json").read_text(encoding="utf-8"))
        assert record["summary"] == one
        assert record["manifest"]["work"]["id"] == one["id"]


def test_citations_are_escaped_and_complete() -> None:
    work = Work(
        id="01234567-5f83-53af-ad03-06baffec9066", srch_id="01234567", title="50 % of {a_b} & c\\d", abstract="x",
        research_question="y?", submitted="2026-03-09", authors=("Núñez, José", "The #1 Group"),
    )  # fmt: skip
    text = bibtex(work, "10.5281/zenodo.123", "https://x.example/")
    assert r"title = {{50 \% of \{a\_b\} \& c\textbackslash{}d}}" in text
    assert r"author = {Núñez, José and {The \#1 Group}}" in text
    assert "doi = {10.5281/zenodo.123}" in text
    item = csl(work, "10.5281/zenodo.123", None)
    assert item["author"] == [{"family": "Núñez", "given": "José"}, {"literal": "The #1 Group"}]
    assert item["issued"] == {"date-parts": [[2026, 3, 9]]}
    assert "DOI" not in csl(work, 'javascript:"', None)


def entry(record: str, value: float, low: float | None, high: float | None) -> BenchmarkEntry:
    return BenchmarkEntry(
        record=record, title=record, value=value, ci_low=low, ci_high=high, n=9, gate_status="VERIFIED"
    )


def test_disagreement_depends_on_the_intervals() -> None:
    a = entry("A", 50, 40, 60)
    cases = {
        "SINGLE_SOURCE": [a, entry("A", 90, 85, 95)],
        "NONE": [a, entry("B", 50, 45, 55)],
        "LOW": [a, entry("B", 58, 48, 68)],
        "MEDIUM": [a, entry("B", 55, 54, 56), entry("C", 58, 57, 59)],
        "HIGH": [a, entry("B", 75, 65, 85)],
    }
    assert {name: severity_of(entries)[0] for name, entries in cases.items()} == {name: name for name in cases}
    # A value without an interval counts as its value alone.
    assert severity_of([entry("A", 50, 40, 55), entry("B", 58, None, None)])[0] == "MEDIUM"


def test_benchmark_evidence_combines_several_records(site: Path, records: Path) -> None:
    found = json.loads((site / "benchmarks.json").read_text(encoding="utf-8"))
    one = next(one for one in found if one["metric"] == "HmR" and one["model"].startswith("analyze: dpo"))
    value = read_record(records / "good").results.arms["dpo"].HmR.value
    assert (one["source_coverage"], one["reported_range"], one["spread"]) == (2, [value, value], 0)
    assert one["source_profile"] == {"UNVERIFIED": 1, "VERIFIED": 1}
    assert one["severity"] == "NONE"
    assert benchmark_evidence([]) == []


# --- search ---------------------------------------------------------------------------------------


def search_ids(site: Path, **query: Any) -> set[str]:
    database = open_database(site / "search.sqlite")
    total, matches = search(database, Query(**query))
    database.close()
    assert total == len(matches)
    return {one.srch_id for one in matches}


def test_search_by_words_ids_language_verdict_and_gate(site: Path, records: Path) -> None:
    good = read_record(records / "good").manifest.work
    corrected, evil = site_data.srch_id(records, "corrected"), site_data.srch_id(records, "evil")
    everything = {good.srch_id, corrected, evil}
    assert search_ids(site) == everything
    assert search_ids(site, q="study scale") == search_ids(site, q="STUD scal") == {good.srch_id, corrected}
    assert search_ids(site, q=f"SRCH {good.srch_id.lower()}") == search_ids(site, q=good.id) == {good.srch_id}
    assert search_ids(site, q="window hacked") == {evil}
    assert search_ids(site, language="de") == everything
    assert search_ids(site, language="xx") == search_ids(site, language="../../x") == set()
    assert search_ids(site, language="sw", gate="VERIFIED") == {good.srch_id}
    assert search_ids(site, verdict="inconclusive") == everything
    assert search_ids(site, verdict="differs") == search_ids(site, q="zebra") == set()


@given(st.text(max_size=40))
def test_any_words_can_be_searched(site: Path, words: str) -> None:
    search_ids(site, q=words)
    search_ids(site, q=f'" OR * NEAR( {words}')


def test_the_database_is_read_only(site: Path) -> None:
    database = open_database(site / "search.sqlite")
    with pytest.raises(sqlite3.OperationalError):
        database.execute("DELETE FROM record")
    database.close()


# --- the command ----------------------------------------------------------------------------------


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_records_give_the_same_bytes(site: Path, records: Path, tmp_path: Path) -> None:
    build_site(records, tmp_path / "again", url="https://records.example/")
    assert digests(site) == digests(tmp_path / "again")


def test_folders_that_are_not_records_are_skipped_and_named(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(records / "good", tmp_path / "records" / "good")
    for name in ("same", "same-2", "same-3", "same-4", "same-5"):
        shutil.copytree(records / "good", tmp_path / "records" / name)
    (tmp_path / "records" / "empty").mkdir()
    out = tmp_path / "site"
    assert main(["site", "build", str(tmp_path / "records"), "--out", str(out)]) == 1
    errors = capsys.readouterr().err
    assert "empty: has no manifest.json" in errors
    assert "same: another record has the SRCH id" in errors and "good: another record has the SRCH id" in errors
    assert errors.count("same-5") == 1 and errors.count(" and 2 more; keep one of them") == 6
    assert "has no manifest.json" in (out / "verification.html").read_text(encoding="utf-8")
    # An earlier site is replaced, but no other folder.
    for name in ("same", "same-2", "same-3", "same-4", "same-5"):
        shutil.rmtree(tmp_path / "records" / name)
    (tmp_path / "records" / "empty").rmdir()
    assert main(["site", "build", str(tmp_path / "records"), "--out", str(out)]) == 0
    for taken in (tmp_path, tmp_path / "records", tmp_path / "records" / "good" / "x"):
        assert main(["site", "build", str(tmp_path / "records"), "--out", str(taken)]) == 2
    assert read_record(tmp_path / "records" / "good")


def test_many_records_are_built_in_several_processes(records: Path, tmp_path: Path) -> None:
    many_records(records / "good", tmp_path / "records", 60)
    built = build_site(tmp_path / "records", tmp_path / "site")
    assert (built.records, built.skipped) == (60, ())
    site = tmp_path / "site"
    second = (site / "index-2.html").read_text(encoding="utf-8")
    assert second.count('<li class="entry">') == 10
    listed = re.findall(r'href="(records/[0-9A-F]{8}/)', (site / "index.html").read_text(encoding="utf-8") + second)
    assert len(set(listed)) == 60
    days = [one["submitted"] for one in json.loads((site / "index.json").read_text(encoding="utf-8"))["records"]]
    assert days == sorted(days, reverse=True)
    several = json.loads((site / "benchmarks.json").read_text(encoding="utf-8"))
    assert all(one["source_coverage"] == 60 for one in several)
    assert {one["severity"] for one in several} == {"LOW"}
