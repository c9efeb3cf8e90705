"""Runs inside the sandbox: `python -m tarazu.record.verify._analyses IN OUT` runs the package's analysis several times.

IN has a numbered folder of inputs for each run. OUT/results.json is `{"runs": [...]}`, the results of each, in that
order. One process for several runs loads the package once.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tarazu.record.build.scripts import analysis


def main(inputs: Path, out: Path) -> None:
    texts = []
    for number in range(len(list(inputs.iterdir()))):
        own = out / str(number)
        own.mkdir()
        analysis.main(inputs / str(number), own)
        texts.append((own / "results.json").read_text(encoding="utf-8"))
    (out / "results.json").write_text(f'{{"runs": [{",".join(texts)}]}}', encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
