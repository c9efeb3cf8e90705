"""The sample: random within each stratum, the same at each draw, and larger ones contain smaller ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import made_up_scores
import pytest
from scipy.stats import chisquare, spearmanr

from tarazu.errors import BadInput
from tarazu.site.label.ratings import Ratings, write_design
from tarazu.site.label.sample import draw, draw_from_run

NAMES = {"de": "German", "sw": "Swahili"}


def rows(prompts: int = 20) -> list[made_up_scores.Row]:
    return [
        {**made_up_scores.row(arm, language, kind, prompt, 0.0), "prompt": f"p {prompt}", "response": f"r {prompt}"}
        for arm in ("base", "dpo")
        for language in NAMES
        for kind in ("harmful", "benign")
        for prompt in range(prompts)
    ]


def test_each_stratum_gives_the_same_number_and_all_if_it_has_fewer() -> None:
    sample = draw(rows(), per_cell=7, seed=1, names=NAMES)
    assert Counter(item.key.stratum for item in sample.items) == {
        (arm, code, kind): 7 for arm in ("base", "dpo") for code in NAMES for kind in ("harmful", "benign")
    }
    assert {(one.responses, one.drawn) for one in sample.strata} == {(20, 7)}
    few = draw(rows(prompts=3), per_cell=7, seed=1, names=NAMES)
    assert {(one.responses, one.drawn) for one in few.strata} == {(3, 3)}
    assert len(set(few.items)) == 8 * 3


def test_the_draw_depends_on_the_seed_alone_and_larger_samples_contain_smaller_ones() -> None:
    one = draw(rows(), per_cell=5, seed=1, names=NAMES)
    assert draw(list(reversed(rows())), per_cell=5, seed=1, names=NAMES) == one
    assert set(one.items) < set(draw(rows(), per_cell=9, seed=1, names=NAMES).items)
    assert set(draw(rows(), per_cell=5, seed=2, names=NAMES).items) != set(one.items)
    german = [row for row in rows() if row["language"] == "de"]
    assert set(draw(german, per_cell=5, seed=1, names=NAMES).items) < set(one.items)


def test_every_response_is_drawn_as_often_and_arms_independently() -> None:
    """Over seeds, the counts of a stratum's responses are those of equal probabilities (chi-square)."""
    counts: Counter[str] = Counter()
    together = 0
    table = [row for row in rows(10) if row["language"] == "de" and row["kind"] == "harmful"]
    for seed in range(2000):
        drawn = [item.key for item in draw(table, per_cell=3, seed=seed, names=NAMES).items]
        counts.update(key.prompt_id for key in drawn if key.arm == "base")
        both = {key.prompt_id for key in drawn if key.arm == "base"} & {k.prompt_id for k in drawn if k.arm == "dpo"}
        together += len(both)
    assert chisquare([counts[f"harmful-{index}"] for index in range(10)]).pvalue > 0.01
    # Two independent draws of 3 of 10 share 0.9 responses on average.
    assert together / 2000 == pytest.approx(0.9, abs=0.05)


def test_the_order_is_the_raters_own_and_says_nothing_of_the_arm() -> None:
    sample = draw(rows(200), per_cell=150, seed=4, names=NAMES)
    order = sample.ordered_for("amina")
    assert order == sample.ordered_for("amina")
    assert sorted(order, key=lambda item: item.key) == sorted(sample.items, key=lambda item: item.key)
    assert sample.ordered_for("berta") != order
    for quality in ("arm", "language", "kind"):
        values = [getattr(item.key, quality) for item in order]
        assert abs(spearmanr(range(len(order)), [value == values[0] for value in values]).statistic) < 0.1


def test_a_run_gives_the_texts_the_names_and_the_languages_asked(run: Path) -> None:
    sample = draw_from_run(run, per_cell=2, languages=["ur", "sw"])
    assert {item.key.language for item in sample.items} == {"sw", "ur"}
    assert sample.names["ur"] == "Urdu"
    assert {item.response[:4] for item in sample.items if item.key.language == "ur"} == {"جواب"}
    assert len(sample.items) == 2 * 2 * 2 * 2


def test_a_run_without_texts_gets_one_line(tmp_path: Path) -> None:
    from tarazu.run.analyze import AnalysisOptions, analyze_file

    scores = made_up_scores.write_csv(tmp_path / "scores.csv", made_up_scores.random_rows(prompts=2))
    analyze_file(scores, AnalysisOptions(overrides=["analysis.draws=200"]), out=tmp_path / "run")
    with pytest.raises(BadInput, match=r"scores\.parquet: has no response for .*columns prompt and response"):
        draw_from_run(tmp_path / "run", per_cell=2)


def test_a_folder_without_a_run_and_a_language_without_responses_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no scores\.parquet"):
        draw_from_run(tmp_path, per_cell=2)
    with pytest.raises(BadInput, match="--languages de: .*its languages: en, sw, ur"):
        draw_from_run(run, per_cell=2, languages=["de"])


def test_ratings_of_texts_that_were_made_again_are_refused(tmp_path: Path) -> None:
    sample = draw(rows(), per_cell=2, seed=1, names=NAMES)
    ratings = Ratings(tmp_path / "ratings.csv", "amina")
    write_design(ratings, sample)
    other = draw([{**row, "response": "new"} for row in rows()], per_cell=2, seed=1, names=NAMES)
    write_design(Ratings(ratings.path, "amina"), other)  # nothing was rated yet
    write_design(Ratings(ratings.path, "amina"), sample)
    german = next(item.key for item in sample.items if item.key.language == "de")
    ratings.add(german, 1)
    swahili = draw([row for row in rows() if row["language"] == "sw"], per_cell=2, seed=1, names=NAMES)
    write_design(Ratings(ratings.path, "berta"), swahili)
    with pytest.raises(BadInput, match=r"ratings\.csv: rates base's .* in de of an earlier state of this run"):
        write_design(Ratings(ratings.path, "amina"), other)
    write_design(Ratings(ratings.path, "amina"), sample)


def test_the_documentation_repeats_the_instructions() -> None:
    from tarazu.site.label.questions import CANNOT_TELL, QUESTIONS

    page = " ".join((Path(__file__).parents[3] / "docs" / "labelling.md").read_text(encoding="utf-8").split())
    for question in QUESTIONS.values():
        assert " ".join(question.instructions) in page
    assert CANNOT_TELL in page
