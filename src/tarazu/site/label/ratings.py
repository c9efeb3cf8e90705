"""The table of ratings: one row per rating, appended and on the disk before the rater sees the next response.

A rater's newest row for a response counts. Beside the table lies its design: how many responses were drawn, and
of how many.
"""

from __future__ import annotations

import codecs
import csv
import fcntl
import io
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tarazu.errors import BadInput
from tarazu.files import naming_refused_writes, write_json
from tarazu.site.label.sample import Key, Sample

HEADER: Final = (*Key._fields, "rater", "label")
_LABELS: Final[Mapping[str, int | None]] = {"1": 1, "0": 0, "": None}


class Ratings:
    """The ratings of one rater in a table that several may share."""

    def __init__(self, path: Path, rater: str) -> None:
        """Open the table, or begin it. A row that a crash left incomplete is removed.

        Raises BadInput if the file is not such a table.
        """
        self.path = path
        self._rater = rater
        self._lock = threading.Lock()
        with naming_refused_writes(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked() as descriptor:
                data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
                complete = _complete(path, data)
                rows = list(_rows(path, data[:complete]))
                if complete < len(data):
                    os.ftruncate(descriptor, complete)
                if not complete:
                    _append(descriptor, HEADER)
        self._labels: dict[Key, int | None] = {key: label for key, name, label in rows if name == rater}
        self.rated_strata = {key.stratum for key, _, _ in rows}
        """Strata of which anybody has rated a response."""

    def __contains__(self, key: Key) -> bool:
        return key in self._labels

    def label(self, key: Key) -> int | None:
        """The rater's newest label of a rated response: 1, 0, or None for `cannot tell`."""
        return self._labels[key]

    def add(self, key: Key, label: int | None) -> None:
        """Append a rating. It is on the disk when this returns. Raises TarazuError if it cannot be written."""
        row = (*key, self._rater, "" if label is None else label)
        with self._lock:
            with naming_refused_writes(self.path), self._locked() as descriptor:
                _append(descriptor, row)
            self._labels[key] = label

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The open file, which no other rater's program changes meanwhile."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _append(descriptor: int, row: tuple[Any, ...]) -> None:
    """Append a row and wait until it is on the disk. A row that does not fit is taken back."""
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(row)
    data = line.getvalue().encode()
    before = os.fstat(descriptor).st_size
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def _complete(path: Path, data: bytes) -> int:
    """How many bytes of a table its complete rows take: a crash can leave part of a row. Raises BadInput if the file is
    something else, which must not be changed."""
    first = data.removeprefix(codecs.BOM_UTF8).split(b"\n", 1)[0].rstrip(b"\r")
    header = ",".join(HEADER).encode()
    if first != header and not (b"\n" not in data and header.startswith(first)):
        raise BadInput(
            f"{path}: is not a table of ratings, whose first line is {','.join(HEADER)}; choose another --out"
        )
    end = 0
    quoted = False
    for match in re.finditer(rb'["\n]', data):
        if match.group() == b'"':
            quoted = not quoted
        elif not quoted:
            end = match.end()
    return end


def _rows(path: Path, data: bytes) -> Iterator[tuple[Key, str, int | None]]:
    """Key, rater and label of each row. Raises BadInput."""
    try:
        text = data.decode("utf-8-sig")
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        next(lines, None)
        for row in lines:
            if len(row) != len(HEADER):
                raise BadInput(f"{path}: line {lines.line_num}: has {len(row)} cells; it needs {len(HEADER)}")
            arm, language, kind, prompt_id, seed, sample, rater, label = row
            if not (seed.isdecimal() and sample.isdecimal()):
                raise BadInput(f"{path}: line {lines.line_num}: seed and sample must be whole numbers")
            if label not in _LABELS:
                raise BadInput(f"{path}: line {lines.line_num}: label must be 1, 0 or empty, not '{label[:20]}'")
            yield Key(arm, language, kind, prompt_id, int(seed), int(sample)), rater, _LABELS[label]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: is not a table of ratings: {error}; choose another --out") from None


def design_path(table: Path) -> Path:
    return table.with_suffix(".design.json")


def write_design(ratings: Ratings, sample: Sample) -> None:
    """Write the sample's design beside the table.

    Raises BadInput if the table has ratings of other texts than those of this run: ratings name a response by its key,
    and the run was made again since.
    """
    path = design_path(ratings.path)
    earlier = _earlier_digests(path)
    for stratum in sample.strata:
        key = (stratum.arm, stratum.language, stratum.kind)
        if key in ratings.rated_strata and earlier.get(key, stratum.sha256) != stratum.sha256:
            raise BadInput(
                f"{ratings.path}: rates {stratum.arm}'s {stratum.kind} responses in {stratum.language} of an earlier "
                "state of this run, whose texts were others; move the file away, or name another with --out"
            )
    kept = {key: digest for key, digest in earlier.items() if key in ratings.rated_strata}
    current = {(one.arm, one.language, one.kind) for one in sample.strata}
    write_json(
        path,
        {
            "seed": sample.seed,
            "per_cell": sample.per_cell,
            "strata": [asdict(one) for one in sample.strata],
            "rated_earlier": [
                {"arm": arm, "language": language, "kind": kind, "sha256": digest}
                for (arm, language, kind), digest in sorted(kept.items())
                if (arm, language, kind) not in current
            ],
        },
    )


def _earlier_digests(path: Path) -> dict[tuple[str, str, str], str]:
    if not path.exists():
        return {}
    try:
        design = json.loads(path.read_text(encoding="utf-8"))
        rows = [*design["strata"], *design["rated_earlier"]]
        return {(row["arm"], row["language"], row["kind"]): row["sha256"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"{path}: is not the design of a sample; remove it or choose another --out") from None
