"""Write the tables of docs/parallel-set.md: results of the checks for the shipped set and for human translations.

    python scripts/write_parallel_card.py [--data /path/to/data] [--check]

The table of human translations is made anew where --data holds MultiJail, and stays as it is otherwise. --check writes
nothing, and exits with 1 where the page is out of date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tarazu.data import identify
from tarazu.data._parallel_checks import check_parallel
from tarazu.data._parallel_set import SHIPPED
from tarazu.data._text_checks import CHECKS, text_findings
from tarazu.languages import LANGUAGES
from tarazu.readers import read_csv

PAGE = Path(__file__).resolve().parents[1] / "docs" / "parallel-set.md"
_MULTIJAIL = ("ar", "bn", "it", "jv", "ko", "sw", "th", "vi", "zh")


def _number(passed: float | None) -> str:
    return "–" if passed is None else f"{passed:.1f}".removesuffix(".0")


def _head(*columns: str) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"


def shipped_table() -> Iterator[str]:
    """A row per language: texts, percent of them that pass each check, reviewed rows, errors and warnings."""
    yield from _head("language", "texts", *CHECKS, "reviewed rows", "errors", "warnings")
    for report in check_parallel(SHIPPED):
        code = report.path.stem
        levels = [problem.level for problem in report.problems]
        cells = [
            f"{LANGUAGES[code].name} ({code})",
            str(report.texts),
            *(_number(report.passed(check)) for check in CHECKS),
            str(report.reviewed),
            str(levels.count("error")),
            str(levels.count("warning")),
        ]
        yield f"| {' | '.join(cells)} |"


def human_table(path: Path) -> Iterator[str]:
    """A row per language of MultiJail: the percent of its human translations that pass each check."""
    rows = [cells for _, cells in read_csv(path)]
    yield from _head("language", "texts", *CHECKS)
    for code in _MULTIJAIL:
        pairs = [(cells[code], cells["en"]) for cells in rows if cells[code].strip()]
        named = identify.identify(text for text, _ in pairs)
        rung = [{found.check for found in text_findings(text, english, code, named[text])} for text, english in pairs]
        passed = [_number(100 * (1 - sum(check in checks for checks in rung) / len(pairs))) for check in CHECKS]
        yield f"| {LANGUAGES[code].name} ({code}) | {len(pairs)} | {' | '.join(passed)} |"


def replaced(page: str, name: str, lines: Iterator[str]) -> str:
    """The page with a new table between the marks of `name`."""
    before, begin, rest = page.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not begin or not end:
        raise SystemExit(f"{PAGE}: has no marks <!-- {name} --> and <!-- end of {name} -->")
    return before + begin + "\n".join(lines) + "\n" + end + after


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    made = replaced(page, "shipped set", shipped_table())
    if arguments.data is not None:
        made = replaced(made, "human translations", human_table(arguments.data / "multijail" / "multijail.csv"))
    if arguments.check:
        return int(made != page)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
