"""The chart of response health: the share of each arm's responses that is empty, looping, truncated, and so on."""

from __future__ import annotations

from collections.abc import Sequence

from tarazu.data.rows import Kind
from tarazu.report.figure import GRID, INK, Chart, figure, labels
from tarazu.report.text import interval, number
from tarazu.results.model import Health, Measure, RateEntry

MEASURES: dict[Measure, str] = {
    "empty": "empty",
    "looping": "looping",
    "repeats_prompt": "repeating the prompt",
    "truncated": "truncated",
    "in_language": "in the prompt's language",
    "refused": "refusing",
    "shortened": "prompt shortened",
    "reward_shortened": "shortened for the judge",
    "unfinished_reasoning": "unfinished reasoning",
}
"""The measures in charts and tables, in words."""

_ONLY_WHERE_ANY = ("shortened", "reward_shortened", "unfinished_reasoning")
"""Not drawn where no arm has any."""

_ROW = 0.19
"""Inches that a row takes."""

_MARKS = "osD^vP*X"


def health_chart(health: Health, kind: Kind, arms: Sequence[str]) -> Chart | None:
    """Shares of the responses to prompts of a kind, in percent with intervals: a block per property with its name above
    it, in it a row per arm. None where nothing is known."""
    own = {arm: health.arms[arm].kinds.get(kind) for arm in arms if arm in health.arms}
    rows: list[tuple[float, Measure, str, RateEntry]] = []
    blocks: list[tuple[float, Measure]] = []
    place = 0.0
    for measure in MEASURES:
        shares = [(arm, entry.share(measure)) for arm, entry in own.items() if entry]
        defined = [(arm, rate) for arm, rate in shares if rate.value is not None]
        if not defined or (measure in _ONLY_WHERE_ANY and not any(rate.value for _, rate in defined)):
            continue
        blocks.append((place, measure))
        place += 1
        for arm, rate in defined:
            rows.append((place, measure, arm, rate))
            place += 1
    if not rows:
        return None
    with figure(height=0.8 + _ROW * place) as (made, axes):
        ax = axes[0, 0]
        for y, _, arm, rate in rows:
            assert rate.value is not None and rate.ci_low is not None and rate.ci_high is not None
            value, ends = rate.value, [[rate.value - rate.ci_low], [rate.ci_high - rate.value]]
            mark = _MARKS[list(arms).index(arm) % len(_MARKS)]
            ax.errorbar(value, y, xerr=ends, fmt=mark, color=INK, ms=4.5, elinewidth=1.3)
        for y, _ in blocks[1:]:
            ax.axhline(y - 0.5, color=GRID, lw=1.2)
        names = labels(arms)
        written = sorted([(y, MEASURES[measure]) for y, measure in blocks] + [(y, names[arm]) for y, _, arm, _ in rows])
        ax.set_yticks([y for y, _ in written], [text for _, text in written])
        for tick, (y, _) in zip(ax.get_yticklabels(), written, strict=True):
            tick.set_fontweight("bold" if y in dict(blocks) else "normal")
        ax.set_ylim(place - 0.3, -0.7)
        ax.set(xlim=(-3, 103), xticks=[0, 25, 50, 75, 100], xlabel="share of responses (%)")
        ax.set_title(f"{kind} prompts")
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
        in_words = "; ".join(
            f"{MEASURES[measure]}, {arm}: {number(rate.value)} {interval(rate.ci_low, rate.ci_high)}"
            for _, measure, arm, rate in rows
        )
        return made.described(name=f"health-{kind}", alt=f"Responses to {kind} prompts, percent. {in_words}.")
