"""Several runs pooled in one record: pool.json, and the files from which the other runs are analysed again.

The record is that of the first pooled run. `runs/2/`, `runs/3/` and so on hold what the package's analysis reads of the
others, with their results.json. For pointers, pool.json stands at `/pool`, and the other runs' results at `/pool_runs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from tarazu.errors import BadInput
from tarazu.pool.model import Pool
from tarazu.pool.runs import pool_runs
from tarazu.results import results_of
from tarazu.results.model import Results

POOL: Final = "pool.json"
PAGE: Final = "pool.html"
MOST_RUNS: Final = 10
"""Each is analysed again."""
_LONGEST_NAME: Final = 200
_WIDEST: Final = 1e4
"""Points. No rate changes by more than 100; a chart of wider numbers shows nothing."""


def run_folder(position: int) -> str:
    """The folder of the run at a position of the pool, counted from 1. The first run is the record itself."""
    return f"runs/{position}"


def is_of_other(path: str) -> bool:
    """Whether a file of a record with a pool is one of the runs beside the record's own."""
    return path.startswith("runs/")


def other_runs(pool: Pool) -> range:
    """The positions of the runs beside the record's own."""
    return range(2, len(pool.runs) + 1)


def why_not(pool: Pool) -> str | None:
    """Why a record cannot hold this pool; None if it can."""
    names = [run.name for run in pool.runs]
    if pool.excluded:
        return f"{pool.excluded[0].name[:_LONGEST_NAME]!r} is excluded; pool again without it"
    if not 2 <= len(names) <= MOST_RUNS:
        return f"pools {len(names)} runs; a record holds 2 to {MOST_RUNS}"
    if len(set(names)) < len(names) or max(map(len, names)) > _LONGEST_NAME:
        return f"the runs need names of their own, of at most {_LONGEST_NAME} characters; pool again"
    return None


def can_be_drawn(pool: Pool) -> bool:
    """Whether a forest plot can show the pool's numbers."""
    spread, mean = pool.heterogeneity, pool.pooled
    numbers = [mean.estimate, mean.ci_low, mean.ci_high, mean.margin, spread.prediction_low, spread.prediction_high]
    numbers += [number for run in pool.runs for number in (run.estimate, run.ci_low, run.ci_high)]
    return all(number is None or abs(number) < _WIDEST for number in numbers)


def with_pool(document: Mapping[str, JsonValue], pool: JsonValue, others: Sequence[JsonValue]) -> dict[str, JsonValue]:
    """A run's results for pointers, with the pool and the other runs' results."""
    return {**document, "pool": pool, "pool_runs": list(others)}


def pooled_again(
    pool: Pool, first: Mapping[str, JsonValue], others: Sequence[Mapping[str, JsonValue]]
) -> dict[str, JsonValue]:
    """The first run's results with the pool that follows from all runs' results, under the names and the margin of
    `pool`. Raises BadInput where they cannot be pooled."""
    runs: dict[str, Results] = {
        run.name: results_of(document, run.name) for run, document in zip(pool.runs, (first, *others), strict=True)
    }
    made = pool_runs(runs, pool.pooled.margin)
    return with_pool(first, made.model_dump(mode="json", by_alias=True), [dict(one) for one in others])


def check_same(pool: Pool, runs: Sequence[Results], file: str) -> None:
    """Raise BadInput unless the pool is that of these runs."""
    if len(runs) != len(pool.runs):
        raise BadInput(f"{file}: pools {len(pool.runs)} runs, and {len(runs)} are given; name each once with --run")
    named = dict(zip((run.name for run in pool.runs), runs, strict=True))
    if pool_runs(named, pool.pooled.margin) != pool:
        raise BadInput(
            f"{file}: is not the pool of these runs in this order; name them as `tarazu pool` did, or pool again"
        )
