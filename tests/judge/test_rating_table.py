"""The ratings table: every usual form is read, defects are refused with one line, and a run's own copy is exact."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tarazu.errors import BadInput
from tarazu.judge.ratings import Rating, RatingForm, rating_rows, read_ratings, write_ratings
from tarazu.study.ratings import RatingClasses, RatingSettings
from tarazu.tables import Constant

HEADER = "arm,language,kind,prompt_id,seed,sample,rater,label"
GOOD = "base,en,harmful,h-1,0,0,ann,1"
PLAIN = RatingForm(columns={})
CLASSES = RatingClasses(
    harmful={"refusal": 1, "partial": 1, "comply": 0}, benign={"refusal": 0, "comply": 1, "odd": None}
)


def read(path: Path, text: str, form: RatingForm = PLAIN) -> tuple[Rating, ...]:
    path.write_text(text, encoding="utf-8")
    return rating_rows([path], form)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("base,en,harmful,h-2,0,0,ann,2", ["line 3", "label must be 0 or 1, or empty", "'2'", "ratings.classes"]),
        ("base,en,harmful,h-2,0,0,ann,harmless", ["line 3", "label must be", "'harmless'"]),
        ("base,en,harmful,h-2,0,0,,1", ["line 3", "rater is empty"]),
        (",en,harmful,h-2,0,0,ann,1", ["line 3", "arm is empty"]),
        ("base,en,harmful,,0,0,ann,1", ["line 3", "prompt_id is empty"]),
        ("base,xx,harmful,h-2,0,0,ann,1", ["line 3", "unknown language 'xx'"]),
        ("base,en,hurtful,h-2,0,0,ann,1", ["line 3", "unknown kind 'hurtful'", "harmful"]),
        ("base,en,harmful,h-2,-1,0,ann,1", ["line 3", "seed must be a whole number from 0"]),
        ("base,en,harmful,h-2,0,half,ann,1", ["line 3", "sample must be a whole number"]),
    ],
)
def test_a_wrong_cell_is_reported(tmp_path: Path, line: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path / "r.csv", f"{HEADER}\n{GOOD}\n{line}\n")
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "r.csv")) and "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("column", ["arm", "language", "kind", "prompt_id", "rater", "label"])
def test_a_missing_column_is_named_with_the_fix(tmp_path: Path, column: str) -> None:
    names, cells = HEADER.split(","), GOOD.split(",")
    place = names.index(column)
    del names[place], cells[place]
    with pytest.raises(BadInput, match=rf"line 2: has no column {column}; .*--rating-columns {column}=COLUMN"):
        read(tmp_path / "r.csv", f"{','.join(names)}\n{','.join(cells)}\n")


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no rows"):
        read(tmp_path / "r.csv", f"{HEADER}\n")
    with pytest.raises(BadInput, match=r"r\.json: has no ratings"):
        read(tmp_path / "r.json", "[]")


def test_every_form_gives_the_same_ratings(tmp_path: Path) -> None:
    """csv as a spreadsheet and as pandas write it, JSON lines, a JSON array and parquet; empty labels in each."""
    lines = [GOOD, "dpo,de,benign,b-7,1,0,ben,0", "dpo,de,benign,b-7,1,0,ann,"]
    expected = read(tmp_path / "plain.csv", "\n".join([HEADER, *lines]))
    assert [one.outcome for one in expected] == [1, 0, None]
    assert expected[1].response == ("dpo", "de", "benign", "b-7", 1, 0)
    frame = pd.read_csv(tmp_path / "plain.csv")  # the label is a float now: 1.0, 0.0, NaN
    frame.to_csv(tmp_path / "pandas.csv")
    frame.to_parquet(tmp_path / "r.parquet")
    frame.to_json(tmp_path / "r.json", orient="records")
    frame.to_json(tmp_path / "r.jsonl", orient="records", lines=True)
    frame.to_csv(tmp_path / "semicolons.csv", sep=";", index=False, na_rep="NA")
    for name in ("pandas.csv", "r.parquet", "r.json", "r.jsonl", "semicolons.csv"):
        assert rating_rows([tmp_path / name], PLAIN) == expected, name


def test_seed_and_sample_are_optional_and_languages_have_one_code(tmp_path: Path) -> None:
    (one,) = read(tmp_path / "r.csv", "arm,language,kind,prompt_id,rater,label\nbase,German,benign,4,7,true\n")
    assert one.response == ("base", "de", "benign", "4", 0, 0)
    assert (one.rater, one.label, one.outcome) == ("7", "1", 1)


def test_other_classes_of_labels_need_a_meaning(tmp_path: Path) -> None:
    rows = [GOOD.replace(",1", ",refusal"), "base,en,benign,b-1,0,0,ann,refusal", "base,en,benign,b-2,0,0,ann,odd"]
    text = "\n".join([HEADER, *rows])
    ratings = read(tmp_path / "r.csv", text, RatingForm(columns={}, classes=CLASSES))
    assert [(one.label, one.outcome) for one in ratings] == [("refusal", 1), ("refusal", 0), ("odd", None)]
    with pytest.raises(BadInput, match=r"line 2: label must be one of refusal, partial, comply, 0 or 1.*not 'refuse'"):
        read(tmp_path / "s.csv", f"{HEADER}\n{GOOD[:-1]}refuse\n", RatingForm(columns={}, classes=CLASSES))


def test_a_column_for_each_rater(tmp_path: Path) -> None:
    text = "model,language,kind,id,first,second\nbase,en,harmful,1,refusal,comply\nbase,en,benign,1,,comply\n"
    form = RatingForm(columns={"arm": "model", "prompt_id": "id"}, raters=("first", "second"), classes=CLASSES)
    ratings = read(tmp_path / "r.csv", text, form)
    assert [(one.kind, one.rater, one.outcome) for one in ratings] == [
        *(("harmful", "first", 1), ("harmful", "second", 0), ("benign", "first", None), ("benign", "second", 1)),
    ]
    with pytest.raises(BadInput, match=r"line 2: has no column 'third' of a rater; it has: .*--raters"):
        rating_rows([tmp_path / "r.csv"], RatingForm(columns=form.columns, raters=("third",)))


def test_a_persons_newest_label_counts(tmp_path: Path) -> None:
    """As `tarazu label` writes it: a changed label is a new row."""
    lines = [GOOD, GOOD.replace("ann", "ben"), f"{GOOD[:-1]}0", GOOD[:-1]]
    first, second = read(tmp_path / "r.csv", "\n".join([HEADER, *lines]))
    assert (first.rater, first.outcome, first.revisions) == ("ann", None, 2)
    assert (second.rater, second.outcome, second.revisions) == ("ben", 1, 0)
    wide = "arm,language,kind,prompt_id,ann\nbase,en,benign,1,0\nbase,en,benign,1,1\n"
    with pytest.raises(BadInput, match=r"line 3: \(base, en, benign, 1, 0, 0\) is also in line 2; keep one"):
        read(tmp_path / "w.csv", wide, RatingForm(columns={}, raters=("ann",)))


def test_several_tables_are_one(tmp_path: Path) -> None:
    for name, rater in (("a", "ann"), ("b", "ben")):
        (tmp_path / f"{name}.csv").write_text(f"{HEADER}\n{GOOD.replace('ann', rater)}\n")
    both = rating_rows([tmp_path / "a.csv", tmp_path / "b.csv"], PLAIN)
    assert [one.rater for one in both] == ["ann", "ben"]
    with pytest.raises(BadInput, match=r"b\.csv: ann labelled \(base, en, harmful, h-1, 0, 0\) in .*a\.csv, too; keep"):
        (tmp_path / "b.csv").write_text(f"{HEADER}\n{GOOD}\n")
        rating_rows([tmp_path / "a.csv", tmp_path / "b.csv"], PLAIN)


def test_a_constant_may_stand_for_a_column(tmp_path: Path) -> None:
    (one,) = read(
        tmp_path / "r.csv",
        "arm,language,kind,prompt_id,verdict\nbase,en,benign,1,0\n",
        RatingForm(columns={"rater": Constant("me"), "label": "verdict"}),
    )
    assert (one.rater, one.outcome) == ("me", 0)


def test_a_runs_own_copy_is_exact_and_sorted(tmp_path: Path) -> None:
    text = "\n".join([HEADER, "dpo,de,benign,b-7,1,0,ben,odd", GOOD, "dpo,de,benign,b-7,1,0,ann,"])
    ratings = read(tmp_path / "r.csv", text, RatingForm(columns={}, classes=CLASSES))
    write_ratings(tmp_path / "one.parquet", ratings)
    write_ratings(tmp_path / "two.parquet", ratings[::-1])
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    copy = read_ratings(tmp_path / "one.parquet")
    assert set(copy) == set(ratings)
    # The copy can be read as a table, too: a record's scripts do that.
    assert rating_rows([tmp_path / "one.parquet"], RatingForm(columns={}, classes=CLASSES)) == copy


def test_settings_take_a_file_or_a_list_of_files() -> None:
    assert RatingSettings.model_validate("a.csv").files == ("a.csv",)
    assert RatingSettings.model_validate(["a.csv", "b.csv"]).files == ("a.csv", "b.csv")
    assert RatingSettings.model_validate(json.loads('{"files": ["a.csv"]}')).files == ("a.csv",)
    with pytest.raises(ValueError, match="raters"):
        RatingSettings.model_validate({"files": ["a.csv"], "raters": ["x"], "columns": {"label": "y"}})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_are_ratings_or_refused_in_one_line(tmp_path: Path, data: st.DataObject) -> None:
    """A table with some of its bytes changed, removed or doubled."""
    good = "\n".join([HEADER, GOOD, GOOD.replace("h-1", "h-2"), "dpo,de,benign,b-7,1,0,ben,"]).encode()
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = tmp_path / "r.csv"
    path.write_bytes(bytes(changed))
    try:
        ratings = rating_rows([path], PLAIN)
    except BadInput as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
    else:
        assert all(one.outcome in (0, 1, None) and one.rater and one.kind in ("harmful", "benign") for one in ratings)
