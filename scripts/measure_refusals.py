"""Measure the detector of refusals on real responses: `python scripts/measure_refusals.py RESPONSES`.

RESPONSES is PolyRefuse's file of responses as JSON lines (language, model, refusal, response; gzip or plain):
responses of Llama-3.1-8B-Instruct and Qwen2.5-7B-Instruct, whose label `refusal` is WildGuard's. The counts are written
to src/tarazu/health/refusal_counts.csv, which the package ships and reports as the detector's errors.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path

from tarazu.health import refusals
from tarazu.stats.rates import wilson

OUT = Path(__file__).resolve().parents[1] / "src" / "tarazu" / "health" / "refusal_counts.csv"


def count(path: Path) -> list[refusals.RefusalCounts]:
    """How many refusals are detected, and how many other responses are taken for refusals."""
    opener = gzip.open if path.suffix == ".gz" else open
    answers: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
    with opener(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            answers[row["language"], row["model"], row["refusal"]].append(row["response"])
    counts = []
    for code, model in sorted({(code, model) for code, model, _ in answers}):
        known, other = answers[code, model, True], answers[code, model, False]
        counts.append(
            refusals.RefusalCounts(
                language=code,
                model=model,
                refusals=len(known),
                detected=int(refusals.refusing(known, code).sum()),
                others=len(other),
                false=int(refusals.refusing(other, code).sum()),
            )
        )
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("responses", type=Path)
    counts = count(parser.parse_args().responses)
    with OUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(refusals.RefusalCounts._fields)
        writer.writerows(counts)
    print("| language | model | refusals | detected, % | other responses | taken for refusals, % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in counts:
        rates = (wilson(row.detected, row.refusals), wilson(row.false, row.others))
        found, false = (f"{rate.value:.0f} [{rate.ci_low:.0f}, {rate.ci_high:.0f}]" for rate in rates)
        print(f"| {row.language} | {row.model} | {row.refusals} | {found} | {row.others} | {false} |")


if __name__ == "__main__":
    main()
