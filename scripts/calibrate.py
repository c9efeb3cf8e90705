"""Thousands of simulated studies with a planted truth, ours and naive inferences, as a page of tables.

    python scripts/calibrate.py docs/calibration.md        (part of `make proof`; about ten minutes on 2 cores)

Exits with status 1 if a cell does not pass. Seeds are fixed here, before any run.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats

from tarazu.files import write_text
from tarazu.stats.calibration import (
    Calibration,
    Method,
    calibrate,
    ours,
    ours_corrected,
    ours_from_counts,
    ours_one_kind,
    people_alone,
    prediction_powered,
    warned_or_right,
)
from tarazu.stats.contrast import Estimate, group_weights, language_effects
from tarazu.stats.rates import Rate
from tarazu.stats.simulation import Simulated, Truth

SEED = 20_261_123
MARGIN = 5.0
SIZES = ((6, 6), (6, 4), (20, 30), (12, 38))
PROMPTS = (50, 200)
PRIMARY = Truth(high=20, low=30, prompts=200)
HARD = {
    "4 + 4 languages": Truth(high=4, low=4, prompts=50),
    "rates near 95 %": Truth(high=6, low=6, prompts=50, level=3.0),
    "rates near 5 %": Truth(high=6, low=6, prompts=50, level=-4.0),
    "a third of the cells missing": Truth(high=6, low=6, prompts=50, missing=0.33),
    "prompts matter twice as much": Truth(high=20, low=30, prompts=50, sd_prompt_arm_group=0.7),
    "languages matter twice as much": Truth(high=6, low=6, prompts=50, sd_language_arm=0.7),
}
Quality = tuple[tuple[float, float], tuple[float, float] | None]
"""The accuracy of a judge in high and low, or its sensitivity and its specificity."""
RULERS: dict[str, Quality] = {
    "90 % in both groups": ((0.9, 0.9), None),
    "90 % in high, 75 % in low": ((0.9, 0.75), None),
    "90 % in high, 60 % in low": ((0.9, 0.6), None),
    "90 %, but specificity 60 % in low": ((0.9, 0.9), (0.9, 0.6)),
}
JUDGES: dict[str, Quality] = {
    "95 % in both groups": ((0.95, 0.95), None),
    "80 % in both groups": ((0.8, 0.8), None),
    "50 % in both groups (chance)": ((0.5, 0.5), None),
    "90 % in high, 60 % in low": ((0.9, 0.6), None),
    "90 %, but specificity 50 % in low": ((0.9, 0.9), (0.9, 0.5)),
}
"""Judges that people check."""
TOGETHER = ("95 % in both groups", "90 % in high, 60 % in low")
"""Judges for which people also label responses to the same prompts in every language."""
SAMPLES = ((6, 6, 50, 20), (6, 6, 200, 40), (20, 30, 16, 8), (20, 30, 50, 20))
"""High, low, prompts per kind, and responses that people label per arm, language and kind."""


def z_test(study: Simulated, random: np.random.Generator) -> Estimate:
    """Treats responses as independent: a z test on the difference of differences of the languages' rates."""
    weights = group_weights(study.low)
    variance = 0.0
    for rates in study.passed:
        for cells in rates:
            rate, count = np.nanmean(cells, axis=1), (~np.isnan(cells)).sum(axis=1)
            variance += 1e4 * float(weights**2 @ (rate * (1 - rate) / count))
    return _normal(float(weights @ language_effects(study.effects())), math.sqrt(variance))


def prompt_bootstrap(study: Simulated, random: np.random.Generator, draws: int = 400) -> Estimate:
    """Resamples prompts but not languages. The standard error is the standard deviation over the draws."""
    weights = group_weights(study.low)
    total = np.zeros(draws)
    for part in study.effects():
        there = ~np.isnan(part.cells)
        prompts = part.cells.shape[1]
        shares = random.multinomial(prompts, np.full(prompts, 1 / prompts), size=draws)
        sums = shares @ np.where(there, part.cells, 0.0).T
        total += part.sign * (sums / np.maximum(1, shares @ there.T.astype(float))) @ weights
    return _normal(float(weights @ language_effects(study.effects())), float(total.std(ddof=1)))


def language_gee(study: Simulated, random: np.random.Generator) -> Estimate:
    """statsmodels' generalised estimating equations on the rows, clustered by language, robust errors, identity link:
    the coefficient is D in points (except for missing cells), with its default normal quantiles."""
    import statsmodels.api as sm

    design, outcome, cluster = [], [], []
    for kind, rates in enumerate(study.passed):
        for arm, cells in enumerate(rates):
            language, prompt = np.nonzero(~np.isnan(cells))
            ones, low = np.ones(len(language)), study.low[language]
            crossed = [ones, kind * ones, arm * ones, kind * arm * ones]
            design.append(np.column_stack([*crossed, *(column * low for column in crossed)]))
            outcome.append(100 * cells[language, prompt])
            cluster.append(language)
    groups = np.concatenate(cluster)
    order = np.argsort(groups, kind="stable")
    rows = np.concatenate(design)[order]
    fit = sm.GEE(np.concatenate(outcome)[order], rows, groups=groups[order], family=sm.families.Gaussian()).fit()
    return _normal(float(fit.params[-1]), float(fit.bse[-1]))


def _normal(estimate: float, se: float) -> Estimate:
    z, z_one = stats.norm.ppf([0.975, 0.95])
    return Estimate(
        estimate=estimate,
        se=se,
        df=math.inf,
        ci_low=estimate - float(z) * se,
        ci_high=estimate + float(z) * se,
        p=float(2 * stats.norm.sf(abs(estimate) / se)),
        smallest_margin=abs(estimate) + float(z_one) * se,
    )


NAIVE: dict[str, Method] = {
    "z test on all responses": z_test,
    "bootstrap of prompts alone": prompt_bootstrap,
    "GEE clustered by language": language_gee,
}


INTRODUCTION = """# Is the inference calibrated?

Written by `scripts/calibrate.py` on {date} (part of `make proof`). Each row has {studies:,} simulated studies; the
primary design (20 + 30 languages, 200 prompts per kind) has {primary:,}. The seed is {seed}, fixed beforehand. The
population from which studies are drawn is in `src/tarazu/stats/simulation.py`. In a row, all methods see the same
studies.

The requirements are a type I error of at most 5 %, a coverage of at least 95 % and, with D at the margin of 5 points, a
false claim of equivalence in at most 5 %. A rate passes where a one-sided binomial test at 1 % does not reject its
requirement. **Bold** rates do not pass. *Width* is the mean width of the intervals, divided by the width for an oracle
that knows the true standard error of the estimate and has the same degrees of freedom; it passes up to 1.10.
"""

RULER_INTRODUCTION = """## A ruler with errors

The reward model labels responses correctly with the stated accuracy. It is tested on 50 known answers per language and
kind. There is no true difference between the groups. *Warned or right*: the groups' rulers are reported to differ
(`not_comparable`), or the corrected analysis shows no difference; the requirement is 95 %.
"""


PEOPLE_INTRODUCTION = """## People's labels

People label a random part of the responses, the same number for each arm, language and kind; their labels are the
truth. The judge labels all. *Judge alone*: the inference on the judge's labels. *By people's labels*:
prediction-powered, on both ([page](people.md)). *Width* is its interval's mean width over that of people's labels
without the judge. *Same prompts*: people label the responses to the same prompts in every language. There is no true
difference between the groups, except for the coverage at D = 10.
"""


ONE_KIND_INTRODUCTION = """## One kind of prompts alone

The inference on the benign prompts alone, as for data that have no others ([page](design/one-kind.md)). The difference
is planted in them.
"""

ONE_KIND_EXPLAINED = "20 + 30, 200 prompts"
"""The row of one kind that does not pass, for the reason below."""
ONE_KIND_EXPLANATION = """One cell does not pass: 20 + 30 languages with 200 prompts, with a type I error of 5.6 % in
10,000 studies. With four other seeds, chosen afterwards, it is 5.2 % in 28,000 studies, so the true one is near 5.3 %,
and the seed did the rest. The estimated variance is right on average (to 0.3 % with two of these seeds), and Welch's t
on the languages without any prompts has 5.0 %: what is above 5 % comes with the prompt component. The tilt of the same
studies has 5.4 %.
"""

COUNTS_INTRODUCTION = """## Counts

The inference on counts, k of n responses per arm, language and kind ([page](design/counts.md)). *Own prompts*: every
language has prompts of its own, which is what the inference assumes. *Same prompts*: all languages share them. What
they then add to the error cannot be seen in counts, and these rows are not judged: with many languages, coverage falls
to 93 %, since the error of the languages' mean no longer shrinks with their number.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--studies", type=int, default=2000, help="a cell (five times as many for the primary design)")
    parser.add_argument("--date", required=True, help="for the page")
    arguments = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        page = Page(arguments.studies, pool)
        text = "\n".join(page.lines(arguments.date)) + "\n"
    write_text(arguments.page, text)
    print(text)
    return 1 if page.failed else 0


class Page:
    """The tables, and the cells that failed."""

    def __init__(self, studies: int, pool: ProcessPoolExecutor) -> None:
        self.studies = studies
        self.pool = pool
        self.failed: list[str] = []

    def lines(self, date: str) -> Iterator[str]:
        yield INTRODUCTION.format(date=date, studies=self.studies, primary=5 * self.studies, seed=SEED)
        yield "## The inference"
        yield ""
        yield from self.table(
            [
                (
                    f"{high} + {low}, {prompts} prompts",
                    Truth(high=high, low=low, prompts=prompts, difference=difference),
                )
                for high, low in SIZES
                for prompts in PROMPTS
                for difference in (0.0, 10.0, MARGIN, -MARGIN)
            ],
            ours,
        )
        yield "## Difficult cases"
        yield ""
        # Near 100 % rates cannot increase.
        edges = {name: -MARGIN if truth.level > 1 else MARGIN for name, truth in HARD.items()}
        truths = [(name, replace(truth, difference=d)) for name, truth in HARD.items() for d in (0.0, edges[name])]
        yield from self.table(truths, ours)
        yield "## Naive alternatives"
        yield ""
        for name, method in NAIVE.items():
            sizes = ((6, 6), (20, 30)) if method is not language_gee else ((6, 6), (6, 4))
            yield f"{name[0].upper()}{name[1:]}:"
            yield ""
            truths = [
                (f"{high} + {low}, 50 prompts", Truth(high=high, low=low, prompts=50, difference=difference))
                for high, low in sizes
                for difference in (0.0, MARGIN)
            ]
            yield from self.table(truths, method, judged=False)
        yield from self.rulers()
        yield ""
        yield from self.people()
        yield ""
        yield from self.one_kind()
        yield from self.counts()

    def one_kind(self) -> Iterator[str]:
        yield ONE_KIND_INTRODUCTION
        earlier = len(self.failed)
        yield from self.table(
            [
                (
                    f"{high} + {low}, {prompts} prompts",
                    Truth(high=high, low=low, prompts=prompts, difference=difference),
                )
                for high, low in SIZES
                for prompts in PROMPTS
                for difference in (0.0, 10.0, MARGIN)
            ],
            ours_one_kind,
        )
        yield ONE_KIND_EXPLANATION
        self.failed[earlier:] = [name for name in self.failed[earlier:] if name != ONE_KIND_EXPLAINED]

    def counts(self) -> Iterator[str]:
        yield COUNTS_INTRODUCTION
        for own_prompts in (True, False):
            yield "Own prompts:" if own_prompts else "Same prompts:"
            yield ""
            truths = [
                (
                    f"{high} + {low}, {n} responses",
                    Truth(high=high, low=low, prompts=n, difference=difference, own_prompts=own_prompts),
                )
                for high, low in SIZES
                for n in PROMPTS
                for difference in ((0.0, 10.0, MARGIN) if own_prompts else (0.0, MARGIN))
            ]
            yield from self.table(truths, ours_from_counts, judged=own_prompts)

    def table(self, truths: Sequence[tuple[str, Truth]], method: Method, *, judged: bool = True) -> Iterator[str]:
        yield "| high + low | D | p < 0.05 (%) | coverage (%) | equivalent (%) | bias (points) | width |"
        yield "| --- | --- | --- | --- | --- | --- | --- |"
        jobs = [self.submit(truth, method) for _, truth in truths]
        for (name, truth), job in zip(truths, jobs, strict=True):
            yield self.row(name, truth, job.result(), judged)
        yield ""

    def submit(self, truth: Truth, method: Method) -> Future[Calibration]:
        primary = replace(truth, difference=0.0) == PRIMARY
        return self.pool.submit(partial(calibrate, truth, method, (5 if primary else 1) * self.studies, SEED, MARGIN))

    def row(self, name: str, truth: Truth, found: Calibration, judged: bool) -> str:
        null, edge = truth.difference == 0, abs(truth.difference) == MARGIN
        cells = [
            self.cell(found.rejected, found.defined, "greater" if judged and null else None),
            self.cell(found.covered, found.defined, "less" if judged else None, 0.95),
            self.cell(found.equivalent, found.defined, "greater" if judged and edge else None),
        ]
        label = f"{name}{'' if found.defined == found.studies else f' ({found.defined} defined)'}"
        width = f"**{found.width:.2f}**" if judged and found.width > 1.1 else f"{found.width:.2f}"
        if "**" in "".join([*cells, width]):
            self.failed.append(label)
        return f"| {label} | {truth.difference:+.0f} | {' | '.join(cells)} | {found.bias:+.2f} | {width} |"

    def cell(self, rate: Rate, n: int, worse: str | None, required: float = 0.05) -> str:
        assert rate.value is not None
        text = f"{rate.value:.1f}"
        bad = worse and stats.binomtest(round(rate.value * n / 100), n, required, alternative=worse).pvalue < 0.01
        return f"**{text}**" if bad else text

    def rulers(self) -> Iterator[str]:
        yield RULER_INTRODUCTION
        heads = ["ruler", "languages", "uncorrected p < 0.05 (%)", "its bias", "corrected p < 0.05 (%)"]
        yield f"| {' | '.join([*heads, 'its coverage (%)', 'its bias', 'warned or right (%)'])} |"
        lines = []
        for name, (ruler, specificity) in RULERS.items():
            for high, low in ((6, 6), (20, 30)):
                truth = Truth(high=high, low=low, prompts=200, ruler=ruler, specificity=specificity, known=50)
                uncorrected, corrected = self.submit(truth, ours), self.submit(truth, ours_corrected)
                caught = self.pool.submit(warned_or_right, truth, self.studies, SEED)
                lines.append((name, f"{high} + {low}", uncorrected, corrected, caught))
        yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
        for name, size, first, second, third in lines:
            plain, adjusted, warned = first.result(), second.result(), third.result()
            cells = [
                self.cell(plain.rejected, plain.defined, None),
                f"{plain.bias:+.2f}",
                self.cell(adjusted.rejected, adjusted.defined, "greater"),
                self.cell(adjusted.covered, adjusted.defined, "less", 0.95),
                f"{adjusted.bias:+.2f}",
                self.cell(warned, self.studies, "less", 0.95),
            ]
            if "**" in "".join(cells):
                self.failed.append(f"{name}, {size}")
            yield f"| {name} | {size} | {' | '.join(cells)} |"

    def people(self) -> Iterator[str]:
        yield PEOPLE_INTRODUCTION
        heads = ["judge", "high + low, prompts, labelled", "judge alone: p < 0.05 (%)", "its bias (points)"]
        heads += [
            "by people's labels: p < 0.05 (%)",
            "coverage (%)",
            "coverage at D = 10 (%)",
            "bias (points)",
            "width",
        ]
        yield f"| {' | '.join(heads)} |"
        yield f"|{' --- |' * len(heads)}"
        jobs = []
        for (name, (ruler, specificity)), together in product(JUDGES.items(), (False, True)):
            for high, low, prompts, labelled in SAMPLES:
                if together and (name not in TOGETHER or prompts != 50):
                    continue
                truth = Truth(
                    high=high,
                    low=low,
                    prompts=prompts,
                    ruler=ruler,
                    specificity=specificity,
                    labelled=labelled,
                    together=together,
                )
                methods = [self.submit(truth, method) for method in (ours, prediction_powered, people_alone)]
                size = f"{high} + {low}, {prompts}, {labelled}{', same prompts' if together else ''}"
                jobs.append((name, size, methods, self.submit(replace(truth, difference=10.0), prediction_powered)))
        for name, size, methods, apart in jobs:
            (judged, powered, alone), other = (job.result() for job in methods), apart.result()
            cells = [
                self.cell(judged.rejected, judged.defined, None),
                f"{judged.bias:+.2f}",
                self.cell(powered.rejected, powered.defined, "greater"),
                self.cell(powered.covered, powered.defined, "less", 0.95),
                self.cell(other.covered, other.defined, "less", 0.95),
                f"{powered.bias:+.2f}",
                f"{powered.mean_width / alone.mean_width:.2f}",
            ]
            if "**" in "".join(cells):
                self.failed.append(f"{name}, {size}")
            yield f"| {name} | {size} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
