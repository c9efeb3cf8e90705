"""Whether a folder has changed: by the file system's word, and by its files' contents."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tarazu.files import digest, file_sha256

_MOST_ENTRIES: Final = 20_000
"""A folder with more entries has no signature. No record has so many, so that it is always read anew."""
_DEEPEST: Final = 64


def signature(folder: Path) -> str | None:
    """A digest of names, kinds, sizes, times and inodes of the folder's files. None if it cannot be taken.

    Every usual way to change a file changes its time of change, which a program cannot set. No file is opened.
    """
    lines = hashlib.sha256()
    try:
        for path, status in sorted(_entries(folder)):
            times = "" if stat.S_ISDIR(status.st_mode) else f"{status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
            size = "" if stat.S_ISDIR(status.st_mode) else status.st_size
            lines.update(os.fsencode(path) + f"\0{status.st_mode} {size} {times}\n".encode())
    except (OSError, _TooMany):
        return None
    return lines.hexdigest()


def content(folder: Path, most_bytes: int) -> str | None:
    """A digest of names and contents of the folder's files. None if it is not a folder of plain files with at most
    `most_bytes` together."""
    try:
        files = {path: status for path, status in _entries(folder) if not stat.S_ISDIR(status.st_mode)}
        if not all(stat.S_ISREG(one.st_mode) for one in files.values()):
            return None
        if sum(one.st_size for one in files.values()) > most_bytes:
            return None
        return digest({os.fsencode(path).hex(): file_sha256(folder / path) for path in files})
    except (OSError, _TooMany):
        return None


class _TooMany(Exception):
    """The folder has more entries, or deeper ones, than any record."""


def _entries(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The path below `root` and the status of each file and folder. Links are not followed."""
    pending = [("", 1)]
    count = 0
    while pending:
        folder, level = pending.pop()
        if level > _DEEPEST:
            raise _TooMany
        with os.scandir(root / folder) as scan:
            for entry in scan:
                count += 1
                if count > _MOST_ENTRIES:
                    raise _TooMany
                path = f"{folder}/{entry.name}" if folder else entry.name
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append((path, level + 1))
                yield path, status
