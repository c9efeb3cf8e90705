"""Records that say what their scores do not: results, tolerances, theorems and environments that are made up."""

from __future__ import annotations

from pathlib import Path

from hostile_records.registry import Registry

HOSTILE = Registry()


@HOSTILE.add(1, "UNVERIFIED", "same results for other scores")
def results_that_the_script_only_repeats(record: Path) -> None:
    results = (record / "results.json").read_text(encoding="utf-8")
    text = f"import sys\nopen(sys.argv[2] + '/results.json', 'w').write({results!r})\n"
    (record / "repro" / "analysis.py").write_text(text, encoding="utf-8")
