"""Responses in shards: what is finished when a run is killed is kept, and no shard is half there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import astuple
from pathlib import Path

from tarazu.files import clear_unless, write_text
from tarazu.respond.engine import Engine, Progress, Request, Response

SHARD = 512
"""Requests of a shard: a kill loses less than that, and a batch of them is large."""


def answer_in_shards(
    open_engine: Callable[[], AbstractContextManager[Engine]],
    requests: Sequence[Request],
    *,
    folder: Path,
    of: str,
    progress: Progress,
    size: int = SHARD,
) -> tuple[list[Response], dict[str, int]]:
    """A response to each request, in the order given, and counts of what a reader should know.

    Each shard is written whole to `folder` when it is answered, and not asked for again. `of` is a digest of all that
    responses hang on: shards of anything else are cleared away. Which requests make a shard hangs on their lengths
    alone, so a run that was killed answers the same shards as one that was not, and the same way. The engine is opened
    where a shard is missing.
    """
    clear_unless(folder, of)
    # Longest first: requests of a shard are alike, and what does not fit into memory is known at once.
    order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].ids) - requests[i].budget, i))
    found: list[Response | None] = [None] * len(requests)
    notes: Counter[str] = Counter()
    with ExitStack() as stack:
        engine: Engine | None = None
        for start in range(0, len(order), size):
            indices = order[start : start + size]
            path = folder / f"{start // size:05d}.json"
            if not path.exists():
                engine = engine or stack.enter_context(open_engine())
                responses, counts = engine.answer(
                    [requests[i] for i in indices],
                    lambda done, _, state, start=start: progress(start + done, len(order), state),  # type: ignore[misc]
                )
                told = {"responses": [astuple(one) for one in responses], "notes": counts}
                write_text(path, json.dumps(told, ensure_ascii=False))
            shard = json.loads(path.read_text(encoding="utf-8"))
            notes.update(shard["notes"])
            for i, (text, finish, tokens) in zip(indices, shard["responses"], strict=True):
                found[i] = Response(text=text, finish=finish, tokens=tokens)
    return [one for one in found if one is not None], dict(notes)
