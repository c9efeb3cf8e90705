"""The checks of a parallel set: each detects its defect, and valid human texts are hardly ever reported."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import write_parallel_card
from shared_data import shared

from tarazu.data import identify
from tarazu.data._parallel_checks import PASS_PERCENT, FileReport, check_parallel, report_json
from tarazu.data._parallel_set import SHIPPED, read_parallel
from tarazu.data._text_checks import CHECKS, text_findings
from tarazu.readers import read_csv

SCHEMA = json.loads(files("tarazu").joinpath("schemas/parallel-row-v1.schema.json").read_text(encoding="utf-8"))


def shipped_rows(code: str) -> list[dict[str, Any]]:
    lines = (SHIPPED / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def checked(tmp_path: Path, code: str, changed: dict[int, dict[str, Any]]) -> FileReport:
    """The report of a shipped file in which some rows (from 0) have other fields."""
    rows = [{**row, **changed.get(place, {})} for place, row in enumerate(shipped_rows(code))]
    return check_parallel(write(tmp_path / f"{code}.jsonl", rows))[0]


def found(text: str, english: str, code: str, named: str | None = None) -> set[str]:
    return {finding.check for finding in text_findings(text, english, code, named)}


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.jsonl")), ids=lambda path: path.stem)
def test_the_shipped_files_have_no_error_and_keep_the_schema(path: Path) -> None:
    report = check_parallel(path)[0]
    assert [str(problem) for problem in report.problems if problem.level == "error"] == []
    assert all((report.passed(check) or 100) >= PASS_PERCENT for check in CHECKS)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for row in shipped_rows(path.stem):
        jsonschema.validate(row, SCHEMA)


@pytest.mark.parametrize(
    ("check", "text", "english", "code"),
    [
        ("nfc", "Cafe\u0301 au lait", "Coffee with milk", "fr"),
        ("spaces", "Un café ", "A coffee", "fr"),
        ("spaces", "Un  café", "A coffee", "fr"),
        ("script", "Pos vrazi to rizi", "How does rice boil?", "el"),
        ("letters", "Пишу письмо мaме", "I write to my mother", "ru"),
        ("letters", "Sitakusaidiа kuiba", "I will not help you", "sw"),
        ("untranslated", "I will not help you!", "I will not help you.", "sw"),
        ("placeholders", "Bonjour, {nom}", "Hello, {name}", "fr"),
        ("placeholders", "Voyez https://example.org/b", "See https://example.org/a", "fr"),
        ("numbers", "Attendez 5 minutes", "Wait 15 minutes", "fr"),
        ("numbers", "Attendez 20 minutes", "Wait ten minutes", "fr"),
        ("numbers", "১৫ মিনিট অপেক্ষা করুন", "Wait 5 minutes", "bn"),
        ("length", "Oui.", "Yes, it is the case that rice is boiled in water", "fr"),
    ],
)
def test_each_check_detects_its_defect(check: str, text: str, english: str, code: str) -> None:
    assert found(text, english, code) == {check}


@pytest.mark.parametrize(
    ("text", "english", "code"),
    [
        ("১৫ মিনিট অপেক্ষা করুন", "Wait 15 minutes", "bn"),
        ("Attendez 10 minutes", "Wait ten minutes", "fr"),
        ("Attendez dix minutes", "Wait ten minutes", "fr"),
        ("这件T恤很漂亮", "This T-shirt is pretty", "zh"),
        ("Bonjour, {name}", "Hello, {name}", "fr"),
    ],
)
def test_valid_texts_pass(text: str, english: str, code: str) -> None:
    assert found(text, english, code) == set()


def test_a_text_in_another_language_is_a_warning_unless_it_is_a_sister_language() -> None:
    assert found("Nisaidie kuiba embe", "Help me to steal a mango", "sw", "sw") == set()
    assert found("Nisaidie kuiba embe", "Help me to steal a mango", "sw", "fr") == {"language"}
    assert found("Saya tidak akan menolong", "I will not help you", "id", "ms") == set()
    assert CHECKS["language"] == "warning"


def test_many_warnings_are_an_error_of_the_file(tmp_path: Path) -> None:
    """French in the Swahili file: one row's texts are warnings; thirty rows' are below the bar."""
    french = shipped_rows("fr")
    few = checked(tmp_path, "sw", {3: {"prompt": french[3]["prompt"]}})
    assert [(p.check, p.level, p.line) for p in few.problems] == [("language", "warning", 4)]
    many = checked(tmp_path, "sw", {n: {"good": french[n]["good"], "bad": french[n]["bad"]} for n in range(30)})
    errors = [problem for problem in many.problems if problem.level == "error"]
    assert [(problem.check, problem.line) for problem in errors] == [("language", None)]
    assert many.passed("language") == pytest.approx(100 * (1 - 60 / 288))


def test_incomplete_rows_are_errors(tmp_path: Path) -> None:
    rows = shipped_rows("sw")
    changed: dict[int, dict[str, Any]] = {
        0: {"author": ""},
        1: {"reviewed": True},
        2: {"note": "x"},
        3: {"prompt": rows[4]["prompt"]},
        5: {"bad": rows[5]["good"]},
        6: {"good": " "},
        7: {"id": "harmful-none-1"},
        8: {"id": rows[9]["id"]},
    }
    report = checked(tmp_path, "sw", changed)
    problems = [(problem.line, problem.check) for problem in report.problems]
    assert problems == [
        (None, "ids"),
        (None, "ids"),
        (1, "provenance"),
        (2, "provenance"),
        (3, "fields"),
        (5, "duplicates"),
        (6, "duplicates"),
        (7, "fields"),
        (8, "ids"),
        (10, "ids"),
    ]
    assert all(problem.level == "error" for problem in report.problems)
    assert all("\n" not in str(problem) for problem in report.problems)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**rows[1], **changed[1]}, SCHEMA)


def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "sw.jsonl"
    path.write_bytes(b'{"id": }\n')
    assert "broken JSON" in check_parallel(path)[0].problems[0].message
    assert "must be <code>.jsonl" in check_parallel(SHIPPED / "index.csv")[0].problems[0].message
    (tmp_path / "none").mkdir()
    assert "contains no <code>.jsonl" in check_parallel(tmp_path / "none")[0].problems[0].message


def test_without_the_identifier_its_check_is_skipped_with_a_reason(monkeypatch: Any) -> None:
    monkeypatch.setattr(identify, "is_installed", lambda: False)
    report = check_parallel(SHIPPED / "es.jsonl")[0]
    assert report.passed("language") is None and report.passed("nfc") == 100
    assert "pip install 'tarazu[health]'" in report.skipped["language"]
    assert report_json([report])["files"][0]["passed"]["language"] is None


def test_a_reviewed_row_counts(tmp_path: Path) -> None:
    report = checked(tmp_path, "sw", {0: {"author": "A. Mwandishi", "reviewed": "M. Msomaji"}})
    assert (report.reviewed, report.problems) == (1, ())
    assert read_parallel(None)["sw"][0].reviewed is False


def test_human_translations_are_hardly_ever_reported() -> None:
    """MultiJail: at least 95 % of its texts pass each check in each language, except where bn is not normalised."""
    rows = [cells for _, cells in read_csv(shared("multijail/multijail.csv"))]
    for code in ("zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv"):
        pairs = [(cells[code], cells["en"]) for cells in rows if cells[code].strip()]
        named = identify.identify(text for text, _ in pairs)
        rung = [found(text, english, code, named[text]) for text, english in pairs]
        for check in set(CHECKS) - {"spaces", "nfc"}:
            assert sum(check in checks for checks in rung) / len(pairs) < 0.05, (code, check)


def test_the_data_card_is_up_to_date() -> None:
    """Its table is what the checks say now, and its bar is theirs."""
    page = write_parallel_card.PAGE.read_text(encoding="utf-8")
    assert write_parallel_card.replaced(page, "shipped set", write_parallel_card.shipped_table()) == page
    assert f"fewer than {PASS_PERCENT:.0f} % of its texts pass." in " ".join(page.split())


def test_a_number_with_thousands_of_digits_is_compared_like_any_other() -> None:
    """Python refuses to read one that long as a whole number."""
    assert not [f for f in text_findings("9" * 5000, "9" * 5000, "sw", None) if f.check == "numbers"]
    assert [f for f in text_findings("9" * 5000, "9" * 4999, "sw", None) if f.check == "numbers"]
    assert not [f for f in text_findings("०७ आम", "7 mangoes", "hi", None) if f.check == "numbers"]
