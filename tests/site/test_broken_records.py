"""One broken record is named and excluded, and the rest of the site is built."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_records import deep_folders, drafted_record, edit, reseal
from site_data import put_gate

from tarazu.cli import main
from tarazu.record.reading import read_record
from tarazu.site import build, publish
from tarazu.site.build import build_site


def add_listed(record: Path, path: str) -> None:
    """Add a file to the record, and to its manifest."""
    (record / path).parent.mkdir(parents=True, exist_ok=True)
    (record / path).write_text("x", encoding="utf-8")
    entry = {"path": path, "role": "data", "media_type": "text/plain", "size": 1, "sha256": "0" * 64}
    edit(record / "manifest.json", lambda manifest: manifest["artifacts"].append(entry))
    reseal(record)


def huge_rate(record: Path) -> None:
    path = record / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    results["arms"]["dpo"]["HpR"]["value"] = "HERE"
    path.write_text(json.dumps(results).replace('"HERE"', str(10**400)), encoding="utf-8")
    reseal(record)


def deep_gate(record: Path) -> None:
    put_gate(read_record(record))
    path = record / "gate.json"
    text = path.read_text(encoding="utf-8").replace('"0.1.0"', "[" * 400 + "]" * 400)
    path.write_text(text, encoding="utf-8")


def file_and_folder(record: Path) -> None:
    add_listed(record, "notes.py")
    add_listed(record, "notes.py.txt/a.txt")


def two_files_of_one_name(record: Path) -> None:
    add_listed(record, "notes.py")
    add_listed(record, "notes.py.txt")
    # Both are shown as notes.py.txt unless the second gets another name.
    add_listed(record, "notes.py.txt.txt")


BROKEN: dict[str, Callable[[Path], Any]] = {
    "huge rate": huge_rate,
    "file and folder": file_and_folder,
    "long name": lambda record: (record / "superseded").mkdir() or (record / "superseded" / f"{'n' * 248}.py").touch(),
    "over 2 GiB": lambda record: (record / "extra.bin").open("wb").truncate(2**31 + 1),
    "deep gate": deep_gate,
    "deep folders": deep_folders,
    "gate is a folder": lambda record: (record / "gate.json").mkdir(),
    "gate is not JSON": lambda record: (record / "gate.json").write_bytes(b"\xff\xfe"),
    "loop of links": lambda record: (record / "a").symlink_to("a"),
    "name that is not UTF-8": lambda record: (record / os.fsdecode(b"\xff")).touch(),
    "no manifest": lambda record: (record / "manifest.json").unlink(),
}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A record without a fault, and a folder for others."""
    (tmp_path / "records").mkdir()
    drafted_record(tmp_path).rename(tmp_path / "records" / "good")
    return tmp_path / "records"


def broken(records: Path, name: str) -> Path:
    """A copy of the record with another id and with a fault."""
    record = Path(shutil.copytree(records / "good", records / name))
    add_listed(record, f"mark-{list(BROKEN).index(name)}.txt")  # evidence of its own, and so another id
    BROKEN[name](record)
    return record


def test_each_broken_record_is_named_and_the_rest_is_built(records: Path, tmp_path: Path) -> None:
    for name in BROKEN:
        broken(records, name)
    # A folder's own name can be as broken as what it holds.
    (records / os.fsdecode(b"not \xff UTF-8")).mkdir()
    built = build_site(records, tmp_path / "site")
    assert built.records == 1
    assert len(built.skipped) == len(BROKEN) + 1
    for line in built.skipped:
        assert len(line.splitlines()) == 1 and line.isprintable()
    for name in BROKEN:
        assert any(str(records / name) in line for line in built.skipped), name
    good = read_record(records / "good").manifest.work.srch_id
    assert [path.name for path in (tmp_path / "site" / "records").iterdir()] == [good]
    assert "not [U+DCFF] UTF-8" in (tmp_path / "site" / "verification.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("too deep"), OverflowError(34, "large"), OSError(36, "long"), KeyError("a")]
)
def test_no_error_of_one_record_stops_the_site(
    records: Path, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that nobody thought of."""
    bad = Path(shutil.copytree(records / "good", records / "bad"))
    assess = publish.assess

    def breaks(facts: Any) -> Any:
        if facts.record.path == bad:
            raise error
        return assess(facts)

    monkeypatch.setattr(publish, "assess", breaks)
    built = build_site(records, tmp_path / "site")
    assert built.records == 1 and len(built.skipped) == 1
    assert built.skipped[0].startswith(f"{bad}: cannot be published: {type(error).__name__}")


def test_what_was_written_of_a_broken_record_is_removed(records: Path, tmp_path: Path) -> None:
    broken(records, "file and folder")  # its page is written before its files
    assert main(["site", "build", str(records), "--out", str(tmp_path / "site")]) == 1
    assert len(list((tmp_path / "site" / "records").iterdir())) == 1
    assert not list((tmp_path / "site").rglob("notes.py*"))


def test_files_get_names_of_their_own(records: Path, tmp_path: Path) -> None:
    two_files_of_one_name(records / "good")
    built = build_site(records, tmp_path / "site")
    names = {path.name for path in (tmp_path / "site").rglob("notes.py*")}
    assert built.records == 1 and names == {"notes.py.txt", "notes.py.txt.txt", "notes.py.txt.txt.txt"}


def test_a_record_over_two_gibibytes_can_be_packed(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The limit of an entry's usual form is lowered, because two gibibytes would take a minute.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    assert build_site(records, tmp_path / "site").skipped == ()
    [packed] = (tmp_path / "site").rglob("record.zip")
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None


def test_the_verifier_sets_the_size(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (records / "good" / "extra.bin").open("wb") as stream:
        stream.truncate(3 << 20)
    assert main(["site", "build", str(records), "--out", str(tmp_path / "site"), "--max-size", "2"]) == 1
    assert "MiB together, and at most 2 are read" in capsys.readouterr().err


def test_many_records_are_guarded_alike(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where several processes build the site."""
    monkeypatch.setattr(build, "_FEW", 1)
    for name in BROKEN:
        broken(records, name)
    built = build_site(records, tmp_path / "site")
    assert (built.records, len(built.skipped)) == (1, len(BROKEN))


def test_a_record_that_ends_its_process_is_named(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where memory is short."""
    bad = Path(shutil.copytree(records / "good", records / "bad"))
    assess = publish.assess

    def ends(facts: Any) -> Any:
        return os._exit(1) if facts.record.path == bad else assess(facts)

    monkeypatch.setattr(publish, "assess", ends)
    monkeypatch.setattr(build, "_FEW", 1)
    built = build_site(records, tmp_path / "site")
    assert built.records == 1 and len(built.skipped) == 1
    assert built.skipped[0] == f"{bad}: cannot be published: the system ended the process that read it"
    assert len(list((tmp_path / "site" / "records").iterdir())) == 1
