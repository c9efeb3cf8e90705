"""The report's section on people's labels: its charts, its tables, and a page without labels."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_scores import random_rows, results_of
from typed_results import typed

from tarazu.judge.ratings import Rating
from tarazu.report import ReportInputs
from tarazu.report.build import render_report
from tarazu.results import Results


@pytest.fixture(scope="module")
def results() -> Results:
    """Two people label two of three responses."""
    random = np.random.default_rng(1)
    rows = random_rows(prompts=9)
    ratings = [
        Rating(
            **{name: row[name] for name in ("arm", "language", "kind", "prompt_id", "seed", "sample")},
            rater=rater,
            label=str(outcome),
            outcome=outcome,
        )
        for number, row in enumerate(rows)
        if number % 3
        for rater in ("<b>ann</b>", "ben")
        for outcome in [int((row["reward"] > -2.5) != (random.random() < 0.1))]
    ]
    return typed(results_of(rows, ratings=ratings))


def test_the_section_shows_people_and_judge(results: Results) -> None:
    page = render_report(ReportInputs(results=results))
    assert "Does the judge agree with people?" in page and "<b>ann</b>" not in page
    for name in ("Balanced accuracy of the judge by language", "Agreement beyond chance by language"):
        assert f'aria-label="{name}' in page
    assert (
        "Dark diamonds: by people" in page and "on known answers. Dark" not in page
    )  # this table has no known answers
    judge = results.agreement.judges[0].languages["sw"]
    assert f"<b>{judge.sensitivity.value:.1f}</b>" in page
    assert "tilt by people" in page and "By people&#39;s labels the verdict is" in page
    assert f"<b>{results.agreement.arms['dpo'].HmR.value:.1f}</b>" in page


def test_a_report_without_labels_has_no_such_section() -> None:
    page = render_report(ReportInputs(results=typed(results_of(random_rows(prompts=2)))))
    assert "Does the judge agree with people?" not in page
