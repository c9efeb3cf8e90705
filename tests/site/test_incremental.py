"""A site is brought up to date: only what changed is built, and the site is the one of a build from nothing."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import site_data
from measure_site import many_records

from tarazu.errors import BadInput
from tarazu.record.reading import read_record
from tarazu.site import build, publish
from tarazu.site.build import build_site
from tarazu.site.incremental import replace, state

ADDRESS = "https://records.example/"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Four records: three with the gate's verdict, and a hostile one."""
    made = site_data.put_gate(read_record(Path(shutil.copytree(site_data.built_once(), tmp_path / "given"))))
    many_records(made.path, tmp_path / "records", 3)
    shutil.copytree(made.path, tmp_path / "records" / "evil")
    site_data.make_evil(tmp_path / "records" / "evil")
    return tmp_path / "records"


def tree(folder: Path) -> dict[str, str]:
    """Every file and folder, with the digest of a file's bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


def times(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of each file: both stay if the file was not written."""
    status = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (one.st_ino, one.st_mtime_ns) for path, one in status.items()}


def fresh(records: Path, folder: Path) -> dict[str, str]:
    """The site that a build from nothing gives."""
    shutil.rmtree(folder, ignore_errors=True)
    build_site(records, folder / "site", url=ADDRESS)
    return tree(folder / "site")


def retitle(records: Path) -> None:
    site_data.reseal(records / "record-00001", work={"title": "Another title"})


def new_verdict(records: Path) -> None:
    site_data.put_gate(read_record(records / "record-00001"), "FALSIFIED", hmr_dpo="failed")


def spoil(records: Path) -> None:
    """The manifest stays, and a file is no longer the one it lists. It has the same size and time."""
    path = records / "record-00001" / "results.json"
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b" ", b"\t", 1))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def add(records: Path) -> None:
    shutil.copytree(records / "record-00001", records / "more")
    (records / "more" / "sources" / "a.md").write_text("# Scale\n\nThe scale is a fair one.\n", encoding="utf-8")
    site_data.reseal(records / "more", work={"submitted": "2025-06-01"})


def copy_all(records: Path) -> None:
    """As a fresh checkout: other times and inodes."""
    moved = records.rename(records.parent / "moved-away")
    shutil.copytree(moved, records)
    shutil.rmtree(moved)


CHANGES: tuple[tuple[str, Callable[[Path], Any], int], ...] = (
    ("title", retitle, 1),
    ("verdict", new_verdict, 1),
    ("file", spoil, 1),
    ("touched", lambda records: os.utime(records / "record-00001" / "manifest.json", ns=(1, 1)), 0),
    ("copied", copy_all, 0),
    ("moved", lambda records: (records / "record-00000").rename(records / "other"), 1),
    ("added", add, 1),
    ("a second of one id", lambda records: shutil.copytree(records / "more", records / "twin"), 0),
    ("the second removed", lambda records: shutil.rmtree(records / "twin"), 1),
    ("unreadable", lambda records: (records / "more" / "claims.json").write_text("{"), 0),
    ("removed", lambda records: shutil.rmtree(records / "record-00001"), 0),
)
"""What is done, one after the other, and how many records must be built then."""


def test_after_each_change_the_site_is_that_of_a_build_from_nothing(records: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    first = build_site(records, site, url=ADDRESS)
    assert (first.records, first.rebuilt) == (4, 4)
    expected = fresh(records, tmp_path / "fresh")
    for name, change, rebuilt in CHANGES:
        before = times(site)
        change(records)
        built = build_site(records, site, url=ADDRESS)
        if name not in ("touched", "copied"):
            expected = fresh(records, tmp_path / "fresh")
        assert tree(site) == expected, name
        after = times(site)
        written = {path for path in after if after[path] != before.get(path)}
        assert built.rebuilt == rebuilt, name
        assert len({path.split("/")[1] for path in written if path.startswith("records/")}) == rebuilt, name
        assert len([path for path in written if not path.startswith("records/")]) == built.written, name
        assert (built.written == 0) == (name in ("touched", "copied", "moved")), name
    assert sorted(path.name for path in tmp_path.glob(".site*")) == [".site.build.sqlite"]


def test_other_settings_and_another_program_build_all_records(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    build_site(records, site)
    assert build_site(records, site).rebuilt == 0
    assert build_site(records, site, url=ADDRESS).rebuilt == 4
    monkeypatch.setattr("tarazu.__version__", "9.9")
    assert build_site(records, site, url=ADDRESS).rebuilt == 4
    assert tree(site) == fresh(records, tmp_path / "fresh")


@pytest.mark.parametrize("harm", ["page", "file", "folder", "list", "extra", "state", "old state", "site"])
def test_a_site_that_was_changed_by_hand_is_restored(records: Path, tmp_path: Path, harm: str) -> None:
    site = tmp_path / "site"
    build_site(records, site, url=ADDRESS)
    right = tree(site)
    record = next((site / "records").iterdir())
    database = tmp_path / ".site.build.sqlite"
    actions: dict[str, Callable[[], Any]] = {
        "page": lambda: (record / "index.html").write_text("forged"),
        "file": lambda: (record / "record.zip").unlink(),
        "folder": lambda: shutil.rmtree(record),
        "list": lambda: (site / "index.html").unlink(),
        "extra": lambda: (site / "more").mkdir() or (site / "more" / "x.html").write_text("x"),
        "state": lambda: database.write_bytes(b"SQLite format 3\0 broken"),
        "old state": lambda: database.write_bytes(b""),
        "site": lambda: shutil.rmtree(site),
    }
    actions[harm]()
    built = build_site(records, site, url=ADDRESS)
    assert tree(site) == right
    assert built.rebuilt == {"list": 0, "extra": 0, "page": 1, "file": 1, "folder": 1}.get(harm, 4)


@pytest.mark.parametrize("at", ["publishing", "placing", "writing", "finishing"])
def test_a_build_after_a_killed_one_completes_the_site(records: Path, tmp_path: Path, at: str) -> None:
    site = tmp_path / "site"
    build_site(records, site, url=ADDRESS)
    retitle(records)
    shutil.rmtree(records / "record-00000")
    places: dict[str, tuple[Any, str, int]] = {
        "publishing": (publish, "_zip", 0),
        "placing": (replace, "_files", 0),
        "writing": (replace, "_is_same", 3),
        "finishing": (state.State, "placed", 0),
    }
    killed = multiprocessing.get_context("fork").Process(target=build_until, args=(*places[at], records, site))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert (site / build.MARK).is_file()
    built = build_site(records, site, url=ADDRESS)
    assert built.rebuilt == 1
    assert tree(site) == fresh(records, tmp_path / "fresh")
    assert sorted(path.name for path in tmp_path.glob(".site*")) == [".site.build.sqlite"]


def build_until(owner: Any, name: str, calls: int, records: Path, site: Path) -> None:
    """Build, and end without any clean-up at the call after `calls` others of a function."""
    original, left = getattr(owner, name), iter(range(calls))

    def kill(*given: Any) -> Any:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*given)

    setattr(owner, name, kill)
    build_site(records, site, url=ADDRESS)


def test_a_refused_write_leaves_the_site_as_it_was(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    build_site(records, site)
    before = tree(site)
    retitle(records)

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(build, "write_database", full)
        with pytest.raises(Exception, match="the disk is full"):
            build_site(records, site)
    assert tree(site) == before
    assert build_site(records, site).rebuilt == 1


def test_only_one_build_of_a_site_runs_at_a_time(records: Path, tmp_path: Path) -> None:
    with state.open_state(tmp_path / "site", "x"), pytest.raises(BadInput, match="another build of this site"):
        build_site(records, tmp_path / "site")
    assert build_site(records, tmp_path / "site").records == 4
