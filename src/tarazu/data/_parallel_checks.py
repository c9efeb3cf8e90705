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

PASS_PERCENT = 95.0
"""Percent of a file's texts that must pass each check whose findings are warnings. Below it the file has an error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A problem and its fix, found by a check in `path` at `line` (None: the complete file)."""

    path: Path
    line: int | None
    check: str
    level: Level
    message: str

    def __str__(self) -> str:
        where = str(self.path) if self.line is None else f"{self.path}: line {self.line}"
        return f"{where}: {self.level} ({self.check}): {self.message}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReport:
    """The results for a language's file. `texts` counts its texts, and `reviewed` its rows checked by a native speaker.
    `skipped` gives the reason for each check that could not run."""

    path: Path
    texts: int
    reviewed: int
    problems: tuple[Problem, ...]
    skipped: Mapping[str, str]

    def passed(self, check: str) -> float | None:
        """Percent of the texts that pass a check. None if it could not run, or if there are no texts."""
        if check in self.skipped or not self.texts:
            return None
        return 100 * (1 - sum(p.check == check and p.line is not None for p in self.problems) / self.texts)


def check_parallel(path: Path) -> list[FileReport]:
    """Check the folder of a set, or one `<code>.jsonl` of it. Returns a report for each file.

    The shipped set's index.csv and en.jsonl are used for a file without its own. Errors are defects of the file
    (fields, ids, provenance, empty or equal texts) and of its texts (`CHECKS`). A check whose findings are warnings
    gives the file an error if fewer than `PASS_PERCENT` percent of its texts pass.
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
        "bar": PASS_PERCENT,
        "checks": dict(CHECKS),
        "files": [
            {
                "path": str(report.path),
                "texts": report.texts,
                "reviewed": report.reviewed,
                "passed": {check: report.passed(check) for check in CHECKS},
                "skipped": dict(report.skipped),
                "problems": [
                    {"line": problem.line, "check": problem.check, "level": problem.level, "message": problem.message}
                    for problem in report.problems
                ],
            }
            for report in reports
        ],
    }


def _unreadable(path: Path, message: str) -> FileReport:
    problem = Problem(path=path, line=None, check="file", level="error", message=message.removeprefix(f"{path}: "))
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
        Problem(path=path, line=line, check=check, level="error", message=message)
        for line, check, message in _rows_problems(rows, ids, english)
    ]
    texts = list(_texts(rows, ids, english))
    skipped = {} if (reason := _unidentifiable(code)) is None else {"language": reason}
    identified = identify.identify(text for _, _, text, _ in texts) if not skipped else {}
    for line, name, text, original in texts:
        problems += [
            Problem(path=path, line=line, check=one.check, level=CHECKS[one.check], message=f"{name} {one.message}")
            for one in text_findings(text, original, code, identified.get(text))
        ]
    problems.sort(key=lambda problem: problem.line or 0)
    reviewed = sum(isinstance(row.get("reviewed"), str) for _, row in rows)
    report = FileReport(path=path, texts=len(texts), reviewed=reviewed, problems=tuple(problems), skipped=skipped)
    low_rates = tuple(_below_pass_percent(report))
    return FileReport(
        path=path, texts=len(texts), reviewed=reviewed, problems=low_rates + report.problems, skipped=skipped
    )


def _unidentifiable(code: str) -> str | None:
    """The reason why an identifier cannot recognise this language, or None."""
    if not identify.is_installed():
        return f"{identify.PACKAGE} is not installed: pip install 'tarazu[health]'"
    return None if code in identify.covered() else f"{identify.PACKAGE} does not know {LANGUAGES[code].name}"


def _below_pass_percent(report: FileReport) -> Iterator[Problem]:
    for check, level in CHECKS.items():
        passed = report.passed(check)
        if level == "warning" and passed is not None and passed < PASS_PERCENT:
            message = f"{passed:.0f} % of the texts pass, fewer than {PASS_PERCENT:.0f} %; look at the warnings"
            yield Problem(path=report.path, line=None, check=check, level="error", message=message)


def _texts(
    rows: list[tuple[int, dict[str, Any]]], ids: Mapping[str, Entry], english: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[int, str, str, str]]:
    """(line, field, text, English original) of every text that can be checked. English is its own original."""
    for line, row in rows:
        if row.get("id") in ids:
            for name in TEXTS:
                text = row.get(name)
                if isinstance(text, str) and text.strip():
                    yield line, name, text, english.get(row["id"], {}).get(name, text)


def _rows_problems(
    rows: list[tuple[int, dict[str, Any]]], ids: Mapping[str, Entry], english: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[int | None, str, str]]:
    """(line, check, message with the fix) for ids, fields, provenance, missing texts and equal texts."""
    seen: dict[str, int] = {}
    renderings: dict[tuple[str, str], str] = {}
    for line, row in rows:
        row_id = row.get("id")
        if not isinstance(row_id, str) or row_id not in ids:
            yield line, "ids", f"the id {row_id!r} is not in index.csv; use the ids of the English rows"
            continue
        if row_id in seen:
            yield line, "ids", f"the id '{row_id}' is also in line {seen[row_id]}; keep one"
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
                yield line, "fields", f"{name} is empty or not a text; translate it"
                continue
            # Prompts must all differ. Answers must differ where the English ones do.
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
    """The number of errors and of warnings."""
    return Counter(problem.level for report in reports for problem in report.problems)
