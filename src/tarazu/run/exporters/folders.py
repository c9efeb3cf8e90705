"""What all exporters share: the results of a run's folder, and names of files that any system takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tarazu.errors import BadInput
from tarazu.results import Results, read_results

_NOT_PORTABLE = re.compile(r"[^A-Za-z0-9._-]+")
_RESERVED = re.compile(r"(data|con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 100


def results_of_run(run: Path) -> Results:
    """The results in the folder of a run or of an analysis. Raises BadInput."""
    if not (run / "results.json").is_file():
        raise BadInput(f"{run}: has no results.json; give the folder of `tarazu run`, or of `tarazu analyze --out`")
    return read_results(run / "results.json")


def portable(name: str) -> str:
    """The name as that of a folder or file on any system."""
    text = _NOT_PORTABLE.sub("-", name)[:_LONGEST].strip(".-")
    return f"arm-{text}" if not text or _RESERVED.fullmatch(text) else text


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A portable name for each name. They differ also on systems that do not tell capital letters from small ones."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = text = portable(name)
        number = 1
        while text.lower() in taken:
            number += 1
            text = f"{stem}-{number}"
        taken.add(text.lower())
        found[name] = text
    return found
