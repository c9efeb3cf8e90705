"""Bring a site up to date with what a build made beside it: by renames, and only where something differs."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tarazu.site.publish import RECORDS


def replace_site(new: Path, out: Path, places: Mapping[str, str | None], old: Path) -> int:
    """Make `out` the site whose lists and new records are in `new`. Returns the number of files that were written,
    those of records aside.

    `places` has the SRCH id of each record of the site, and the name of its folder in `new`, or None if the record in
    `out` is up to date. What is replaced goes to `old`, a new folder. A kill leaves a mixture of both sites. The next
    build completes it, because it builds each record whose files are not those that the last complete build made.
    """
    if not out.exists():
        written = len(_files(new))
        _place_records(new, new, places, old)
        os.replace(new, out)
        return written
    _place_records(new, out, places, old)
    made = _files(new)
    for place in _files(out) - made:
        (out / place).unlink()
    written = 0
    for place in sorted(made):
        if not _is_same(new / place, out / place):
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            os.replace(new / place, out / place)
            written += 1
    for folder, _, _ in os.walk(out, topdown=False):
        path = Path(folder)
        if RECORDS not in path.relative_to(out).parts[:1] and not any(path.iterdir()):
            path.rmdir()
    return written


def _place_records(new: Path, out: Path, places: Mapping[str, str | None], old: Path) -> None:
    old.mkdir()
    records = out / RECORDS
    records.mkdir(exist_ok=True)
    moved = set(places.values())
    for path in list(records.iterdir()):
        if path.name not in places and not (new is out and path.name in moved):
            os.replace(path, old / path.name)
    for srch_id, name in places.items():
        if name is not None:
            if (records / srch_id).exists():
                os.replace(records / srch_id, old / srch_id)
            os.replace(new / RECORDS / name, records / srch_id)


def _files(root: Path) -> set[Path]:
    """Paths below `root` of all files except those of records. Links are not followed."""
    found = set()
    for folder, folders, files in os.walk(root):
        place = Path(folder).relative_to(root)
        links = [name for name in folders if Path(folder, name).is_symlink()]
        found |= {place / name for name in (*files, *links)}
        if place == Path():
            folders[:] = [name for name in folders if name != RECORDS]
    return found


def _is_same(one: Path, other: Path) -> bool:
    """Whether the two files are equal. A folder in the place of `other` is removed."""
    if other.is_dir() and not other.is_symlink():
        shutil.rmtree(other)
    return other.is_file() and not other.is_symlink() and filecmp.cmp(one, other, shallow=False)
