"""Tables as other programs write them, compared with what pandas and pyarrow read in the same file."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_readers import mutated, one_line

from tarazu.errors import BadInput
from tarazu.tables import form_of, open_table, read_rows

FUZZ = settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows_of(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [row for _, row in read_rows(path, **options)]


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(BadInput) as caught:
        rows_of(path, **options)
    one_line(caught.value)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def text_file(folder: Path, content: str, name: str = "table") -> Path:
    path = folder / name
    path.write_bytes(content.encode())
    return path


FRAME = pd.DataFrame(
    {
        "prompt_id": [2**53 + 1, 7, 2**63 - 1],
        "reward": [5.5, -0.125, 12.0],
        "label": [True, False, True],
        "response": ["well, yes; or no", 'say "hi"\tnow | then', "zwei\nZeilen"],
    }
)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_as_pandas_writes_it(tmp_path: Path, delimiter: str, decimal: str, index: bool) -> None:
    path = tmp_path / "table"
    FRAME.to_csv(path, sep=delimiter, decimal=decimal, index=index)
    rows = rows_of(path, numbers=["reward"], ids=["prompt_id"])
    expected = pd.read_csv(path, sep=delimiter, decimal=decimal, index_col=0 if index else None)
    assert [row["prompt_id"] for row in rows] == [str(one) for one in expected.prompt_id]
    assert [float(row["reward"]) for row in rows] == list(expected.reward)
    assert [row["response"] for row in rows] == list(expected.response)
    assert [row["label"] for row in rows] == ["True", "False", "True"]
    assert list(rows[0]) == list(FRAME.columns)


def test_typed_forms_give_the_values_of_pandas_and_pyarrow(tmp_path: Path) -> None:
    expected = FRAME.to_dict("records")
    FRAME.to_json(tmp_path / "array", orient="records")
    FRAME.to_json(tmp_path / "indented", orient="records", indent=2)
    FRAME.to_json(tmp_path / "lines", orient="records", lines=True)
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress((tmp_path / "lines").read_bytes()))
    (tmp_path / "misnamed.csv").write_bytes(gzip.compress((tmp_path / "indented").read_bytes()))
    FRAME.to_parquet(tmp_path / "parquet")
    for name in ("array", "indented", "lines", "lines.jsonl.gz", "misnamed.csv", "parquet"):
        assert rows_of(tmp_path / name) == expected, name
    assert rows_of(tmp_path / "parquet") == pq.read_table(tmp_path / "parquet").to_pylist()
    assert form_of(tmp_path / "misnamed.csv").name == "a JSON array (compressed)"


def test_rows_are_numbered_by_the_lines_of_a_text_file(tmp_path: Path) -> None:
    assert list(read_rows(text_file(tmp_path, '[\n {"a": 1},\n {\n  "a": "x"}, {"a": 2}\n]\n'))) == [
        (2, {"a": 1}),
        (3, {"a": "x"}),
        (4, {"a": 2}),
    ]
    assert [line for line, _ in read_rows(text_file(tmp_path, 'a;b\n1;"x\ny"\n2;z\n'))] == [3, 4]
    assert [line for line, _ in read_rows(text_file(tmp_path, "sep=;\na;b\n1;2\n"))] == [3]


REWARD = st.one_of(
    st.floats(-20, 20, allow_nan=False).map(lambda value: round(value, 3)),
    st.integers(-3000, 3000).map(float),
    st.floats(-1e6, 1e6, allow_nan=False),
)
CELL = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.integers(0, 2**63 - 1), REWARD, CELL), min_size=1, max_size=6),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    decimal=st.sampled_from([".", ","]),
    index=st.booleans(),
)
def test_a_number_is_read_as_it_was_written_or_refused(
    tmp_path: Path, rows: list[tuple[int, float, str]], delimiter: str, decimal: str, index: bool
) -> None:
    path = tmp_path / "table"
    frame = pd.DataFrame(rows, columns=["prompt_id", "reward", "response"])
    frame.to_csv(path, sep=delimiter, decimal=decimal, index=index)
    try:
        read = rows_of(path, numbers=["reward"], ids=["prompt_id"])
    except BadInput as error:
        one_line(error)
        assert decimal == ","
        assert "can be" in str(error)
        return
    assert [int(row["prompt_id"]) for row in read] == list(frame.prompt_id)
    assert [float(row["reward"]) for row in read] == list(frame.reward)
    assert [row["response"] for row in read] == list(frame.response)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["5,5", "-0,5"], [5.5, -0.5]),
        (["5,5", "1,234"], [5.5, 1.234]),  # the comma is a decimal mark in the first cell
        (["0,123", "1,234"], [0.123, 1.234]),
        (["1,234.5", "2,000"], [1234.5, 2000]),
        (["1.234,5", "2.000"], [1234.5, 2000]),
        (["1,234,567", "1,234", "0.5"], [1234567, 1234, 0.5]),
        (["1.234", "2.5"], [1.234, 2.5]),
        (["1.234", "12.345"], [1.234, 12.345]),
        (["1 600", "2 000,5"], [1600, 2000.5]),
        (["1\u202f600", "12'000.5"], [1600, 12000.5]),
        ([",5", "1,5e-3", "+2,5"], [0.5, 0.0015, 2.5]),
        (["1,234E3"], [1234]),
        (["\u22120,5", "1"], [-0.5, 1]),
        (["1e-3", "5."], [0.001, 5]),
    ],
)
def test_marks_of_numbers_are_decided_by_the_column(tmp_path: Path, cells: list[str], values: list[float]) -> None:
    path = text_file(tmp_path, "id;reward\n" + "".join(f"{place};{cell}\n" for place, cell in enumerate(cells)))
    assert [float(row["reward"]) for row in rows_of(path, numbers=["reward"])] == values
    jsonl = text_file(tmp_path, "".join(json.dumps({"id": 1, "reward": cell}) + "\n" for cell in cells))
    assert [float(row["reward"]) for row in rows_of(jsonl, numbers=["reward"])] == values


@pytest.mark.parametrize(
    ("cells", "line", "words"),
    [
        (["1,234", "5"], 2, ["reward '1,234' can be 1.234 or 1234", "decimal point"]),
        (["0.5", "1,234"], 3, ["'1,234' can be 1.234 or 1234"]),
        (["0,5", "1.234"], 3, ["'1.234' can be 1.234 or 1234"]),
        (["-12,345"], 2, ["can be -12.345 or -12345"]),
        (["5,5", "2.5"], 2, ["'5,5' does not go with '2.5' in line 3"]),
        (["5.5", "1.234.567"], 2, ["'5.5' does not go with '1.234.567' in line 3"]),
        (["1,234.5", "2,5"], 3, ["does not go with"]),
    ],
)
def test_two_readings_are_refused(tmp_path: Path, cells: list[str], line: int, words: list[str]) -> None:
    path = text_file(tmp_path, "id;reward\n" + "".join(f"{place};{cell}\n" for place, cell in enumerate(cells)))
    message = refusal(path, numbers=["reward"])
    assert f"line {line}: " in message
    for word in words:
        assert word in message


def test_texts_are_not_numbers(tmp_path: Path) -> None:
    path = text_file(tmp_path, "reward;response\n5,5;5,5\n1,5;1.234,5\n")
    assert [row["response"] for row in rows_of(path, numbers=["reward"])] == ["5,5", "1.234,5"]


@pytest.mark.parametrize(
    ("cells", "ids"),
    [
        (["0.0", "7.0", "12"], ["0", "7", "12"]),
        (["1.0", "1.1"], ["1.0", "1.1"]),  # numbers of sections, not whole numbers
        (["1.0", "b"], ["1.0", "b"]),
        (["01", "1"], ["01", "1"]),
        (["9007199254740993"], ["9007199254740993"]),
        (["9007199254740991.0"], ["9007199254740991"]),
        (['"1,0"', '"2,0"'], ["1", "2"]),
    ],
)
def test_ids_that_a_program_made_floats(tmp_path: Path, cells: list[str], ids: list[str]) -> None:
    path = text_file(tmp_path, "prompt_id,a\n" + "".join(f"{cell},x\n" for cell in cells))
    assert [row["prompt_id"] for row in rows_of(path, ids=["prompt_id"])] == ids


def test_ids_whose_digits_a_float_has_lost(tmp_path: Path) -> None:
    frame = pd.DataFrame({"prompt_id": [2**53 + 1, None], "a": ["x", "y"]})
    frame.to_csv(tmp_path / "table", index=False)
    assert "prompt_id is 9007199254740992.0, a float that has lost digits" in refusal(
        tmp_path / "table", ids=["prompt_id"]
    )


@pytest.mark.parametrize("content", ['a\tb\n"yes" she said\t1\nno "\t2\n', 'a\tb\n"open\t1\nx\t2\n'])
def test_quotes_between_tabs_may_be_text(tmp_path: Path, content: str) -> None:
    rows = rows_of(text_file(tmp_path, content))
    expected = pd.read_csv(tmp_path / "table", sep="\t", quoting=csv.QUOTE_NONE, dtype=str)
    assert rows == expected.to_dict("records")


def test_columns_are_renamed(tmp_path: Path) -> None:
    path = text_file(tmp_path, "question,score,prompt\nQ,1,shown\n")
    assert rows_of(path, columns={"prompt": "question", "reward": "score"}) == [{"prompt": "Q", "reward": "1"}]
    message = refusal(path, columns={"prompt": "instruction"})
    assert "line 2: no column 'instruction' to take prompt from; it has: question, score, prompt" in message
    lines = text_file(tmp_path, '{"q": "a", "s": "b"}\n{"q": "c"}\n')
    assert rows_of(lines, columns={"prompt": "q", "system": "s"}) == [{"prompt": "a", "system": "b"}, {"prompt": "c"}]


def test_the_wanted_columns_decide_between_two_delimiters(tmp_path: Path) -> None:
    path = text_file(tmp_path, "reward;note,more\n1;a,b\n")
    assert rows_of(path, numbers=["reward"]) == [{"reward": "1", "note,more": "a,b"}]


def test_nan_is_an_empty_cell_and_infinity_is_refused(tmp_path: Path) -> None:
    for form in ('{"a": NaN}\n', '[{"a": NaN}]'):
        assert rows_of(text_file(tmp_path, form)) == [{"a": None}]
        assert "Infinity is not JSON" in refusal(text_file(tmp_path, form.replace("NaN", "Infinity")))


def parquet(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04...", "is a zip archive (such as an Excel workbook); export the table as UTF-8 csv"),
        (b"ARROW1\0\0", "is an Arrow or Feather file; write it as parquet"),
        (b"SQLite format 3\0", "is a SQLite database"),
        ("a,b\n".encode("utf-16"), "is UTF-16 text, not UTF-8; save the file as UTF-8"),
        (b"\x28\xb5\x2f\xfd", "is zstandard data; decompress it first"),
        (b"%PDF-1.7", "is a PDF"),
        (b"<!DOCTYPE html>\n<html>", "is a page of HTML or XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS"),
        (b"PAR1 and no more", "not a complete parquet file"),
        (gzip.compress(b"PAR1", mtime=0), "is a parquet file compressed with gzip"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b'{\n "a": 1\n}\n', "is one JSON object over several lines, not rows; write a JSON array"),
        (b'{"data": [\n {"a": 1}\n]}', "is one JSON object over several lines"),
        (b'{"a": 1,\n "b": 2}\n', "is one JSON object over several lines"),
        (b'{"a": {"0": 1, "1": 2}, "b": {"0": 3, "1": 4}}', "is a JSON object by column, not rows"),
        (b'[{"a": 1},\n 2]', "line 2: a member of the array is not an object"),
        (b'[{"a": 1},\n {"a": 1, "a": 2}]', "duplicate key 'a'"),
        (b'[{"a": 1}\n', "line 2: broken JSON"),
        (b"a;b\n1;2\n1\n", "line 3: 1 cells under 2 columns, separated by semicolons"),
    ],
)
def test_a_message_says_what_the_file_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert words in refusal(path)


def test_a_study_is_refused_as_a_table(tmp_path: Path) -> None:
    assert "is a YAML file, not a table" in refusal(text_file(tmp_path, "name: x\nseed: 1\n", "study.yaml"))


def test_a_name_decides_only_about_a_file_without_structure(tmp_path: Path) -> None:
    assert rows_of(text_file(tmp_path, "prompt\nhello\n", "one.csv")) == [{"prompt": "hello"}]
    assert "line 1: text, not an object" in refusal(text_file(tmp_path, '"hello"\n', "one.jsonl"))


def test_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert "duplicate column 'a'" in refusal(parquet(tmp_path / "t", table))


SEEDS = [
    b'[{"prompt_id": 1, "t": "x"},\n {"prompt_id": 2.0, "t": "na\\u00efve"}]\n',
    b'{"prompt_id": 1, "reward": "5,5"}\r\n{"prompt_id": 2, "reward": "1,234"}\n',
    b"\xef\xbb\xbf;prompt_id;reward\r\n0;1.0;5,5\r\n1;2.0;\"1.234,5\"\r\n",
    b"sep=|\nprompt_id|reward\n1|2\n",
    gzip.compress(b"prompt_id\treward\n1\t2\n", mtime=0),
]  # fmt: skip


@FUZZ
@given(content=mutated(SEEDS))
def test_any_bytes_give_rows_or_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    try:
        table = open_table(path, columns={"id": "prompt_id"}, numbers=["reward"], ids=["id"])
        rows = list(table.rows)
    except BadInput as error:
        one_line(error)
        assert str(error).startswith(str(path))
        return
    # Accepted rows can be written as UTF-8 JSON again.
    json.dumps(rows, ensure_ascii=False, allow_nan=False).encode()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), piece=st.binary(max_size=6))
def test_any_damaged_parquet_gives_rows_or_one_line(tmp_path: Path, place: int, piece: bytes) -> None:
    path = parquet(tmp_path / "table", pa.table({"a": [1, 2], "t": ["x", "ü"]}))
    content = path.read_bytes()
    place %= len(content)
    path.write_bytes(content[:place] + piece + content[place + len(piece) :])
    try:
        rows_of(path)
    except BadInput as error:
        one_line(error)
