"""A stranger's record uses what the verifier allows: sizes, numbers, nesting, names, and the limits of its script."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_records import deep_folders, drafted_record, edit, reseal

from tarazu.cli import main
from tarazu.commands.ceilings import CeilingOptions
from tarazu.errors import BadInput
from tarazu.readers import parse_document, read_json
from tarazu.record.ceilings import LARGEST_MIB, Ceilings
from tarazu.record.reading import read_record
from tarazu.record.verify import gate
from tarazu.record.verify.gate import verify
from tarazu.sandbox.limits import Limits


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return drafted_record(tmp_path)


def refusal(record: Path) -> str:
    """The one line that says why a record cannot be read, which is found in seconds."""
    start = time.process_time()
    with pytest.raises(BadInput) as error:
        read_record(record, size_mib=LARGEST_MIB)
    assert time.process_time() - start < 5
    message = str(error.value)
    assert len(message.splitlines()) == 1 and len(message) < 2500 and str(record) in message
    return message


# --- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (str(10**400), "beyond 2\\*\\*53"),
        (f"-{2**53 + 1}", "beyond 2\\*\\*53"),
        ("9" * 100_000, "beyond 2\\*\\*53"),
        ("1e400", "too large"),
        ("[" * 65 + "]" * 65, "over 64 levels"),
        ('{"a":' * 400 + "1" + "}" * 400, "over 64 levels"),
        ("[" * 100_000 + "]" * 100_000, "too deeply"),
        ("[" + "[]," * 600_000 + "[]]", "more than 524288 values"),
        ('"' + "a" * (32 << 20) + '"', "more than 33554432 bytes"),
    ],
    ids=["10**400", "-2**53-1", "digits", "1e400", "65 levels", "400 levels", "100,000 levels", "values", "bytes"],
)
def test_what_a_json_file_may_hold_is_bounded(text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        parse_document(text, "results.json")


@pytest.mark.parametrize("value", [2**53, -(2**53), 1e308, 5e-324])
def test_numbers_within_the_bounds_are_read_exactly(value: float) -> None:
    assert parse_document(repr(value), "results.json") == value


def test_a_file_that_decompresses_to_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "value.json.gz"
    path.write_bytes(gzip.compress(b"[" + b" " * (40 << 20) + b"]", 1))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(BadInput, match="more than 33554432 bytes"):
        read_json(path)


def test_many_errors_are_counted_and_not_listed(record: Path) -> None:
    # A list of a hundred thousand errors, with a kilobyte for each, would take minutes and gigabytes.
    edit(record / "results.json", lambda results: results.update(arms={f"a{number}": 1 for number in range(100_000)}))
    assert "100000 keys or values are not valid" in refusal(record)


@pytest.mark.parametrize("name", ["claims.json", "results.json"])
def test_a_long_key_does_not_make_a_long_message(record: Path, name: str) -> None:
    edit(record / name, lambda value: value.update({"k" * 100_000: 1}))
    assert "k...: no such key" in refusal(record)
    text = (record / name).read_text(encoding="utf-8").rstrip().removesuffix("}")
    (record / name).write_text(f'{text}, "{"k" * 100_000}": 1}}', encoding="utf-8")
    assert "duplicate key 'kkk" in refusal(record)


# --- files ---------------------------------------------------------------------------------------


def put_folder(name: str) -> Callable[[Path], None]:
    def put(record: Path) -> None:
        path = record / name
        path.unlink(missing_ok=True)
        path.mkdir()

    return put


def many_files(record: Path) -> None:
    for number in range(10_001):
        os.mkdir(record / "proofs" / str(number))


def loop_of_links(record: Path) -> None:
    (record / "proofs" / "a").symlink_to("b")
    (record / "proofs" / "b").symlink_to("a")


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a folder called gate.json": (put_folder("gate.json"), "'gate.json' is a folder; it must be a file"),
    "a folder called assessment.json": (put_folder("assessment.json"), "'assessment.json' is a folder"),
    "a folder called record.html": (put_folder("record.html"), "'record.html' is a folder"),
    "a folder called signature.json": (put_folder("signature.json"), "'signature.json' is a folder"),
    "a folder called corrections.jsonl": (put_folder("corrections.jsonl"), "'corrections.jsonl' is a folder"),
    "a folder called results.json": (put_folder("results.json"), "'results.json' is a folder"),
    "a file called superseded": (lambda record: (record / "superseded").write_bytes(b""), "must be a folder"),
    "a long name": (lambda record: (record / ("n" * 252)).write_bytes(b""), "more than 240 bytes"),
    "a long name of few letters": (lambda record: (record / ("ም" * 81)).write_bytes(b""), "more than 240 bytes"),
    "deep folders": (deep_folders, "more than 16 folders deep"),
    "many folders": (many_files, "more than 10000 files"),
    "a loop of links": (loop_of_links, "is a link"),
    "a name that is not UTF-8": (lambda record: (record / os.fsdecode(b"\xff\xfe")).write_bytes(b""), "not UTF-8"),
    "a pipe": (lambda record: os.mkfifo(record / "pipe"), "not a plain file"),
    "three gibibytes of nothing": (
        lambda record: (record / "scores.parquet").open("r+b").truncate(3 << 30),
        "3072 MiB together, and at most 1024 are read; if you trust the record, allow more with --max-size",
    ),
    "a large manifest": (
        lambda record: edit(record / "manifest.json", lambda manifest: manifest.update(note="a" * (9 << 20))),
        "more than 8388608 bytes",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_no_build_makes_is_refused(record: Path, name: str) -> None:
    spoil, reason = BROKEN[name]
    spoil(record)
    assert reason in refusal(record)


def test_a_larger_record_is_read_where_the_verifier_allows_it(record: Path) -> None:
    with (record / "scores.parquet").open("r+b") as stream:
        stream.truncate(2 << 20)
    with pytest.raises(BadInput, match="at most 1 are read"):
        read_record(record, size_mib=1)
    assert read_record(record, size_mib=4).files["scores.parquet"] == 2 << 20


# --- lists ---------------------------------------------------------------------------------------


def more_claims(count: int) -> Callable[[Any], None]:
    def change(claims: Any) -> None:
        first = claims["claims"][0]
        claims["claims"] = [{**first, "id": f"claim-{number}"} for number in range(count)]

    return change


def set_work(**values: Any) -> Callable[[Any], None]:
    return lambda manifest: manifest["work"].update(values)


@pytest.mark.parametrize(
    ("file", "change", "place"),
    [
        ("claims.json", more_claims(1001), "claims: Tuple should have at most 1000 items"),
        ("claims.json", more_claims(5_000), "claims: Tuple should have at most 1000 items"),
        ("claims.json", lambda claims: claims["claims"][0].update(statement="a" * 5001), "claims.0"),
        ("claims.json", lambda claims: claims["claims"][0]["check"].update(pointer="/a" * 501), "claims.0"),
        ("manifest.json", set_work(authors=["A"] * 5001), "work.authors"),
        ("manifest.json", set_work(authors=["A" * 501]), "work.authors.0"),
        ("manifest.json", set_work(title="A" * 501), "work.title"),
        ("manifest.json", set_work(abstract="A" * 20_001), "work.abstract"),
        ("manifest.json", lambda manifest: manifest.update(limitations=["a"] * 501), "limitations"),
        ("manifest.json", lambda manifest: manifest.update(links=["https://a.example"] * 501), "links"),
        ("manifest.json", lambda manifest: manifest.update(artifacts=manifest["artifacts"] * 1000), "artifacts"),
        (
            "manifest.json",
            lambda manifest: manifest["environment"].update(versions={str(number): "1" for number in range(501)}),
            "environment.versions",
        ),
        (
            "manifest.json",
            lambda manifest: manifest["corrections"].update(count=1001, head="0" * 64),
            "corrections.count",
        ),
    ],
)
def test_lists_and_texts_are_bounded(record: Path, file: str, change: Callable[[Any], None], place: str) -> None:
    edit(record / file, change)
    assert place in refusal(record)


def test_as_many_claims_as_are_allowed_are_read_in_time(record: Path) -> None:
    edit(record / "claims.json", more_claims(1000))
    start = time.process_time()
    assert len(read_record(record).claims.claims) == 1000
    assert time.process_time() - start < 2


# --- limits of the script ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "asked", "flag"),
    [
        ("memory_mib", 1_000_000, "--max-memory"),
        ("file_mib", 500_000, "--max-disk"),
        ("processes", 5000, "--max-processes"),
        ("seconds", 80_000, "--max-seconds"),
        ("seconds", 301, "--max-seconds"),
        ("file_mib", 1025, "--max-disk"),
    ],
)
def test_a_script_that_asks_for_more_than_is_allowed_is_not_run(
    record: Path, limit: str, asked: int, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_may_run(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("it ran")

    monkeypatch.setattr(gate, "_check_claims", nothing_may_run)
    edit(record / "repro" / "repro.json", lambda repro: repro["depths"]["analysis"]["limits"].update({limit: asked}))
    reseal(record)
    with pytest.raises(BadInput, match=rf"analysis.limits.{limit}: asks for {asked}, .*{flag}"):
        verify(record)
    assert not (record / "gate.json").exists()
    allowed = {"memory_mib": 10**6, "disk_mib": 10**6, "processes": 10**4, "seconds": 10**5}
    with pytest.raises(AssertionError, match="it ran"):
        verify(record, ceilings=Ceilings(**allowed))


def test_limits_beyond_any_machine_are_refused_on_reading(record: Path) -> None:
    for limit in ("memory_mib", "file_mib", "processes", "seconds"):
        edit(record / "repro" / "repro.json", lambda repro: repro["depths"]["analysis"].update(limits={limit: 2**53}))  # noqa: B023
        assert f"depths.analysis.limits.{limit}" in refusal(record)


def test_the_command_line_refuses_in_one_line(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "verify", str(record), "--max-memory", "1024"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert "analysis.limits.memory_mib: asks for 4096, and at most 1024 is allowed" in captured.err
    assert main(["record", "verify", str(record), "--max-size", "x"]) == 2


def test_what_the_package_asks_for_is_allowed_on_every_machine() -> None:
    assert CeilingOptions().ceilings() == Ceilings()
    for depth, limits in (("analysis", Limits()), ("training", Limits(seconds=400, memory_mib=8192))):
        Ceilings().check(limits, depth, Path("repro.json"))  # type: ignore[arg-type]


def test_runs_take_turns_where_memory_is_short() -> None:
    limits = Limits(memory_mib=4096, file_mib=1024)
    assert [Ceilings(memory_mib=most).at_once(limits, 2) for most in (4096, 10_239, 10_240, 10**6)] == [1, 1, 2, 2]
