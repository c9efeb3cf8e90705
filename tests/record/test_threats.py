"""docs/threats.md names every attack of the review, and each of its tests exists."""

from __future__ import annotations

import re
from pathlib import Path

from hostile_records.everything import ALL

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
ATTACKS = 31


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| no.", "| ---"))]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_attack_has_a_row() -> None:
    assert {int(row[0]) for row in rows() if row[0].isdigit()} == set(range(1, ATTACKS + 1))
    assert {record.attack for record in ALL} <= set(range(ATTACKS + 1))


def test_every_test_on_the_page_exists() -> None:
    tests = list((ROOT / "tests").rglob("test_*.py"))
    functions = {
        name for file in tests for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    known = functions | {record.name for record in ALL} | {file.name for file in tests}
    named = [name.rpartition("/")[2] for row in rows() for name in re.findall(r"`([\w./-]+)`", row[-1])]
    assert len(named) > ATTACKS
    assert [name for name in named if name not in known] == []
