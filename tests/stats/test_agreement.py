"""Agreement of raters equals statsmodels' kappas, published figures, and alpha counted pair by pair."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, fleiss_kappa

from tarazu.stats.agreement import Bootstrap, Ratings, agreement, cohen

FEW = Bootstrap(draws=20, seed=1)


def ratings(labels: np.ndarray) -> Ratings:
    return Ratings(labels=labels, prompt=np.arange(len(labels)))


def alpha_by_pairs(labels: np.ndarray) -> float:
    """Krippendorff's alpha from the definition: disagreement of pairs within responses over that of all pairs."""
    units = [[label for label in row if label >= 0] for row in labels.tolist()]
    units = [unit for unit in units if len(unit) > 1]
    values = [label for unit in units for label in unit]
    within = sum(sum(a != b for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units) / len(
        values
    )
    expected = sum(a != b for a, b in itertools.permutations(values, 2)) / (len(values) * (len(values) - 1))
    return 1 - within / expected


def test_alpha_is_the_published_one() -> None:
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", example C: four observers, twelve units, missing
    values; nominal alpha 0.743."""
    rows = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    labels = np.array([[-1 if mark == "." else int(mark) for mark in row] for row in rows]).T
    found = agreement(ratings(labels), FEW)
    assert found.alpha.value == pytest.approx(0.743, abs=0.0005)
    assert (found.n, found.raters) == (11, 4)
    assert found.kappa.value is None and found.kappa.reason


def test_fleiss_is_the_published_one() -> None:
    """Fleiss 1971 as in Fleiss, Levin and Paik: 14 raters, 10 subjects, 5 classes; kappa 0.210."""
    counts = [
        *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
        *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
    ]
    labels = np.array([np.repeat(np.arange(5), row) for row in counts])
    found = agreement(ratings(labels), FEW)
    assert (found.kappa_name, found.kappa.value) == ("fleiss", pytest.approx(0.210, abs=0.0005))


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(2, 4), st.integers(0, 10**6))
def test_kappas_and_alpha_agree_with_statsmodels_and_with_pairs(raters: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(classes, size=(25, 1))
    labels = np.where(random.random((25, raters)) < 0.6, truth, random.integers(classes, size=(25, raters)))
    labels[:2] = [[0] * raters, [1] * raters]  # so that chance agreement is below 1
    found = agreement(ratings(labels), FEW)
    if raters == 2:
        table = np.zeros((classes, classes))
        np.add.at(table, tuple(labels.T), 1)
        expected = cohens_kappa(table).kappa
    else:
        expected = fleiss_kappa(aggregate_raters(labels)[0])
    assert found.kappa.value == pytest.approx(expected, abs=1e-12)
    gaps = np.where(random.random(labels.shape) < 0.2, -1, labels)
    gaps[:2] = labels[:2]
    assert agreement(ratings(gaps), FEW).alpha.value == pytest.approx(alpha_by_pairs(gaps), abs=1e-12)
    # The names of classes and the order of raters and responses do not matter.
    moved = agreement(ratings((gaps * 7 % 11)[::-1, ::-1] * (gaps[::-1, ::-1] >= 0) - (gaps[::-1, ::-1] < 0)), FEW)
    assert moved.alpha.value == pytest.approx(alpha_by_pairs(gaps), abs=1e-12)


def test_the_interval_is_about_that_of_statsmodels() -> None:
    """For independent responses: the analytic interval of Fleiss, Cohen and Everitt 1969."""
    random = np.random.default_rng(5)
    truth = random.integers(3, size=400)
    labels = np.stack([np.where(random.random(400) < 0.8, truth, random.integers(3, size=400)) for _ in "ab"], axis=1)
    table = np.zeros((3, 3))
    np.add.at(table, tuple(labels.T), 1)
    expected, found = cohens_kappa(table), agreement(ratings(labels), Bootstrap(draws=2000, seed=1)).kappa
    assert found.ci_low == pytest.approx(expected.kappa_low, abs=0.01)
    assert found.ci_high == pytest.approx(expected.kappa_upp, abs=0.01)


def test_responses_to_the_same_prompt_widen_the_interval() -> None:
    """Repeating each response under its prompt adds no information, so the interval stays as it was."""
    random = np.random.default_rng(6)
    labels = random.integers(2, size=(60, 1)) ^ (random.random((60, 2)) < 0.15)
    bootstrap = Bootstrap(draws=500, seed=1)
    once = cohen(ratings(labels), bootstrap)
    repeated = Ratings(labels=np.repeat(labels, 4, axis=0), prompt=np.repeat(np.arange(60), 4))
    assert cohen(repeated, bootstrap) == once
    assert cohen(ratings(np.repeat(labels, 4, axis=0)), bootstrap).ci_low > once.ci_low


def test_what_cannot_be_known_is_not_defined() -> None:
    one_class = agreement(ratings(np.ones((5, 2), dtype=int)), FEW)
    assert (one_class.agreed.value, one_class.kappa.value, one_class.alpha.value) == (100, None, None)
    assert one_class.kappa.reason and one_class.agreed.ci_low == pytest.approx(56.6, abs=0.1)  # Wilson's, 5 of 5
    nobody = agreement(ratings(np.array([[0, -1], [-1, 1]])), FEW)
    assert nobody.n == 0 and nobody.agreed.reason and nobody.alpha.reason
    single = agreement(Ratings(labels=np.array([[0, 0], [1, 1], [0, 1]]), prompt=np.zeros(3, dtype=int)), FEW)
    assert single.kappa.value is not None and single.kappa.ci_low is None and single.kappa.reason


def test_agreement_without_an_exception_is_not_certainty() -> None:
    found = agreement(ratings(np.array([[0, 0], [1, 1]] * 10)), FEW)
    assert (found.kappa.value, found.kappa.ci_high) == (1, 1)
    assert found.kappa.ci_low == pytest.approx(
        2 * 0.8389 - 1, abs=0.001
    )  # Wilson's lower bound of 20 of 20, chance 1/2


def test_the_interval_covers_the_populations_kappa() -> None:
    """200 samples of 40 prompts with two responses each; prompts differ in their rates. The truth is from 400,000."""

    def draw(random: np.random.Generator, prompts: int) -> Ratings:
        rate = 1 / (1 + np.exp(-random.normal(0.8, 1.0, (prompts, 1))))
        truth = (random.random((prompts, 2)) < rate).ravel()
        labels = np.stack([truth ^ (random.random(truth.shape) < 0.15) for _ in range(2)], axis=1).astype(int)
        return Ratings(labels=labels, prompt=np.repeat(np.arange(prompts), 2))

    truth = cohen(draw(np.random.default_rng(1), 200_000), Bootstrap(draws=1, seed=1)).value
    covered = 0
    for index in range(200):
        found = cohen(draw(np.random.default_rng([2, index]), 40), Bootstrap(draws=400, seed=index))
        covered += found.ci_low <= truth <= found.ci_high
    assert 90 <= covered / 2 <= 98.5
