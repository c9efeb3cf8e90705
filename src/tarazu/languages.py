"""The 50 languages of XTREME-R, and the facts about them that a study needs."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files

TASKS = (
    "xnli",
    "xcopa",
    "udpos",
    "wikiann",
    "xquad",
    "mlqa",
    "tydiqa",
    "mewslix",
    "lareqa",
    "tatoeba",
    "multichecklist",
)
"""XTREME-R's tasks (Ruder et al. 2021) and MultiCheckList."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """One language. `script` is an ISO 15924 code. `common_crawl_pages` counts pages of CC-MAIN-2018-34."""

    code: str
    iso639_3: str
    name: str
    endonym: str
    family: str
    script: str
    common_crawl_pages: int
    joshi_class: int
    tasks: frozenset[str]


def _read() -> dict[str, Language]:
    text = files("tarazu").joinpath("languages.csv").read_text(encoding="utf-8")
    return {
        row["code"]: Language(
            code=row["code"],
            iso639_3=row["iso639_3"],
            name=row["name"],
            endonym=row["endonym"],
            family=row["family"],
            script=row["script"],
            common_crawl_pages=int(row["common_crawl_pages"]),
            joshi_class=int(row["joshi_class"]),
            tasks=frozenset(task for task in TASKS if row[task] == "1"),
        )
        for row in csv.DictReader(text.splitlines())
    }


LANGUAGES: dict[str, Language] = _read()
"""Languages by two-letter code, sorted."""


def by_task(task: str) -> tuple[str, ...]:
    """Codes of the languages of an XTREME-R task, sorted."""
    return tuple(code for code, language in LANGUAGES.items() if task in language.tasks)
