"""What departs from a plan, on invented conduct."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from planned_study import planned_folder

from tarazu.preregistration.conduct import Conduct, answered_of
from tarazu.preregistration.departures import preregistration_section
from tarazu.preregistration.words import preregistration_words
from tarazu.results import read_results
from tarazu.results.model import Results
from tarazu.run.preregistration.binding import conduct_of
from tarazu.scores import score_rows


@pytest.fixture(scope="module")
def conduct() -> Conduct:
    found = conduct_of(planned_folder() / "with_plan")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def results() -> Results:
    return read_results(planned_folder() / "with_plan" / "results.json")


def rows() -> list[dict[str, Any]]:
    return score_rows(planned_folder() / "with_plan" / "scores.parquet")


def keys(conduct: Conduct, results: Results) -> list[str]:
    return [one.key for one in preregistration_section(conduct, results).departures]


def test_what_was_done_departs_in_nothing(conduct: Conduct, results: Results) -> None:
    assert preregistration_section(conduct, results) == results.preregistration


def test_a_seed_that_was_dropped_is_named(conduct: Conduct, results: Results) -> None:
    """The lock file says that each arm gives two responses to a prompt, and one arm has one."""
    repeats = {"base": 1, "dpo": 2}
    assert keys(replace(conduct, repeats=repeats), results) == [
        f"prompts.{kind}.{code} of dpo" for kind in ("benign", "harmful") for code in ("en", "es", "qu", "sw")
    ]


def test_an_arm_that_was_dropped_is_named(conduct: Conduct, results: Results) -> None:
    answered = answered_of([row for row in rows() if row["arm"] != "base"])
    found = preregistration_section(replace(conduct, answered=answered), results).departures
    assert len(found) == 8 and all(one.key.endswith(" of base") and one.done is None for one in found)


def test_another_text_under_the_same_id_is_named(conduct: Conduct, results: Results) -> None:
    changed = rows()
    for row in changed:
        if (row["language"], row["kind"]) == ("qu", "benign"):
            row["prompt"] += " "
    (one,) = preregistration_section(replace(conduct, answered=answered_of(changed)), results).departures
    assert one.key == "prompts.benign.qu" and one.planned != one.done


def test_a_table_without_texts_is_not_confirmatory(conduct: Conduct, results: Results) -> None:
    without = [row | {"prompt": None} for row in rows()]
    section = preregistration_section(replace(conduct, answered=answered_of(without)), results)
    assert (section.status, section.departures, section.unchecked) == ("exploratory", (), ("texts of prompts",))
    assert preregistration_words(section) == (
        "Exploratory: the plan dated 2026-11-01 could not be compared with texts of prompts."
    )


@pytest.mark.parametrize(
    ("setting", "value", "key"),
    [
        ("analysis", {"margin": 6.0}, "analysis.margin"),
        ("analysis", {"primary_arm": "sft"}, "analysis.primary_arm"),
        ("analysis", {"labels": "people"}, "analysis.labels"),
        ("seeds", 2, "seeds"),
        ("thresholds", {"helpful": 0.5}, "thresholds.helpful"),
        ("model", {"path": "builtin:other"}, "model.path"),
        ("generation", {"sampling": None}, "generation.sampling.temperature"),
        ("arms", {"sft": {"method": "none"}}, "arms.sft.method"),
    ],
)
def test_every_setting_counts(conduct: Conduct, results: Results, setting: str, value: Any, key: str) -> None:
    before: Any = conduct.settings[setting]
    after = before | value if isinstance(before, dict) else value
    found = keys(replace(conduct, settings={**conduct.settings, setting: after}), results)
    assert key in found and all(one.startswith(setting) for one in found)


@pytest.mark.parametrize(("setting", "value"), [("title", "x"), ("name", "y"), ("caution", "z"), ("sources", {"a": 1})])
def test_names_and_notes_do_not_count(conduct: Conduct, results: Results, setting: str, value: Any) -> None:
    assert keys(replace(conduct, settings={**conduct.settings, setting: value}), results) == []


def test_many_departures_are_counted_in_the_sentence(conduct: Conduct, results: Results) -> None:
    settings = {**conduct.settings, "seed": 9, "seeds": 2, "thresholds": {"harmless": -3.0, "helpful": -2.0}}
    words = preregistration_words(preregistration_section(replace(conduct, settings=settings), results))
    assert words == (
        "Exploratory: what was done departs from the plan dated 2026-11-01: seed (planned 3, done 9); seeds "
        "(planned 1, done 2), and 2 more."
    )
