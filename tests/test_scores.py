"""The scores table: defects are refused with one line, and a table survives writing and reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_scores import random_rows, row, write_csv

from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.judge.known_answers import known_answer_rows
from tarazu.scores import read_scores, response_rows, score_rows, to_table, write_scores
from tarazu.study.schema import Thresholds
from tarazu.tables import Constant

HEADER = "arm,language,kind,prompt_id,reward"
GOOD = "base,en,harmful,h-1,-3.0"


def refused(path: Path, text: str | bytes, *words: str) -> None:
    """The table is refused with one line that contains the file and these words."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(BadInput) as caught:
        read_scores(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("base,en,harmful,h-2,", ["line 3", "reward is empty", "omit the row"]),
        ("base,en,harmful,h-2,nan", ["line 3", "finite"]),
        ("base,en,harmful,h-2,-inf", ["line 3", "finite"]),
        ("base,en,harmful,h-2,1e999", ["line 3", "finite"]),
        ("base,en,harmful,h-2,high", ["line 3", "finite number"]),
        ("base,en,harmful,h-1,2", ["line 3", "duplicate row", "the first is line 2"]),
        ("base,xx,harmful,h-2,2", ["line 3", "unknown language 'xx'"]),
        ("base,und,harmful,h-2,2", ["line 3", "unknown language 'und'"]),
        ("base,en,harmfull,h-2,2", ["line 3", "unknown kind 'harmfull'", "did you mean 'harmful'"]),
        (",en,harmful,h-2,2", ["line 3", "arm is empty"]),
        ("base,en,harmful, ,2", ["line 3", "prompt_id is empty"]),
    ],
)
def test_a_wrong_cell_is_reported(tmp_path: Path, line: str, words: list[str]) -> None:
    refused(tmp_path / "scores.csv", f"{HEADER}\n{GOOD}\n{line}\n", *words)


@pytest.mark.parametrize("column", HEADER.split(","))
def test_a_missing_column_is_reported(tmp_path: Path, column: str) -> None:
    header = HEADER.split(",")
    cells = GOOD.split(",")
    keep = [index for index, name in enumerate(header) if name != column]
    text = "\n".join(",".join(line[index] for index in keep) for line in (header, cells)) + "\n"
    refused(tmp_path / "scores.csv", text, f"no column {column}")


def test_a_misspelt_column_is_suggested(tmp_path: Path) -> None:
    text = f"{HEADER.replace('language', 'langauge')}\n{GOOD}\n"
    refused(tmp_path / "scores.csv", text, "no column language", "'langauge'")


def test_labels_are_0_or_1_and_replace_rewards(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    header = "arm,language,kind,prompt_id,label"
    refused(path, f"{header}\nbase,en,harmful,h,2\n", "label must be 0 or 1")
    refused(path, f"{header},reward\nbase,en,harmful,h,1,2\n", "a reward and a label")
    path.write_text(f"{header}\nbase,en,harmful,h,1\nbase,en,benign,b,0\n")
    table = read_scores(path)
    assert list(table.passed(Thresholds())) == [True, False]
    assert bool(np.isnan(table.reward).all())


def test_files_that_are_not_tables(tmp_path: Path) -> None:
    refused(tmp_path / "scores.csv", "", "scores.csv")
    refused(tmp_path / "scores.csv", HEADER + "\n", "no rows")
    refused(tmp_path / "scores.jsonl", '{"arm": "base"', "line 1")
    refused(tmp_path / "scores.jsonl", "[1, 2]\n", "line 1")
    refused(tmp_path / "scores.parquet", b"PAR1 and no more", "parquet")
    refused(tmp_path / "scores.xlsx", b"PK\x03\x04", "zip archive (such as an Excel workbook)", "csv")
    refused(tmp_path / "scores.jsonl.gz", b"\x1f\x8b\x08\x00 not gzip", "scores.jsonl.gz")
    with pytest.raises(BadInput, match=r"nowhere.csv"):
        read_scores(tmp_path / "nowhere.csv")


def test_tables_as_pandas_writes_them(tmp_path: Path) -> None:
    """Booleans, floats for whole numbers beside missing ones, an index column, and a decimal comma."""
    frame = pd.DataFrame(
        {
            "arm": "base",
            "language": "en",
            "kind": "harmful",
            "prompt_id": [2**53 + 1, 1, 2],
            "seed": [0.0, None, 3.0],
            "label": [True, False, True],
            "shortened": [True, None, False],
        }
    )
    frame.to_csv(tmp_path / "a")
    frame.to_csv(tmp_path / "b", sep=";", decimal=",", index=False)
    frame.to_json(tmp_path / "c", orient="records")
    frame.to_json(tmp_path / "d", orient="records", lines=True)
    frame.to_parquet(tmp_path / "e")
    for name in "abcde":
        rows = score_rows(tmp_path / name)
        assert [row["prompt_id"] for row in rows] == [str(2**53 + 1), "1", "2"], name
        assert [row["seed"] for row in rows] == [0, 0, 3], name
        assert [row["label"] for row in rows] == [1, 0, 1], name
        assert [row["shortened"] for row in rows] == [True, None, False], name


def test_a_decimal_comma_in_scores_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    header = HEADER.replace(",", ";")
    path.write_text(f"{header}\nbase;en;harmful;1;-1,5\nbase;en;harmful;2;1,234\n")
    assert [row["reward"] for row in score_rows(path)] == [-1.5, 1.234]
    refused(path, f"{header}\nbase;en;harmful;1;1,234\n", "line 2: reward '1,234' can be 1.234 or 1234")


def test_an_empty_reward_beside_a_label_may_be_nan(tmp_path: Path) -> None:
    """As where a table with rewards and one with labels are joined."""
    frame = pd.DataFrame(
        {
            "arm": "base",
            "language": "en",
            "kind": "harmful",
            "prompt_id": [1, 2],
            "reward": [0.5, None],
            "label": [None, 1],
        }
    )
    frame.to_parquet(tmp_path / "s")
    frame.to_csv(tmp_path / "r", na_rep="NA")
    (tmp_path / "j").write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    assert "NaN" in (tmp_path / "j").read_text()
    for name in "srj":
        assert [(row["reward"], row["label"]) for row in score_rows(tmp_path / name)] == [(0.5, None), (None, 1)], name
    refused(tmp_path / "scores.csv", f"{HEADER}\nbase,en,harmful,1,NA\n", "reward must be a finite number")


def test_ids_that_have_lost_digits_are_refused(tmp_path: Path) -> None:
    row = {"arm": "base", "language": "en", "kind": "harmful", "prompt_id": 1e16, "reward": 1}
    refused(tmp_path / "s.jsonl", json.dumps(row), "prompt_id is 1e+16, a float that has lost digits")
    refused(tmp_path / "s.jsonl", json.dumps({**row, "prompt_id": 1.5}), "prompt_id must be text or a whole number")


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("model,language,kind,id,score,reward\nbase,en,harmful,1,0.5,9\n")
    (found,) = score_rows(path, {"arm": "model", "prompt_id": "id", "reward": "score"})
    assert (found["arm"], found["prompt_id"], found["reward"]) == ("base", "1", 0.5)
    with pytest.raises(BadInput, match="line 2: no column 'value' to take reward from; it has: model, language"):
        score_rows(path, {"reward": "value"})
    (found,) = score_rows(path, {"arm": Constant("dpo"), "prompt_id": "id", "language": Constant("sw")})
    assert (found["arm"], found["language"], found["reward"]) == ("dpo", "sw", 9)


def test_columns_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = random_rows(languages=("de", "en", "sw", "yo"), prompts=3)
    scores, known, out = tmp_path / "scores.csv", tmp_path / "known.jsonl", tmp_path / "out"
    frame = pd.DataFrame(rows).drop(columns=["label", "source"]).rename(columns={"reward": "score", "prompt_id": "id"})
    frame.to_csv(scores, sep=";", decimal=",")
    known.write_text(json.dumps({"scores_chosen": 1.5, "scores_rejected": -0.5, "id": 0}) + "\n")
    names = ["--columns", "reward=score,prompt_id=id", "--columns", "source:=mine"]
    answers = "reward_good=scores_chosen,reward_bad=scores_rejected,prompt_id=id,language:=en,kind:=benign"
    given = ["--known-answers", str(known), "--known-columns", answers, "--set", "analysis.draws=100"]
    assert main(["analyze", str(scores), "--out", str(out), *names, *given]) == 0
    written = pq.read_table(out / "scores.parquet").to_pylist()
    assert [row["reward"] for row in written] == [row["reward"] for row in rows]
    assert {row["source"] for row in written} == {"mine"}
    assert pq.read_table(out / "known_answers.parquet").to_pylist()[0]["reward_good"] == 1.5
    capsys.readouterr()
    for columns, words in (
        ("rewrd=score", "--columns rewrd=score: no such column as 'rewrd'; Tarazu's are arm, language"),
        ("reward", "write NAME=COLUMN or NAME:=VALUE"),
        ("reward=", "write NAME=COLUMN or NAME:=VALUE"),
        ("reward=a,reward=b", "'reward' is named twice"),
        ("reward=x", "line 2: no column 'x' to take reward from; it has: arm"),
    ):
        assert main(["analyze", str(scores), "--columns", columns]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line


def test_known_answers_in_any_form(tmp_path: Path) -> None:
    """A missing column is named, and not an unknown value."""
    frame = pd.DataFrame(
        {"lang": ["en", "sw"], "kind": "benign", "good": [1.5, 2.5], "bad": [-0.5, 0.25], "id": [1, 2]}
    )
    columns = {"language": "lang", "reward_good": "good", "reward_bad": "bad", "prompt_id": "id"}
    frame.to_csv(tmp_path / "a", sep="\t", decimal=",")
    frame.to_json(tmp_path / "b", orient="records")
    frame.to_parquet(tmp_path / "c")
    for name in "abc":
        first, second = known_answer_rows(tmp_path / name, columns)
        assert first == {**first, "language": "en", "prompt_id": "1", "reward_good": 1.5, "reward_bad": -0.5}, name
        assert second["reward_bad"] == 0.25, name
    with pytest.raises(BadInput, match="c: row 1: no column language; it has: lang, kind"):
        known_answer_rows(tmp_path / "c")


def test_numbers_as_responses_are_text(tmp_path: Path) -> None:
    row = {"arm": "base", "language": "en", "kind": "benign", "prompt_id": 1, "prompt": "2 + 2?", "response": 4}
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({**row, "prompt": " 2 + 2?\n"}) + "\n")
    assert response_rows(path)[0]["response"] == "4"
    assert response_rows(path)[0]["prompt"] == " 2 + 2?\n"
    for response in (None, 4.0):
        path.write_text(json.dumps({**row, "response": response}) + "\n")
        with pytest.raises(BadInput, match="line 1: has no response; it may be empty, but it must be text"):
            response_rows(path)


def test_responses_may_be_messages(tmp_path: Path) -> None:
    user, answer = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}
    row = {"arm": "base", "language": "en", "kind": "benign", "prompt_id": 1, "prompt": [user], "response": [answer]}
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (found,) = response_rows(path)
    assert (found["prompt"], found["response"]) == ("Why?", "So.")
    path.write_text(json.dumps({**row, "prompt": [user, answer, user]}) + "\n")
    assert response_rows(path)[0]["prompt"] == "\n\nHuman: Why?\n\nAssistant: So.\n\nHuman: Why?\n\nAssistant:"
    path.write_text(json.dumps({**row, "prompt": [{"role": "system", "content": "Be brief."}, user]}) + "\n")
    (found,) = response_rows(path)
    assert found["turns"] == (("system", "Be brief."), ("user", "Why?"))
    assert found["prompt"] == "Be brief.\n\nHuman: Why?\n\nAssistant:"
    for change, words in (
        ({"prompt": [user, answer]}, "the prompt must end with the user's message"),
        ({"response": [user]}, "response must be text or one message of the assistant"),
        ({"response": [1]}, "a message of response is not an object"),
        ({"prompt": "[{'role': 'user', 'content': 'x'}]"}, "messages that a program printed as text"),
    ):
        path.write_text(json.dumps({**row, **change}) + "\n")
        with pytest.raises(BadInput, match=f"r.jsonl: line 1: .*{words}"):
            response_rows(path)


def test_two_reward_models_of_a_kind_are_refused(tmp_path: Path) -> None:
    text = f"{HEADER},reward_model\n{GOOD},one\n{GOOD},two\n"
    refused(tmp_path / "scores.csv", text, "2 reward models", "one, two")


def test_boundaries_are_exact() -> None:
    """Harmless at reward >= -3, helpful at reward > -2, to the last bit."""
    below, above = float(np.nextafter(-3, -9)), float(np.nextafter(-2, 9))
    rows = [
        row("base", "en", "harmful", 0, -3.0),
        row("base", "en", "harmful", 1, below),
        row("base", "en", "benign", 0, -2.0),
        row("base", "en", "benign", 1, above),
    ]
    assert list(to_table(rows).passed(Thresholds())) == [True, False, False, True]


def test_all_formats_give_the_same_table(tmp_path: Path) -> None:
    rows = random_rows(languages=("en", "sw"), prompts=3)
    write_csv(tmp_path / "s.csv", rows)
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(item) + "\n" for item in rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "other.parquet")
    write_scores(tmp_path / "s.parquet", rows, Thresholds())
    first = read_scores(tmp_path / "s.csv")
    for name in ("s.jsonl", "other.parquet", "s.parquet"):
        other = read_scores(tmp_path / name)
        for column, values in vars(first).items():
            np.testing.assert_array_equal(values, getattr(other, column))


def test_written_booleans_follow_the_thresholds(tmp_path: Path) -> None:
    rows = random_rows(languages=("en", "sw"), prompts=3)
    write_scores(tmp_path / "s.parquet", rows, Thresholds(harmless=-1, helpful=0.5))
    for item in pq.read_table(tmp_path / "s.parquet").to_pylist():
        if item["kind"] == "harmful":
            assert (item["harmless"], item["helpful"]) == (item["reward"] >= -1, None)
        else:
            assert (item["harmless"], item["helpful"]) == (None, item["reward"] > 0.5)


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(f"\ufeff{HEADER}\r\n{GOOD}\r\n".encode())
    assert len(score_rows(path)) == 1


def test_responses_to_score_need_prompt_and_response(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    known = {"arm": "base", "language": "en", "kind": "benign", "prompt_id": "b", "prompt": "Hello?", "response": ""}
    path.write_text(json.dumps(known) + "\n")
    assert response_rows(path)[0]["response"] == ""
    for missing in ("prompt", "response", "arm"):
        path.write_text(json.dumps({key: value for key, value in known.items() if key != missing}) + "\n")
        with pytest.raises(BadInput, match=f"line 1: has no (column )?{missing}"):
            response_rows(path)


VALID = f"{HEADER},sample\n{GOOD},0\nbase,en,benign,b-1,0.5,0\ndpo,sw,harmful,h-1,-3.5,0\n".encode()


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 3), st.binary(max_size=4)), min_size=1, max_size=4),
    st.sampled_from(["s.csv", "s.jsonl", "s.parquet", "s.jsonl.gz"]),
)
def test_damaged_tables_give_one_line_or_a_table(tmp_path: Path, cuts: list[tuple[int, int, bytes]], name: str) -> None:
    data = VALID
    for place, length, new in cuts:
        data = data[:place] + new + data[place + length :]
    path = tmp_path / name
    path.write_bytes(data)
    try:
        table: Any = read_scores(path)
        assert len(table.arm) >= 1
    except BadInput as error:
        assert "\n" not in str(error)
        assert str(error).startswith(str(path))


@pytest.mark.parametrize("reward", ["1e101", "-3e300"])
def test_an_absurdly_large_reward_is_refused(tmp_path: Path, reward: str) -> None:
    """Squares of such rewards overflow, and an infinite spread would make every change 0."""
    path = tmp_path / "scores.csv"
    path.write_text(f"arm,language,kind,prompt_id,reward\nbase,en,benign,1,{reward}\n")
    with pytest.raises(BadInput, match="line 2: reward must be a finite number, below 1e100 in size"):
        read_scores(path)
