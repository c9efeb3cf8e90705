"""Charts of a run's other files: training curves and distributions of rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tarazu.data.rows import Kind
from tarazu.report.figure import GOOD, HIGH, INK, LOW, MUTED, TITLE, Chart, figure, labels
from tarazu.report.text import number
from tarazu.stats.labels import passes

_CURVES = (
    ("loss", "loss (nats)"),
    ("reward_accuracy", "accuracy (%)"),
    ("reward_margin", "margin (nats)"),
)
"""Columns of training.jsonl that are drawn, from the top."""


def training_chart(arm: str, rows: Sequence[Mapping[str, float]]) -> Chart | None:
    """Loss over steps and, where training logged them, accuracy and margin of DPO's implicit reward."""
    curves = []
    for key, label in _CURVES:
        scale = 100 if key == "reward_accuracy" else 1
        points = [(row["step"], scale * row[key]) for row in rows if row.get(key) is not None]
        if points:
            curves.append((label, points))
    if not curves:
        return None
    with figure(len(curves), 1, height=0.6 + 1.25 * len(curves), sharex=True) as (made, axes):
        for ax, (label, points) in zip(axes[:, 0], curves, strict=True):
            steps, values = zip(*points, strict=True)
            ax.plot(steps, values, color=INK, lw=1.4, marker="." if len(points) < 12 else None)
            ax.set_ylabel(label)
        axes[0, 0].set_title(labels([arm], TITLE)[arm])
        axes[-1, 0].set_xlabel("optimizer step")
        changes = "; ".join(f"{label} from {number(p[0][1], 2)} to {number(p[-1][1], 2)}" for label, p in curves)
        return made.described(name=f"training-{arm}", alt=f"Training of {arm}: {changes}.")


def rewards_chart(kind: Kind, rewards: Mapping[str, np.ndarray], threshold: float) -> Chart | None:
    """Histograms of the rewards of one prompt kind, a row per arm, on either side of the threshold."""
    drawn = {arm: values for arm, values in rewards.items() if len(values)}
    if not drawn:
        return None
    names = labels(rewards)
    edges = _edges(np.concatenate(list(drawn.values())), threshold)
    with figure(len(drawn), 1, height=0.6 + 0.78 * len(drawn), sharex=True, sharey=True) as (made, axes):
        for ax, (arm, values) in zip(axes[:, 0], drawn.items(), strict=True):
            passed = passes(kind == "harmful", values, threshold)
            inside = np.clip(values, edges[0], edges[-1])
            for part, colour in ((inside[~passed], MUTED), (inside[passed], GOOD)):
                ax.hist(part, bins=edges, weights=np.full(len(part), 100 / len(values)), color=colour, alpha=0.75)
            ax.axvline(threshold, color=INK, lw=1, ls=(0, (4, 2)))
            ax.set_title(f"{kind}: {names[arm]}, n = {len(values)}")
            ax.grid(axis="x", visible=False)
            ax.locator_params(axis="y", nbins=3)
        axes[-1, 0].set_xlabel("reward")
        made.supylabel("share of responses (%)", fontsize=9)
        medians = "; ".join(f"{arm} median {number(float(np.median(values)), 2)}" for arm, values in drawn.items())
        return made.described(
            name=f"rewards-{kind}",
            alt=f"Rewards of responses to {kind} prompts by arm. {medians}. The threshold is {number(threshold, 2)}.",
        )


def _edges(values: np.ndarray, threshold: float) -> np.ndarray:
    """Edges of some 36 equal bins that cover nearly all values; one edge is the threshold, so that no bar spans it."""
    low, high = (float(edge) for edge in np.quantile(values, [0.001, 0.999]))
    low, high = min(low, threshold), max(high, threshold)
    width = (high - low) / 34 or 1.0
    below, above = np.ceil((threshold - low) / width) + 1, np.ceil((high - threshold) / width) + 1
    return threshold + width * np.arange(-below, above + 1)


def known_answers_chart(kind: str, rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Rewards of good and of bad known answers of one prompt kind."""
    good = np.array([row["reward_good"] for row in rows if row["kind"] == kind], dtype=float)
    bad = np.array([row["reward_bad"] for row in rows if row["kind"] == kind], dtype=float)
    both = np.concatenate([good, bad])
    if not np.isfinite(both).any():
        return None
    edges = np.histogram_bin_edges(both[np.isfinite(both)], bins=30)
    with figure(height=2.0) as (made, axes):
        ax = axes[0, 0]
        for values, colour, line, label in ((good, HIGH, "-", "good answers"), (bad, LOW, "--", "bad answers")):
            ax.hist(values, bins=edges, histtype="stepfilled", color=colour, alpha=0.25, lw=0)
            ax.hist(values, bins=edges, histtype="step", color=colour, ls=line, lw=1.6, label=label)
        ax.set(xlabel="reward", ylabel="answers", title=f"{kind} prompts, n = {len(good)} pairs")
        ax.legend(loc="upper left", bbox_to_anchor=(0, -0.3), ncols=2)
        return made.described(name=f"known-{kind}", alt=f"Rewards of good and bad known answers to {kind} prompts.")
