"""Reading untrusted records: invalid records, and files that do not match the manifest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from record_data import CITATION, PAPER

from tarazu.data.importers import Given
from tarazu.errors import BadInput
from tarazu.files import write_json
from tarazu.record.build.assemble import AuthorInput, build_from_scores
from tarazu.record.build.imported import OutsideStudy
from tarazu.record.manifest import json_digest
from tarazu.record.reading import check_artifacts, read_record
from tarazu.run.analyze import AnalysisOptions


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = build_from_scores(
        OutsideStudy(
            files=[(PAPER / "scores.csv", Given())], analysis=AnalysisOptions(overrides=["analysis.draws=100"])
        ),
        tmp_path_factory.mktemp("records") / "paper",
        AuthorInput(claims=PAPER / "claims.yaml", sources=[PAPER / "paper.md"], citation=CITATION),
    )
    return record.path


@pytest.fixture
def record(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "record")


def edit(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    write_json(path, value)


def refused(record: Path) -> str:
    with pytest.raises(BadInput) as error:
        read_record(record)
    message = str(error.value)
    assert str(record) in message
    return message


def set_item(*place: Any) -> Callable[[Any], None]:
    """An edit that sets a value. The arguments are keys and indices, then the value."""

    def change(tree: Any) -> None:
        *way, last, value = place
        for part in way:
            tree = tree[part]
        tree[last] = value

    return change


@pytest.mark.parametrize(
    ("file", "change", "expected"),
    [
        ("manifest.json", set_item("artifacts", 0, "path", "../escape"), "must be a relative path that stays inside"),
        ("manifest.json", set_item("artifacts", 0, "path", "/etc/shadow"), "must be a relative path that stays inside"),
        ("manifest.json", set_item("artifacts", 0, "path", "a/../../b"), "must be a relative path that stays inside"),
        ("manifest.json", set_item("artifacts", 0, "path", "a\\..\\b"), "artifacts.0.path"),
        (
            "manifest.json",
            set_item("artifacts", 0, "path", "gate.json"),
            "must not be listed in the manifest",
        ),
        ("manifest.json", set_item("artifacts", 0, "path", "claims.json"), "'claims.json' is listed twice"),
        ("manifest.json", set_item("artifacts", 0, "sha256", "0"), "artifacts.0.sha256"),
        ("manifest.json", set_item("verified", True), "verified: no such key"),
        ("manifest.json", set_item("contract", "paper-manifest-v1"), "contract: Input should be"),
        ("manifest.json", set_item("work", "srch_id", "00000000"), "srch_id must be the first eight hex digits"),
        ("manifest.json", set_item("corrections", "count", 1), "head must be null if count is 0"),
        ("manifest.json", set_item("environment", "hardware", {"cores": 2**60}), "is beyond 2**53"),
        ("claims.json", set_item("claims", 0, "id", "best-cas"), "two claims have the id 'best-cas'"),
        ("claims.json", set_item("claims", 0, "check", "value", None), "claims.0"),
        ("claims.json", set_item("claims", 4, "source", "scores.parquet"), "is not listed in the manifest as source"),
        ("repro/repro.json", set_item("depths", "analysis", "inputs", ["results.json"]), "must compute itself"),
        ("repro/repro.json", set_item("depths", "analysis", "inputs", ["report.html"]), "must compute itself"),
        ("repro/repro.json", set_item("depths", "analysis", "inputs", ["other"]), "'other' is not listed"),
        (
            "repro/repro.json",
            set_item("depths", "analysis", "script", "study.lock.yaml"),
            "not listed in the manifest as",
        ),
        ("repro/repro.json", set_item("depths", "magic", {}), "depths.magic"),
        ("results.json", set_item("schema", "tarazu/results/v1"), "does not have the schema tarazu/results/v2"),
        ("results.json", set_item("tradeoff", "primary", "unit", "<b>"), "tradeoff.primary.unit: Input should be"),
        ("results.json", set_item("arms", "dpo", "languages", "../../x", {}), "arms.dpo.languages.../../x"),
        ("results.json", set_item("arms", "dpo", "HmR", "value", "50"), "arms.dpo.HmR.value: Input should be a valid"),
        ("results.json", set_item("arms", "dpo", "HmR", "value", None), "value is null without a reason"),
        ("results.json", set_item("arms", "dpo", "HmR", "n", 1.5), "arms.dpo.HmR.n"),
        ("results.json", set_item("verified", True), "verified: no such key"),
    ],
)
def test_an_invalid_file_is_refused(record: Path, file: str, change: Any, expected: str) -> None:
    edit(record / file, change)
    message = refused(record)
    assert expected in message
    assert str(record / file) in message


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000])
@pytest.mark.parametrize("file", ["manifest.json", "claims.json", "repro/repro.json", "results.json"])
def test_a_broken_file_is_refused(record: Path, file: str, content: bytes) -> None:
    (record / file).write_bytes(content)
    assert str(record / file) in refused(record)


@pytest.mark.parametrize("file", ["manifest.json", "claims.json", "repro/repro.json", "results.json"])
def test_a_missing_file_is_refused(record: Path, file: str) -> None:
    (record / file).unlink()
    assert f"has no {file}, so it is not a record" in refused(record)


def test_a_path_that_is_not_a_folder_is_refused(record: Path, tmp_path: Path) -> None:
    assert "not a folder" in refused(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(record)
    assert "not a folder" in refused(tmp_path / "link")
    (tmp_path / "empty").mkdir()
    assert "so it is not a record" in refused(tmp_path / "empty")


@pytest.mark.parametrize("name", ["data.json", "scores.parquet", "proofs", "sources/extra"])
@pytest.mark.parametrize("kind", ["link", "broken link", "pipe"])
def test_links_and_pipes_are_refused_anywhere(record: Path, tmp_path: Path, name: str, kind: str) -> None:
    path = record / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/etc/passwd" if kind == "link" else tmp_path / "nowhere")
    assert f"'{name}' is {'not a plain file' if kind == 'pipe' else 'a link'}" in refused(record)


def test_a_file_name_that_is_not_text_is_refused(record: Path) -> None:
    (Path(os.fsdecode(os.fsencode(record) + b"/\xff"))).write_text("")
    assert "has a name that is not UTF-8" in refused(record)


def test_a_file_too_large_for_memory_is_refused(record: Path) -> None:
    os.truncate(record / "results.json", 300 * 2**20)  # a sparse file: it takes no disk space
    assert "has more than 33554432 bytes" in refused(record)


@pytest.mark.parametrize("path", ["scores.parquet", "results.json", "sources/paper.md", "repro/analysis.py"])
def test_a_flipped_byte_is_detected(record: Path, path: str) -> None:
    before = (record / path).read_bytes()
    for position in (0, len(before) // 2, len(before) - 1):
        changed = bytearray(before)
        changed[position] ^= 1
        (record / path).write_bytes(changed)
        try:
            defects = check_artifacts(read_record(record))
        except BadInput:  # results.json is no longer valid JSON
            assert path == "results.json"
            continue
        assert [(defect.path, defect.kind) for defect in defects] == [(path, "digest")]


def test_every_kind_of_defect_is_detected(record: Path) -> None:
    assert check_artifacts(read_record(record)) == []
    (record / "report.html").unlink()
    with (record / "CITATION.cff").open("a") as file:
        file.write("\n")
    (record / "zenodo.json").write_text((record / "zenodo.json").read_text().replace("dataset", "Dataset"))
    (record / "stowaway").write_text("")
    for name in (
        "gate.json",
        "assessment.json",
        "record.html",
        "signature.json",
        "superseded/a.json",
    ):  # not listed in the manifest
        (record / name).parent.mkdir(exist_ok=True)
        (record / name).write_text("{}")
    defects = check_artifacts(read_record(record))
    assert [(defect.path, defect.kind) for defect in defects] == [
        ("CITATION.cff", "size"),
        ("report.html", "missing"),
        ("zenodo.json", "digest"),
        ("stowaway", "unlisted"),
    ]


def test_the_digest_uses_the_canonical_form(record: Path) -> None:
    """White space and the order of keys in manifest.json do not matter. RFC 8785's example has the expected digest."""
    before = read_record(record).digest
    manifest = json.loads((record / "manifest.json").read_text())
    (record / "manifest.json").write_text(json.dumps(dict(reversed(manifest.items()))))
    assert read_record(record).digest == before
    edit(record / "manifest.json", set_item("work", "title", "Another"))
    assert read_record(record).digest != before
    # RFC 8785, section 3.2.2. The bytes in section 3.2.4 were hashed by another program.
    example = {"numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27], "literals": [None, True, False]}
    assert json_digest(example) == "sha256:" + EXAMPLE


EXAMPLE = "f9ef8430c38ca3edd7fb96a698d14fdf39c74c63299627162d38b59af2af5abb"
