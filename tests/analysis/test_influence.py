"""D without one language, family or source, against analyses of the table without its rows."""

from __future__ import annotations

from typing import Any

import pytest
from made_up_scores import LANGUAGES, random_rows, results_of, row

from tarazu.analysis.influence import MOST_CATEGORIES
from tarazu.languages import LANGUAGES as LANGUAGES_OF

ROWS = random_rows(languages=("de", "en", "fr", "ja", "bn", "sw", "ta", "yo"))


def rows_of(results: dict[str, Any], what: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in results["tradeoff"]["influence"]["without"] if one["what"] == what}


def test_without_a_language_d_is_that_of_the_table_without_it() -> None:
    influence = results_of(ROWS)["tradeoff"]["influence"]
    found = {one["name"]: one for one in influence["without"] if one["what"] == "language"}
    assert set(found) == {"de", "en", "fr", "ja", "bn", "sw", "ta", "yo"}
    for code in ("de", "sw"):
        expected = results_of([one for one in ROWS if one["language"] != code])["tradeoff"]["primary"]
        for key in ("estimate", "ci_low", "ci_high"):
            assert found[code][key] == pytest.approx(expected[key], abs=1e-9)
        assert (found[code]["verdict"], found[code]["n_low"]) == (expected["verdict"], expected["n_low"])
    estimates = [one["estimate"] for one in found.values()]
    assert (influence["lowest"], influence["highest"]) == (min(estimates), max(estimates))


def test_without_a_family_d_is_that_of_the_table_without_its_languages() -> None:
    families = rows_of(results_of(ROWS), "family")
    together = LANGUAGES_OF["sw"].family
    assert together == LANGUAGES_OF["yo"].family
    expected = results_of([one for one in ROWS if one["language"] not in ("sw", "yo")])["tradeoff"]["primary"]
    assert families[together]["estimate"] == pytest.approx(expected["estimate"], abs=1e-9)
    assert LANGUAGES_OF["ja"].family not in families  # one language alone has a row of its own


def test_without_a_source_d_is_that_of_the_other() -> None:
    rows = [{**one, "source": "a" if int(one["prompt_id"].rpartition("-")[2]) % 2 else "b"} for one in ROWS]
    found = rows_of(results_of(rows), "source")
    assert set(found) == {f"{source} ({kind})" for source in "ab" for kind in ("harmful", "benign")}
    kept = [one for one in rows if not (one["source"] == "a" and one["kind"] == "harmful")]
    expected = results_of(kept)["tradeoff"]["primary"]
    assert found["a (harmful)"]["estimate"] == pytest.approx(expected["estimate"], abs=1e-9)


def test_a_verdict_that_one_language_decides_is_said() -> None:
    """One low-resource language hides a difference that the five others show."""
    rows = []
    for code in LANGUAGES:
        low = code in LANGUAGES[6:]
        gain = 0 if not low else (-12 if code == "yo" else 6)
        for prompt in range(20):
            for kind in ("harmful", "benign"):
                better = prompt < 8 + (gain if kind == "benign" else 0) + (LANGUAGES.index(code) % 2)
                rows.append(row("base", code, kind, prompt, 1.0 if prompt < 8 else -9.0))
                rows.append(row("dpo", code, kind, prompt, 1.0 if better else -9.0))
    results = results_of(rows)
    influence = results["tradeoff"]["influence"]
    assert results["tradeoff"]["primary"]["verdict"] == "inconclusive"
    assert (influence["most"], influence["hinges_on"]) == ("yo", ["yo"])
    assert (
        "The verdict hinges on single languages: it would be another without Yoruba (differs)." in results["sentence"]
    )


def test_without_an_interval_there_is_no_influence() -> None:
    assert results_of(random_rows(languages=("en",)))["tradeoff"]["influence"] is None


def categorised(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every prompt in `theft` or `fraud`, every third in `online` too."""
    made = []
    for one in rows:
        number = int(one["prompt_id"].rpartition("-")[2])
        own = ("theft" if number % 2 else "fraud") + ("; online" if number % 3 == 0 else "")
        made.append({**one, "category": own})
    return made


def test_without_a_category_d_is_that_of_the_table_without_its_prompts() -> None:
    rows = categorised(ROWS)
    found = rows_of(results_of(rows), "category")
    assert list(found) == [
        f"{name} ({kind})" for kind in ("harmful", "benign") for name in ("fraud", "online", "theft")
    ]
    for name, kind in (("online", "harmful"), ("theft", "benign")):
        kept = [one for one in rows if not (one["kind"] == kind and name in one["category"])]
        expected = results_of(kept)["tradeoff"]["primary"]
        for key in ("estimate", "ci_low", "ci_high"):
            assert found[f"{name} ({kind})"][key] == pytest.approx(expected[key], abs=1e-9)


def test_a_category_of_every_prompt_is_no_row() -> None:
    assert rows_of(results_of([{**one, "category": "all"} for one in ROWS]), "category") == {}
    assert rows_of(results_of(ROWS), "category") == {}


def test_a_category_that_a_language_has_alone_takes_the_language_with_it() -> None:
    rows = [{**one, "category": "own" if one["language"] == "yo" else "shared"} for one in ROWS]
    found = rows_of(results_of(rows), "category")["own (harmful)"]
    expected = results_of([one for one in ROWS if one["language"] != "yo"])["tradeoff"]["primary"]
    assert (found["n_low"], found["estimate"]) == (3, pytest.approx(expected["estimate"], abs=1e-9))


def test_the_largest_categories_are_named() -> None:
    many = [f"c{number:02}" for number in range(MOST_CATEGORIES + 10)]
    rows = []
    for one in ROWS:
        number = int(one["prompt_id"].rpartition("-")[2])
        rows.append({**one, "category": "; ".join(many[: MOST_CATEGORIES + number] if number < 11 else ["rest"])})
    found = rows_of(results_of(rows), "category")
    assert set(found) == {f"{name} ({kind})" for name in many[:MOST_CATEGORIES] for kind in ("harmful", "benign")}
