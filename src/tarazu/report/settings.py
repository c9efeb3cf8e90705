"""The settings of a study with the origin of each, and what is needed to reproduce a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from tarazu.report.text import plain
from tarazu.study import Study
from tarazu.study.schema import flatten

_NO_SETTING = ("sources.", "reference.", "title", "caution")


def setting_rows(study: Study | None, lock: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Every setting: key, value, where it came from, and (for a study that follows a publication) why."""
    if study is None:
        return []
    origins = (lock or {}).get("origins", {})
    rows = []
    for key, value in flatten(study.model_dump(mode="json", by_alias=True)).items():
        if key.startswith(_NO_SETTING) or key in ("sources", "reference"):
            continue
        source = study.origin_of(key) if study.sources else None
        rows.append(
            {
                "key": key,
                "value": plain(value),
                "origin": origins.get(key, "default" if lock else "not recorded"),
                "tag": source.tag if source else "",
                "note": source.note if source else "",
            }
        )
    return rows


def run_command(study: Study | None, lock: Mapping[str, Any] | None) -> str | None:
    """The command that runs the study again, with the overrides of this run."""
    if study is None or lock is None:
        return None
    settings = flatten(study.model_dump(mode="json", by_alias=True))
    overrides = [
        f"--set {shlex.quote(f'{key}={plain(settings[key])}')}"
        for key, origin in lock.get("origins", {}).items()
        if origin == "--set" and key in settings
    ]
    return " ".join([f"tarazu run {study.name}", *overrides])


def machine_rows(lock: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Versions and hardware, as the lock file has them."""
    if lock is None:
        return []
    hardware = [(name.replace("_gib", " (GiB)"), _words(value)) for name, value in lock.get("hardware", {}).items()]
    return [*hardware, *((name, str(value)) for name, value in lock.get("versions", {}).items())]


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
