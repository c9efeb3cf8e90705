"""From the folders of several runs to pool.json and its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tarazu.errors import BadInput
from tarazu.files import atomic_directory, refuse_occupied, to_json, write_text
from tarazu.pool.model import Pool
from tarazu.pool.page import render_pool
from tarazu.pool.runs import pool_runs
from tarazu.results import read_results
from tarazu.results.model import Results


def pool_folders(folders: Sequence[Path], margin: float | None) -> Pool:
    """Pool the runs in `folders`. Raises BadInput where a folder has no results, or as `pool_runs` does."""
    runs: list[Results] = []
    for folder in folders:
        path = folder / "results.json"
        if not path.is_file():
            raise BadInput(f"{folder}: has no results.json; name the folder of a finished run, or of `tarazu analyze`")
        runs.append(read_results(path))
    return pool_runs(dict(zip(_names(folders, runs), runs, strict=True)), margin)


def _names(folders: Sequence[Path], runs: Sequence[Results]) -> list[str]:
    """Names that tell the runs apart: the folders', else their paths."""
    names = [folder.resolve().name for folder in folders]
    twice = {name for name, count in Counter(names).items() if count > 1}
    paths = [str(folder) if name in twice else name for folder, name in zip(folders, names, strict=True)]
    again = [name for name, count in Counter(paths).items() if count > 1]
    if again:
        raise BadInput(f"{again[0]}: named twice; give each run once")
    return paths


def pool_json(pool: Pool) -> str:
    """The text of pool.json. Equal pools give equal bytes."""
    return to_json(pool.model_dump(mode="json", by_alias=True))


def write_pool(pool: Pool, out: Path) -> None:
    """Write pool.json and pool.html to the folder `out`, which is new or empty."""
    refuse_occupied(out)
    with atomic_directory(out) as temporary:
        write_text(temporary / "pool.json", pool_json(pool))
        write_text(temporary / "pool.html", render_pool(pool))
