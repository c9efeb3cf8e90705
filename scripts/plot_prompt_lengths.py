"""Pairs a second against the length of the prompt, ours and TRL's, measured on this machine.

    python scripts/plot_prompt_lengths.py PAIRS PICTURE [--steps N]

PAIRS is a file in HH-RLHF's format, PICTURE a .png; the numbers go beside it, as .json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from tarazu.bench.train import bench_train
from tarazu.files import write_json
from tarazu.run.progress import Progress

RANGES = ((8, 48), (48, 96), (96, 160), (160, 256), (256, 400))
NAMES = {"tarazu_dpo": ("Tarazu", "o-"), "trl_dpo_default": ("TRL, its defaults", "s--")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--steps", type=int, default=3)
    arguments = parser.parse_args()
    found = [
        bench_train(
            shape="45m",
            pairs=arguments.pairs,
            steps=arguments.steps,
            max_length=512,
            prompt_tokens=between,
            lora=False,
            only=list(NAMES),
            progress=Progress(),
        )
        for between in RANGES
    ]
    write_json(arguments.picture.with_suffix(".json"), found)
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for name, (label, style) in NAMES.items():
        lengths = [result["work"]["prompt_tokens"] for result in found]
        axes.plot(lengths, [r["contenders"][name]["pairs_per_s"] for r in found], style, color="black", label=label)
    axes.set(xlabel="mean tokens of the prompt", ylabel="preference pairs a second", ylim=(0, None), xlim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    machine = found[0]["machine"]
    axes.set_title(
        f"DPO of a 45M OPT, {arguments.steps} steps of 8 pairs; {machine['processor']}, {machine['cores']} cores",
        fontsize=9,
    )
    figure.savefig(arguments.picture, dpi=160)


if __name__ == "__main__":
    main()
