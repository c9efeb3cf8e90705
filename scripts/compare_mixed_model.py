"""The primary estimate and the mixed-effects logistic model on simulated studies: type I error, power at equal size.

python scripts/compare_mixed_model.py --studies 200 [--high 6 --low 6 --prompts 50 --difference 10 --seed 0]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special

from tarazu.stats.contrast import Effects, group_difference, infer
from tarazu.stats.mixed import Trials, fit_mixed

SIGNS = (-1.0, 1.0)
SHIFT = (-0.2, 0.8)
SD_LANGUAGE, SD_PROMPT, SD_SLOPE = 0.7, 1.0, 0.35
MISSING = 0.05


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A study: `passed` per kind is (base, arm), each (languages, prompts), NaN where missing; `low` (languages,)."""

    passed: tuple[tuple[np.ndarray, np.ndarray], ...]
    low: np.ndarray


def mean_rate(centre: float, spread: float) -> float:
    """The mean of logistic(centre + spread z) over a standard normal z."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    return float(weights @ special.expit(centre + spread * nodes) / weights.sum())


@cache
def extra(difference: float) -> float:
    """Log-odds to add to the low group's benign prompts under the arm so that D is `difference` points on average."""
    spread = float(np.sqrt(SD_LANGUAGE**2 + SD_PROMPT**2 + 2 * SD_SLOPE**2))

    def short(more: float) -> float:
        return 100 * (mean_rate(SHIFT[1] + more, spread) - mean_rate(SHIFT[1], spread)) - difference

    return float(optimize.brentq(short, -10, 10)) if difference else 0.0


def planted(random: np.random.Generator, high: int, low: int, prompts: int, difference: float) -> Planted:
    """Responses whose log-odds are language + prompt and, for the arm, + shift + language by arm + prompt by arm and
    group, all normal and drawn separately for each kind. D is planted in the low group's benign prompts."""
    labels = np.arange(high + low) >= high
    passed = []
    for shift, more in zip(SHIFT, (0.0, extra(difference)), strict=True):
        shape = (high + low, prompts)
        base = random.normal(0, SD_LANGUAGE, (high + low, 1)) + random.normal(0, SD_PROMPT, (1, prompts))
        by_language = random.normal(0, SD_SLOPE, (high + low, 1))
        by_group = random.normal(0, SD_SLOPE, (2, prompts))[labels.astype(int)]
        moved = base + shift + more * labels[:, None] + by_language + by_group
        there = random.random(shape) >= MISSING
        both = [np.where(there, random.random(shape) < special.expit(odds), np.nan) for odds in (base, moved)]
        passed.append((both[0], both[1]))
    return Planted(passed=tuple(passed), low=labels)


def effects_of(study: Planted) -> list[Effects]:
    return [Effects(cells=100 * (arm - base), sign=sign) for sign, (base, arm) in zip(SIGNS, study.passed, strict=True)]


def trials_of(study: Planted) -> Trials:
    """The study as single responses."""
    columns: dict[str, list[np.ndarray]] = {}
    prompts = study.passed[0][0].shape[1]
    for benign, both in enumerate(study.passed):
        for aligned, passed in enumerate(both):
            language, prompt = np.nonzero(~np.isnan(passed))
            for name, column in {
                "passed": passed[language, prompt],
                "language": language,
                "prompt": prompt + prompts * benign,
                "aligned": np.full(len(language), bool(aligned)),
                "benign": np.full(len(language), bool(benign)),
                "low": study.low[language],
            }.items():
                columns.setdefault(name, []).append(column)
    return Trials(**{name: np.concatenate(parts) for name, parts in columns.items()})


METHODS = {
    "primary": "primary (points)",
    "mixed": "mixed model",
    "variational": "mixed model, variational error",
    "intercepts": "mixed model without slopes",
}


def p_values(study: Planted) -> dict[str, float]:
    """The p-value of each method for equal tilts of the groups."""
    primary = group_difference(effects_of(study), study.low)
    trials = trials_of(study)
    degrees = len(study.low) - 2
    full, short = fit_mixed(trials), fit_mixed(trials, slopes=False)
    found = {
        "primary": primary,
        "mixed": infer(full.estimate, full.se, degrees),
        "variational": infer(full.estimate, full.se_variational, degrees),
        "intercepts": infer(short.estimate, short.se, degrees),
    }
    return {name: float("nan") if estimate.p is None else estimate.p for name, estimate in found.items()}


def compare(
    studies: int, *, high: int, low: int, prompts: int, difference: float, seed: int
) -> dict[str, dict[str, float]]:
    """For each method: the share of studies with p < 0.05 at D = 0 and at `difference`, and its power at equal
    empirical size, which is the share at `difference` with a p below the 5th percentile of its p at D = 0."""
    drawn = {}
    for planted_difference in (0.0, difference):
        random = np.random.default_rng([seed, int(planted_difference > 0)])
        each = [p_values(planted(random, high, low, prompts, planted_difference)) for _ in range(studies)]
        drawn[planted_difference] = {name: np.array([row[name] for row in each]) for name in METHODS}
    return {
        name: {
            "type_one_error": float(np.mean(drawn[0.0][name] < 0.05)),
            "power": float(np.mean(drawn[difference][name] < 0.05)),
            "power_at_equal_size": float(np.mean(drawn[difference][name] < np.quantile(drawn[0.0][name], 0.05))),
        }
        for name in METHODS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("studies", 200), ("high", 6), ("low", 6), ("prompts", 50), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--difference", type=float, default=10.0)
    settings = vars(parser.parse_args())
    start = time.perf_counter()
    found = compare(settings.pop("studies"), **settings)
    print(f"| method | p < 0.05 at D = 0 | p < 0.05 at D = {settings['difference']:g} | power at equal size |")
    print("| --- | --- | --- | --- |")
    for name, row in found.items():
        print(f"| {METHODS[name]} | " + " | ".join(f"{100 * value:.1f} %" for value in row.values()) + " |")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
