from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tarazu.errors import BadInput
from tarazu.readers import field, read_csv, read_json, read_jsonl, read_tsv

FUZZ = settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(read: Callable[[Path], Any], path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        list(read(path))
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


def one_line(error: BadInput) -> None:
    """Check the form that every error message has, whatever its wording."""
    assert str(error).strip()
    assert "\n" not in str(error)


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_jsonl_rows_come_with_line_numbers(tmp_path: Path, name: str) -> None:
    rows = [{"a": 1}, {"a": "ß\u2028ß", "b": [None, True, 0.5]}, {}]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    assert list(read_jsonl(written(tmp_path, name, text.encode()))) == [(1, rows[0]), (2, rows[1]), (3, rows[2])]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b'{"a": 1}\n{"a": \n', 2, "broken JSON"),
        (b'{"a": 1}\n[1]\n', 2, "a list, not an object"),
        (b'{"a": 1}\nnull\n', 2, "null, not an object"),
        (b'{"a": 1}\n\n{"a": 2}\n', 2, "is empty"),
        (b'[{"a": 1}]\n', 1, "the file is a JSON array; write one object per line"),
        (b"{\n  1\n}\n", 1, "the file is JSON over several lines"),
        (b"<!DOCTYPE html>\n", 1, "the file is a page of HTML or XML"),
        (b'{"a": 1}\n{"a": "\xff"}\n', 2, "byte 8 (0xff) is not UTF-8"),
        (b'{"a": 1}\n{"a": "\x00"}\n', 2, "byte 8 is NUL"),
        (b'{"a": 1}\r\n', 1, "carriage return"),
        (b'\xef\xbb\xbf{"a": 1}\n', 1, "byte-order mark"),
        (b'{"a": "\\ud800"}\n', 1, "surrogate"),
        (b'{"\\udc00": 1}\n', 1, "surrogate"),
        (b'{"a": ["x\\u0000"]}\n', 1, "NUL"),
        (b'{"a": NaN}\n', 1, "NaN is not JSON"),
        (b'{"a": -Infinity}\n', 1, "-Infinity is not JSON"),
        (b'{"a": 1e999}\n', 1, "too large"),
        (b'{"a": 1, "b": 2, "a": 3}\n', 1, "duplicate key 'a'"),
        (b'{"a": {"c": 1, "c": 1}}\n', 1, "duplicate key 'c'"),
        (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\n", 1, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", 1, "too many digits"),
    ],
)
def test_jsonl_defects_name_file_line_and_problem(tmp_path: Path, content: bytes, line: int, message: str) -> None:
    text = refusal(read_jsonl, written(tmp_path, "rows.jsonl", content))
    assert f"rows.jsonl: line {line}: " in text
    assert message in text


def test_escaped_backslash_before_u_is_not_an_escape(tmp_path: Path) -> None:
    row = {"a": "\\ud800 \\u0000", "b": "😀"}
    assert list(read_jsonl(written(tmp_path, "r.jsonl", json.dumps(row).encode()))) == [(1, row)]


def test_rows_before_a_defect_are_read(tmp_path: Path) -> None:
    rows = read_jsonl(written(tmp_path, "rows.jsonl", b'{"a": 1}\nbroken\n'))
    assert next(rows) == (1, {"a": 1})
    with pytest.raises(BadInput, match="line 2"):
        next(rows)


@pytest.mark.parametrize("read", [read_jsonl, read_json, read_csv, read_tsv])
def test_paths_that_are_not_readable_files(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    assert "no such file" in refusal(read, tmp_path / "absent")
    assert "is a directory" in refusal(read, tmp_path)
    assert "is empty" in refusal(read, written(tmp_path, "empty", b""))
    assert "is empty" in refusal(read, written(tmp_path, "empty.gz", b""))
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(read, tmp_path / "pipe")
    with pytest.raises(BadInput, match="not a file name"):
        list(read(Path("a\0b")))
    with pytest.raises(BadInput, match="cannot be read"):
        list(read(tmp_path / ("x" * 300)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_without_permission(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.jsonl", b'{"a": 1}\n')
    path.chmod(0)
    assert "ermission denied" in refusal(read_jsonl, path)


def test_invalid_gzip(tmp_path: Path) -> None:
    valid = gzip.compress(b"".join(b'{"a": %d}\n' % number for number in range(5000)))
    for content, message in (
        (valid[: len(valid) // 2], "truncated"),
        (valid[:20] + bytes([valid[20] ^ 0xFF]) + valid[21:], "not valid gzip"),
        (valid[:-8] + b"\0\0\0\0" + valid[-4:], "not valid gzip"),
        (b'{"a": 1}\n', "not valid gzip"),
    ):
        path = tmp_path / "rows.jsonl.gz"
        path.write_bytes(content)
        assert message in refusal(read_jsonl, path)
    assert "ends in .gz" in refusal(read_jsonl, written(tmp_path, "rows.jsonl", valid))


def test_json(tmp_path: Path) -> None:
    assert read_json(written(tmp_path, "v.json", b'{"a":\n [1, 2]}')) == {"a": [1, 2]}
    assert read_json(written(tmp_path, "v.json.gz", b"[]")) == []
    assert "v.json: line 2: broken JSON" in refusal(read_json, written(tmp_path, "v.json", b'{"a":\n 1,,}'))


def test_csv_as_excel_writes_it(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfa,b\r\n1,"two\r\nlines"\r\n"say ""hi""",\r\n'
    assert list(read_csv(written(tmp_path, "rows.csv", content))) == [
        (3, {"a": "1", "b": "two\r\nlines"}),
        (4, {"a": 'say "hi"', "b": ""}),
    ]


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        (b"a,b\n1\n", "line 2: ", "1 cells under 2 columns"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: ", "3 cells under 2 columns"),
        (b"a,a\n1,2\n", "line 1: ", "duplicate column 'a'"),
        (b"a,,b\n1,2,3\n", "line 1: ", "has no name"),
        (b"a,\n1,2\n", "line 2: ", "a column without a name"),
        (b",\n1,2\n", "line 1: ", "no column has a name"),
        (b"a,b\r1,2\r", "", "carriage return"),
        (b"a,b\n1,2\n\n3,4\n", "line 3: ", "is empty"),
        (b"a,b\n", "", "no rows"),
        (b'a,b\n1,"2\n', "", "not valid CSV"),
        (b'a,b\n1,"2"x\n', "line 2: ", "not valid CSV"),
        (b"a,b\n1,\xe9\n", "line 2: ", "byte 3 (0xe9) is not UTF-8"),
        (b"a,b\n1,\0\n", "line 2: ", "NUL"),
        ("a,b\n1,2\n".encode("utf-16"), "line 1: ", "is UTF-16 text, not UTF-8"),
        (b"PAR1\x15\x04\n", "line 1: ", "the file is a parquet file"),
    ],
)
def test_csv_defects(tmp_path: Path, content: bytes, where: str, message: str) -> None:
    text = refusal(read_csv, written(tmp_path, "rows.csv", content))
    assert f"rows.csv: {where}" in text
    assert message in text


def test_a_csv_cell_may_be_larger_than_the_csv_module_allows(tmp_path: Path) -> None:
    large = "x" * (csv.field_size_limit() + 1)
    assert [row["b"] for _, row in read_csv(written(tmp_path, "rows.csv", f"a,b\n1,{large}\n".encode()))] == [large]
    assert csv.field_size_limit() < len(large)


def test_columns_without_a_name_at_the_edges_are_ignored(tmp_path: Path) -> None:
    content = b",,a,b,\n0,x,1,2,\n1,y,3,4,\n\n\n"
    assert [row for _, row in read_csv(written(tmp_path, "rows.csv", content))] == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]


def test_lenient_jsonl(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}\r\n\n'
    for data in (content, gzip.compress(content)):
        path = tmp_path / "rows.txt"
        path.write_bytes(data)
        assert [row for _, row in read_jsonl(path, lenient=True)] == [{"a": 1}, {"a": 2}]


def test_tsv(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.tsv", b'\xef\xbb\xbfa\ta\r\n"1\t\r\n')
    assert list(read_tsv(path)) == [(1, ["a", "a"]), (2, ['"1', ""])]
    assert "line 2: 1 cells under 2" in refusal(read_tsv, written(tmp_path, "rows.tsv", b"a\tb\n1\n"))


def test_field() -> None:
    row = {"text": "x", "count": 3, "share": 0.5, "flag": True, "none": None}
    assert field(row, "text", str, "f", 1) == "x"
    assert field(row, "count", int, "f", 1) == 3
    assert field(row, "count", float, "f", 1) == 3.0
    for name, kind, message in (
        ("absent", str, "no field 'absent'"),
        ("flag", int, "'flag' is true or false; it must be a whole number"),
        ("none", str, "'none' is null; it must be text"),
        ("share", int, "must be a whole number"),
        ("text", float, "'text' is text; it must be a number"),
    ):
        with pytest.raises(BadInput) as caught:
            field(row, name, kind, "f.jsonl", 7)
        assert str(caught.value).startswith("f.jsonl: line 7: ")
        assert message in str(caught.value)
    with pytest.raises(BadInput, match="too large"):
        field({"n": 10**400}, "n", float, "f", 1)


# --- arbitrary bytes ------------------------------------------------------------------------------

VALID = [
    b'{"prompt_id": "p1", "n": [1, -2.5e3, null], "t": "na\\u00efve \\ud83d\\ude00"}\n{"prompt_id": "\xc3\xa9"}\n',
    b'a,b\r\n1,"x, ""y"""\r\n\xe4\xb8\xad,2\r\n',
    b"a\tb\n1\t2\n",
]
PIECES = [b"\0", b"\r", b"\n", b'"', b"{", b"}", b"[" * 3000, b"\xef\xbb\xbf", b"\xff", b"NaN", b"\\ud800", b"\t", b",",
          b"9" * 4400, b"1e999", b"\x1f\x8b", b"\xed\xa0\x80", b": {", b"null"]  # fmt: skip


def mutated(seeds: Iterable[bytes]) -> st.SearchStrategy[bytes]:
    """Valid content with pieces removed, doubled, overwritten or inserted."""

    @st.composite
    def build(draw: st.DrawFn) -> bytes:
        content = draw(st.sampled_from(list(seeds)))
        for _ in range(draw(st.integers(0, 4))):
            start = draw(st.integers(0, len(content)))
            end = min(len(content), start + draw(st.integers(0, 12)))
            piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4), st.just(content[start:end] * 2)))
            content = content[:start] + piece + content[end:]
        return content

    return build()


@FUZZ
@given(content=mutated(VALID), packed=st.sampled_from(["", "complete", "cut"]))
def test_any_bytes_give_rows_or_one_line(tmp_path: Path, content: bytes, packed: str) -> None:
    if packed:
        content = gzip.compress(content, 1)
        content = content[: len(content) * 2 // 3] if packed == "cut" else content
    path = tmp_path / ("f.gz" if packed else "f")
    path.write_bytes(content)
    for read in (read_jsonl, read_json, read_csv, read_tsv):
        try:
            rows = read(path)
            rows = rows if read is read_json else list(rows)
        except BadInput as error:
            one_line(error)
            continue
        # Accepted rows can be written as UTF-8 JSON again.
        json.dumps(rows, ensure_ascii=False, allow_nan=False).encode()


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6), min_size=2, max_size=2),
        min_size=1,
        max_size=5,
    )
)
def test_csv_reads_what_the_csv_module_writes(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    path.write_bytes(stream.getvalue().encode())
    assert [[row["a"], row["b"]] for _, row in read_csv(path)] == rows
