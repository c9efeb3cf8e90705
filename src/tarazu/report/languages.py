"""The languages of a report, with the order and names that every table and chart uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tarazu.results.model import GROUPS, Results

NEITHER = "neither"
"""The group of a language that is in neither: it has rates, but is not part of the comparison of groups."""


@dataclass(frozen=True, kw_only=True)
class ReportLanguage:
    """A language that has scores."""

    code: str
    name: str
    group: str

    @property
    def label(self) -> str:
        return f"{self.name} ({self.code})"


def report_languages(results: Results) -> list[ReportLanguage]:
    """High-resource languages first, those of neither group last; within a group by falling CAS of the base arm, so
    that rows of charts line up."""
    base = results.arms[results.base_arm].languages

    def place(code: str) -> tuple[float, str]:
        value = base[code].CAS.value if code in base else None
        return (-value if value is not None else 1.0, code)

    members: dict[str, Sequence[str]] = {group: results.groups.of(group) for group in GROUPS}
    grouped = {code for codes in members.values() for code in codes}
    members[NEITHER] = [code for code in base if code not in grouped]
    return [
        ReportLanguage(code=code, name=results.name(code), group=group)
        for group, codes in members.items()
        for code in sorted(codes, key=place)
    ]
