"""The page and the forest plot of several runs pooled."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

import tarazu
from tarazu.pool.model import Pool
from tarazu.pool.runs import pooled_quantity
from tarazu.report.build import asset
from tarazu.report.figure import GOOD, INK, MUTED, Chart, figure, labels, svg
from tarazu.report.templates import environment
from tarazu.report.text import interval, signed


def render_pool(pool: Pool) -> str:
    """The page as HTML. The same pool gives the same bytes."""
    templates = environment(jinja2.PackageLoader("tarazu.pool", ""))
    return templates.get_template("pool.html.j2").render(
        pool=pool,
        q=pooled_quantity(pool),
        version=tarazu.__version__,
        style=Markup(asset("report.css")),
        forest=svg(forest_chart(pool)),
    )


def forest_chart(pool: Pool) -> Chart:
    """D of each run with its interval, a square whose area is its weight; the pooled D as a diamond, and the interval
    in which that of a further model is expected."""
    spread = pool.heterogeneity
    predicted = spread.prediction_low is not None and spread.prediction_high is not None
    rows_of = [*labels(run.name for run in pool.runs).values(), "pooled", *(["a further model"] if predicted else [])]
    with figure(height=0.75 + 0.3 * len(rows_of)) as (made, axes):
        ax = axes[0, 0]
        margin = pool.pooled.margin
        ax.axvspan(-margin, margin, color=GOOD, alpha=0.14, lw=0)
        ax.axvline(0, color=INK, lw=0.8)
        for place, run in enumerate(pool.runs):
            ax.plot([run.ci_low, run.ci_high], [place, place], color=MUTED, lw=1.2)
            ax.plot(run.estimate, place, "s", color=MUTED, ms=3 + 0.9 * run.weight**0.5)
        place, mean = len(pool.runs), pool.pooled
        corners = [mean.ci_low, mean.estimate, mean.ci_high, mean.estimate]
        ax.fill(corners, [place, place - 0.3, place, place + 0.3], color=INK)
        if predicted:
            ax.plot([spread.prediction_low, spread.prediction_high], [place + 1] * 2, "|-", color=INK, lw=1.2, ms=8)
        ax.set_yticks(range(len(rows_of)), rows_of)
        ax.set_ylim(len(rows_of) - 0.4, -0.6)
        ax.set_xlabel("D: low- minus high-resource (points)")
        ax.grid(axis="y", visible=False)
        rows = [(run.name, run.estimate, run.ci_low, run.ci_high) for run in pool.runs]
        rows.append(("pooled", mean.estimate, mean.ci_low, mean.ci_high))
        words = "; ".join(f"{name}: {signed(value)} {interval(low, high)}" for name, value, low, high in rows)
        return made.described(name="forest", alt=f"Differences between the groups by run, in points. {words}.")
