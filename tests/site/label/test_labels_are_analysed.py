"""The table that `tarazu label` writes is the one that an analysis reads."""

from __future__ import annotations

from pathlib import Path

import rating

from tarazu.judge.ratings import RatingForm, rating_rows
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.site.label.ratings import Ratings
from tarazu.site.label.sample import draw_from_run


def test_an_analysis_reads_what_people_labelled(run: Path, tmp_path: Path) -> None:
    """Two people, one of whom changes a label and cannot tell once; odd names."""
    table = tmp_path / "ratings.csv"
    sample = draw_from_run(run, per_cell=4)
    for name, shift in (('Amina, "A"', 0), ("جمعہ", 1)):
        ratings = Ratings(table, name)
        for number, item in enumerate(sample.items):
            ratings.add(item.key, (number + shift * (number % 3 == 0)) % 2)
    ratings.add(sample.items[0].key, None)
    read = rating_rows([table], RatingForm(columns={}))
    assert {(one.rater, one.response) for one in read} == {
        (name, tuple(item.key)) for name in ('Amina, "A"', "جمعہ") for item in sample.items
    }
    options = AnalysisOptions(base=rating.ARMS[0], overrides=["analysis.draws=200"], ratings=[table])
    results = analyze_file(run / "scores.parquet", options)
    people = results.agreement
    assert people is not None
    assert (people.labels, people.cannot_tell, people.revised, people.unmatched) == (2 * len(sample.items), 1, 1, 0)
    assert people.raters == ('Amina, "A"', "جمعہ")
    for stratum in sample.strata:
        rates = people.arms[stratum.arm].languages[stratum.language]
        rate = rates.HmR if stratum.kind == "harmful" else rates.HpR
        assert (rate.n, rate.labelled) == (stratum.responses, stratum.drawn)
