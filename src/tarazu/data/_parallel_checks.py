"""Checks of a parallel set's files: `tarazu languages --check` (docs/parallel-set.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tarazu.data import identify
from tarazu.data._parallel_set import (
    FIELDS,
    SHIPPED,
    TEXTS,
    Entry,
    language_files,
    provenance_problem,
    read_index,
    read_texts,
)
from tarazu.data._sources import is_folder
from tarazu.data._text_checks import CHECKS, Level, text_findings
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES
from tarazu.readers import read_jsonl

BAR = 95.0
"""Percent of a file's texts that must pass each check whose findings are warnings; below it the file has an error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing to mend or to look at: in `path` at `line` (None: the file as a whole), by a check, with the mend."""

    path: Path
    line: int | None
    check: str
    level: Level
    told: str

    def __str__(self) -> str:
        where = str(self.path) if self.line is None else f"{self.path}: line {self.line}"
        return f"{where}: {self.level} ({self.check}): {self.told}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReport:
    """What was found in a language's file. `texts` counts its texts, `reviewed` its rows that a native speaker checked;
    `skipped` says of checks that could not be made why."""

    path: Path
    texts: int
    reviewed: int
    problems: tuple[Problem, ...]
    skipped: Mapping[str, str]

    def passed(self, check: str) -> float | None:
        """Percent of the texts that pass a check; None where it could not be made, or there is no text."""
        if check in self.skipped or not self.texts:
            return None
        return 100 * (1 - sum(p.check == check and p.line is not None for p in self.problems) / self.texts)


def check_parallel(path: Path) -> list[FileReport]:
    """Check a set's folder, or one `<code>.jsonl` of it; a report per file.

    Where a file has no index.csv or en.jsonl beside it, those of the shipped set are used. Errors are defects of the
    file (fields, ids, provenance, empty or equal texts) and of its texts (`CHECKS`); a check whose findings are
    warnings is an error of the file where fewer than `BAR` percent of its texts pass.
    """
    if not is_folder(path):
        return [_report(path)]
    try:
        return [_report(file) for file in language_files(path).values()]
    except BadInput as error:
        return [_unreadable(path, str(error))]


def report_json(reports: list[FileReport]) -> dict[str, Any]:
    """The reports as `tarazu languages --check --json` prints them."""
    return {
        "bar": BAR,
        "checks": dict(CHECKS),
        "files": [
            {
                "path": str(report.path),
                "texts": report.texts,
                "reviewed": report.reviewed,
                "passed": {check: report.passed(check) for check in CHECKS},
                "skipped": dict(report.skipped),
                "problems": [
                    {"line": problem.line, "check": problem.check, "level": problem.level, "told": problem.told}
                    for problem in report.problems
                ],
            }
            for report in reports
        ],
    }


def _unreadable(path: Path, told: str) -> FileReport:
    told = told.removeprefix(f"{path}: ")
    problem = Problem(path=path, line=None, check="file", level="error", told=told)
    return FileReport(path=path, texts=0, reviewed=0, problems=(problem,), skipped={})


def _beside(path: Path, name: str) -> Path:
    neighbour = path.parent / name
    return neighbour if neighbour.is_file() else SHIPPED / name


def _report(path: Path) -> FileReport:
    code = path.name.removesuffix(".jsonl")
    if code not in LANGUAGES or path.suffix != ".jsonl":
        return _unreadable(
            path, "the name must be <code>.jsonl with one of the 50 codes (`tarazu languages` lists them)"
        )
    try:
        ids = read_index(_beside(path, "index.csv").parent)
        english = read_texts(_beside(path, "en.jsonl"), ids) if code != "en" else {}
        rows = list(read_jsonl(path))
    except BadInput as error:
        return _unreadable(path, str(error))
    problems = [
        Problem(path=path, line=line, check=check, level="error", told=told)
        for line, check, told in _rows_problems(rows, ids, english)
    ]
    texts = list(_texts(rows, ids, english))
    skipped = {} if (reason := _unidentifiable(code)) is None else {"language": reason}
    named = identify.identify(text for _, _, text, _ in texts) if not skipped else {}
    for line, name, text, original in texts:
        problems += [
            Problem(path=path, line=line, check=found.check, level=CHECKS[found.check], told=f"{name} {found.told}")
            for found in text_findings(text, original, code, named.get(text))
        ]
    problems.sort(key=lambda problem: problem.line or 0)
    reviewed = sum(isinstance(row.get("reviewed"), str) for _, row in rows)
    report = FileReport(path=path, texts=len(texts), reviewed=reviewed, problems=tuple(problems), skipped=skipped)
    below = tuple(_below_bar(report))
    return FileReport(path=path, texts=len(texts), reviewed=reviewed, problems=below + report.problems, skipped=skipped)


def _unidentifiable(code: str) -> str | None:
    """Why an identifier cannot name this language; None where it can."""
    if not identify.is_installed():
        return f"{identify.PACKAGE} is not installed: pip install 'tarazu[health]'"
    return None if code in identify.covered() else f"{identify.PACKAGE} does not know {LANGUAGES[code].name}"


def _below_bar(report: FileReport) -> Iterator[Problem]:
    for check, level in CHECKS.items():
        passed = report.passed(check)
        if level == "warning" and passed is not None and passed < BAR:
            told = f"{passed:.0f} % of the texts pass, fewer than {BAR:.0f} %; look at the warnings"
            yield Problem(path=report.path, line=None, check=check, level="error", told=told)


def _texts(
    rows: list[tuple[int, dict[str, Any]]], ids: Mapping[str, Entry], english: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[int, str, str, str]]:
    """(line, field, text, its English original) of every text that can be checked; English is its own original."""
    for line, row in rows:
        if row.get("id") in ids:
            for name in TEXTS:
                text = row.get(name)
                if isinstance(text, str) and text.strip():
                    yield line, name, text, english.get(row["id"], {}).get(name, text)


def _rows_problems(
    rows: list[tuple[int, dict[str, Any]]], ids: Mapping[str, Entry], english: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[int | None, str, str]]:
    """(line, check, what to mend) of ids, fields, provenance, missing and equal texts."""
    seen: dict[str, int] = {}
    renderings: dict[tuple[str, str], str] = {}
    for line, row in rows:
        row_id = row.get("id")
        if not isinstance(row_id, str) or row_id not in ids:
            yield line, "ids", f"the id {row_id!r} is not in index.csv; use the ids of the English rows"
            continue
        if row_id in seen:
            yield line, "ids", f"the id '{row_id}' stands also in line {seen[row_id]}; leave one"
            continue
        seen[row_id] = line
        extra = ", ".join(f"'{name}'" for name in row if name not in FIELDS)
        if extra:
            yield line, "fields", f"unknown field {extra}; a row has {', '.join(FIELDS)}"
        wrong = provenance_problem(row)
        if wrong is not None:
            yield line, "provenance", wrong
        for name in TEXTS:
            text = row.get(name)
            if not isinstance(text, str) or not text.strip():
                yield line, "fields", f"{name} is empty or no text; translate it"
                continue
            # Two prompts are never the same; answers must differ where the English ones do.
            other = renderings.setdefault((name, text), row_id)
            originals = [english.get(one, {}).get(name, text) for one in (other, row_id)]
            if other != row_id and (name == "prompt" or originals[0] != originals[1]):
                yield line, "duplicates", f"{name} is the same text as in '{other}'; translate each"
        if row.get("good") == row.get("bad") and isinstance(row.get("good"), str):
            yield line, "duplicates", "good and bad are the same text; translate each"
    for row_id in ids:
        if row_id not in seen:
            yield None, "ids", f"has no row '{row_id}'; translate it"


def count_levels(reports: list[FileReport]) -> Counter[Level]:
    """How many errors and how many warnings there are."""
    return Counter(problem.level for report in reports for problem in report.problems)
