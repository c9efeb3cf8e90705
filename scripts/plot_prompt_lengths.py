"""Plot pairs per second against prompt length, for Tarazu and TRL on this machine.

    python scripts/plot_prompt_lengths.py PAIRS PICTURE [--steps N] [--rounds N]

PAIRS is a file in HH-RLHF's format, and PICTURE a .png. The numbers and a caption are written beside it as .json. Each
round measures both contenders at every length, so that other load on the machine affects all points equally. A point is
the median of the rounds, and its bar spans the lowest and the highest round.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from tarazu.bench.results import Skipped, TrainingReport, TrainingResult
from tarazu.bench.settings import TrainingBench
from tarazu.bench.train import bench_train
from tarazu.files import write_json
from tarazu.progress import Progress

RANGES = ((8, 48), (48, 96), (96, 160), (160, 256), (256, 400))
# Told apart without colour: by line, by marker, and by its filling.
STYLES: dict[str, tuple[str, dict[str, Any]]] = {
    "tarazu_dpo": ("Tarazu", {"color": "black", "linestyle": "-", "marker": "o"}),
    "trl_dpo_default": (
        "TRL, its defaults",
        {"color": "dimgray", "linestyle": "--", "marker": "s", "markerfacecolor": "white"},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    progress = Progress()
    rounds: list[list[TrainingReport]] = []
    for turn in range(1, arguments.rounds + 1):
        rounds.append([])
        for low, high in RANGES:
            progress.line(f"round {turn} of {arguments.rounds}: prompts of {low} to {high} tokens")
            bench = TrainingBench(
                pairs=arguments.pairs, steps=arguments.steps, prompt_tokens=(low, high), only=list(STYLES), rounds=1
            )
            rounds[-1].append(bench_train(bench, progress))
    lines = {name: points(rounds, name) for name in STYLES}
    text = caption(rounds, arguments.steps, lines)
    reports = [[report.model_dump(exclude_none=True) for report in reports] for reports in rounds]
    write_json(arguments.picture.with_suffix(".json"), {"caption": text, "lines": lines, "rounds": reports})
    draw(lines, arguments.picture)
    progress.line(text)


def points(rounds: list[list[TrainingReport]], name: str) -> list[dict[str, float]]:
    """For each range of lengths: mean prompt tokens, median pairs per second, lowest and highest, peak memory."""
    means = []
    for same in zip(*rounds, strict=True):
        results: list[TrainingResult] = []
        for report in same:
            result = report.contenders[name]
            if isinstance(result, Skipped):
                raise SystemExit(f"{name}: {result.skipped}")
            results.append(result)
        rates = [result.rate for result in results]
        means.append(
            {
                "prompt_tokens": same[0].work.prompt_tokens,
                "pairs_per_s": statistics.median(rates),
                "lowest": min(rates),
                "highest": max(rates),
                "peak_memory_mib": max(result.peak_memory_mib for result in results),
            }
        )
    return means


def caption(rounds: list[list[TrainingReport]], steps: int, lines: dict[str, list[dict[str, float]]]) -> str:
    machine, work = rounds[0][0].machine, rounds[0][0].work
    ours, theirs = lines.values()
    ratios = [mine["pairs_per_s"] / other["pairs_per_s"] for mine, other in zip(ours, theirs, strict=True)]
    return (
        f"DPO of an OPT of {work.parameters / 1e6:.0f} million weights by the length of the prompt: {steps} steps "
        f"of {work.pairs_per_step} pairs of {work.data} a point, {work.precision}; medians of {len(rounds)} "
        f"rounds, bars from the lowest to the highest. {machine.cores} cores of {machine.processor}, "
        f"torch {machine.versions['torch']}. Tarazu is {min(ratios):.1f} to {max(ratios):.1f} times as fast."
    )


def draw(lines: dict[str, list[dict[str, float]]], picture: Path) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for name, (label, style) in STYLES.items():
        places, middle, low, high = (
            [point[key] for point in lines[name]] for key in ("prompt_tokens", "pairs_per_s", "lowest", "highest")
        )
        below = [m - least for m, least in zip(middle, low, strict=True)]
        above = [most - m for m, most in zip(middle, high, strict=True)]
        axes.errorbar(places, middle, yerr=[below, above], label=label, capsize=3, linewidth=1.4, **style)
    axes.set(xlabel="tokens of the prompt (mean)", ylabel="preference pairs a second", ylim=(0, None), xlim=(0, None))
    axes.grid(color="lightgray", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    figure.savefig(picture, dpi=200)
    plt.close(figure)


if __name__ == "__main__":
    main()
