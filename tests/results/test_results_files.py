"""results.json written and read through the models; the published schema refuses what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up_scores import random_rows, results_of

from tarazu.errors import BadInput
from tarazu.files import to_json
from tarazu.record.schemas import check_schema, schema_of
from tarazu.results import document, read_results, write_results

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def text() -> str:
    return to_json(results_of(random_rows(prompts=2)))


def test_what_is_read_is_written_with_the_same_bytes(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    write_results(tmp_path / "b.json", read_results(tmp_path / "a.json"))
    assert (tmp_path / "b.json").read_text(encoding="utf-8") == text


def test_keys_without_a_value_are_absent_or_null_as_the_schema_says(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    results = document(read_results(tmp_path / "a.json"))
    assert "data" not in results and results["frontier"] is None
    assert "reason" not in results["arms"]["dpo"]["HmR"] and results["tradeoff"]["primary"]["reason"] is None
    check_schema(results, "results-v2", "results.json")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda results: results.pop("ruler"), "ruler"),
        (lambda results: results.update(extra=1), "extra: no such key"),
        (lambda results: results["arms"]["dpo"]["HmR"].update(value=100.1), "arms.dpo.HmR.value"),
        (lambda results: results["arms"]["dpo"]["HmR"].update(value="50"), "arms.dpo.HmR.value"),
        (lambda results: results["arms"]["dpo"]["HmR"].update(value=None), "value is null without a reason"),
        (lambda results: results["arms"]["dpo"]["HmR"].update(n=1.5), "arms.dpo.HmR.n"),
        (lambda results: results["arms"]["dpo"]["languages"].update({"../x": {}}), "arms.dpo.languages.../x"),
        (lambda results: results["arms"].pop("dpo"), "arms: "),
        (lambda results: results["tradeoff"]["primary"].update(p=1.5), "tradeoff.primary.p"),
        (lambda results: results["tradeoff"]["primary"].update(verdict="true"), "tradeoff.primary.verdict"),
        (lambda results: results.update(sentence=None), "sentence"),
    ],
)
def test_another_form_is_refused_in_one_line_by_reader_and_schema(
    text: str, tmp_path: Path, change: Change, key: str
) -> None:
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8")
    results = document(read_results(path))
    change(results)
    path.write_text(to_json(results), encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        read_results(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ") and key in message and "\n" not in message
    with pytest.raises(BadInput):
        check_schema(results, "results-v2", "results.json")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema": "tarazu/results/v0"}', '{"a": NaN}', "\ufeff{}"])
def test_what_is_no_results_json_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        read_results(path)
    assert str(refused.value).startswith(str(path)) and "\n" not in str(refused.value)


def test_a_file_of_an_older_schema_is_refused_with_the_fix(text: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(text.replace('"tarazu/results/v2"', '"tarazu/results/v1"'), encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        read_results(path)
    fix = "does not have the schema tarazu/results/v2; compute it again with this version"
    assert str(refused.value) == f"{path}: {fix}"


def test_keys_are_plain_words(text: str, tmp_path: Path) -> None:
    """No key of the published schema is one that version 2 renamed."""
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    results = document(read_results(tmp_path / "a.json"))
    assert set(results["tradeoff"]["languages"]) == {"included", "excluded"}
    assert "smallest_margin" in results["tradeoff"]["primary"] and "threshold_curve" in results["tradeoff"]
    assert any(row["quantity"] == "tilt_non_degenerate" for row in results["tradeoff"]["sensitivity"])
    old = {"entered", "left_out", "sound", "margin_passed", "curve", "found", "false"}
    assert not old & set(_property_names(schema_of("results-v2")))


def _property_names(node: Any) -> Iterator[str]:
    """Every key that a JSON Schema declares."""
    for key, below in node.items() if isinstance(node, dict) else ():
        if key == "properties":
            yield from below
        yield from _property_names(below)
    for below in node if isinstance(node, list) else ():
        yield from _property_names(below)
