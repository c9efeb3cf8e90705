"""Responses in shards: what is finished when a run is killed is kept, and no shard is half there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import astuple
from pathlib import Path

from tarazu.files import reset_scratch, write_text
from tarazu.progress import ReportProgress
from tarazu.respond.engine import Engine, Request, Response

SHARD = 512
"""Requests of a shard: a kill loses less than that, and a batch of them is large."""

Opener = Callable[[], AbstractContextManager[Engine]]


def shard_files(requests: int, size: int = SHARD) -> list[str]:
    """Names of the files that the shards of so many requests are written to."""
    return [f"{number:05d}.json" for number in range(-(-requests // size))]


def answer_in_shards(
    open_engine: Opener,
    requests: Sequence[Request],
    *,
    folder: Path,
    of: str,
    progress: ReportProgress,
    size: int = SHARD,
) -> tuple[list[Response], dict[str, int]]:
    """A response to each request, in the order given, and counts of what a reader should know.

    Each shard is written whole to `folder` when it is answered, and not asked for again. `of` is a digest of all that
    responses hang on: shards of anything else are cleared away. Which requests make a shard hangs on their lengths
    alone, so a run that was killed answers the same shards as one that was not, and the same way. The engine is opened
    where a shard is missing.
    """
    reset_scratch(folder, of)
    found: list[Response | None] = [None] * len(requests)
    notes: Counter[str] = Counter()
    shards = _shards(requests, size)
    with ExitStack() as stack:
        engine: Engine | None = None
        for number, (name, indices) in enumerate(zip(shard_files(len(requests), size), shards, strict=True)):
            if not (folder / name).exists():
                engine = engine or stack.enter_context(open_engine())
                before = number * size
                _answer(engine, requests, indices, folder / name, _counted(progress, before, len(requests)))
            shard = json.loads((folder / name).read_text(encoding="utf-8"))
            notes.update(shard["notes"])
            for i, (text, finish, tokens) in zip(indices, shard["responses"], strict=True):
                found[i] = Response(text=text, finish=finish, tokens=tokens)
    return [one for one in found if one is not None], dict(notes)


def answer_shard(
    open_engine: Opener,
    requests: Sequence[Request],
    number: int,
    *,
    folder: Path,
    progress: ReportProgress,
    size: int = SHARD,
) -> None:
    """Answer one shard of `requests` into `folder`, which must be cleared of shards of anything else."""
    indices = _shards(requests, size)[number]
    with open_engine() as engine:
        _answer(engine, requests, indices, folder / shard_files(len(requests), size)[number], progress)


def _shards(requests: Sequence[Request], size: int) -> list[list[int]]:
    """Indices of each shard's requests."""
    # Longest first: requests of a shard are alike, and what does not fit into memory is known at once.
    order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].ids) - requests[i].budget, i))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _answer(
    engine: Engine, requests: Sequence[Request], indices: Sequence[int], path: Path, progress: ReportProgress
) -> None:
    responses, counts = engine.answer([requests[i] for i in indices], progress)
    told = {"responses": [astuple(one) for one in responses], "notes": counts}
    write_text(path, json.dumps(told, ensure_ascii=False))


def _counted(progress: ReportProgress, before: int, total: int) -> ReportProgress:
    return lambda done, _, state: progress(before + done, total, state)
