"""A record that pools several runs: its page in the site, its members, and what their pages say."""

from __future__ import annotations

import functools
import hashlib
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from gate_records import edit, reseal
from made_up_scores import random_rows, write_csv
from shared_folder import shared_folder

from tarazu.cli import main
from tarazu.record.reading import read_record
from tarazu.site.build import build_site

DATE = ["--date", "2026-11-26"]


@functools.cache
def made() -> Path:
    """A folder with the record of a pool of two runs, and a record of the first of them."""
    folder = shared_folder("pool")
    runs = []
    for seed in (1, 2):
        table = write_csv(folder / f"{seed}.csv", random_rows(seed))
        runs.append(str(folder / f"model-{seed}"))
        assert main(["analyze", str(table), "--out", runs[-1], "--set", "analysis.draws=100"]) == 0
    assert main(["pool", *runs, "--out", str(folder / "pooled")]) == 0
    named = [argument for run in runs for argument in ("--run", run)]
    assert main(["record", "build", str(folder / "pooled"), *named, "--out", str(folder / "records/pool"), *DATE]) == 0
    out = str(folder / "records" / "model-1")
    assert main(["record", "build", runs[0], "--out", out, "--title", "<b>model-1</b>", *DATE]) == 0
    return folder / "records"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return Path(shutil.copytree(made(), tmp_path / "records"))


def ids(records: Path) -> dict[str, str]:
    return {folder.name: read_record(folder).manifest.work.srch_id for folder in records.iterdir()}


def page(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def bytes_of(site: Path) -> dict[str, str]:
    paths = sorted(path for path in site.rglob("*") if path.is_file())
    return {str(path.relative_to(site)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_a_pool_has_a_page_that_links_its_members_and_they_link_it(records: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build_site(records, site)
    known = ids(records)
    pool = read_record(records / "pool").pool
    assert pool is not None
    shown = page(site / "pools" / f"{known['pool']}.html")
    assert len(shown.select("table.rates svg")) == len(pool.runs) + 1
    text = " ".join(shown.get_text(" ").split())
    assert f"{pool.heterogeneity.i2:.1f} %" in text and f"{pool.heterogeneity.q:.1f} with 1 degree of freedom" in text
    rows = {row.th.get_text(" ").split()[0]: row.select("a") for row in shown.select("#members-h ~ div tbody tr")}
    assert [link["href"] for link in rows["model-1"]] == [f"../records/{known['model-1']}/index.html"]
    assert rows["model-2"] == []
    assert shown.find("b", string="model-1") is None
    for name, srch_id in known.items():
        links = page(site / "records" / srch_id / "index.html").select("#answer a[href*=pools]")
        assert [link["href"] for link in links] == [f"../../pools/{known['pool']}.html"], name
    assert "Pooled in" in page(site / "records" / known["model-1"] / "index.html").get_text()
    assert "Pooled in" not in page(site / "records" / known["pool"] / "index.html").get_text()
    assert [link["href"] for link in page(site / "pools.html").select(".entry a")] == [f"pools/{known['pool']}.html"]


def test_links_follow_the_pool_as_it_changes(records: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build_site(records, site)
    known = ids(records)
    away = shutil.move(records / "pool", tmp_path / "pool")
    built = build_site(records, site)
    assert built.rebuilt == 0 and not (site / "pools").exists()
    assert "Pooled in" not in page(site / "records" / known["model-1"] / "index.html").get_text()
    build_site(records, tmp_path / "fresh")
    assert bytes_of(site) == bytes_of(tmp_path / "fresh")
    shutil.move(away, records / "pool")
    edit(records / "pool" / "manifest.json", lambda manifest: manifest["work"].update(title="Another title"))
    reseal(records / "pool")
    assert build_site(records, site).rebuilt == 1
    assert "Another title" in page(site / "records" / known["model-1"] / "index.html").get_text()
    build_site(records, tmp_path / "again")
    assert bytes_of(site) == bytes_of(tmp_path / "again")
    assert build_site(records, site).written == 0


def test_a_record_whose_files_are_not_those_of_its_manifest_takes_no_part(records: Path, tmp_path: Path) -> None:
    known = ids(records)
    (records / "model-1" / "CITATION.cff").write_text("changed", encoding="utf-8")
    build_site(records, tmp_path / "site")
    assert "Pooled in" not in page(tmp_path / "site" / "records" / known["model-1"] / "index.html").get_text()
    assert "none here" in page(tmp_path / "site" / "pools" / f"{known['pool']}.html").get_text()
