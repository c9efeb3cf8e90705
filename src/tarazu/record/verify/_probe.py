"""Runs inside the sandbox: `python -m tarazu.record.verify._probe SCRIPT INPUTS OUT` calls SCRIPT on other scores.

Every reward or label in scores.parquet is replaced at random by a value far above or far below any threshold. A script
that still gives the same results does not compute them from the scores.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCORES = "scores.parquet"
_FAR = 10.0


def main(script: str, inputs: Path, out: str) -> None:
    changed = Path(os.environ["TMPDIR"]) / "inputs"
    shutil.copytree(inputs, changed)
    os.chmod(changed, 0o755)
    path = changed / SCORES
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(_randomized(table), path)
    os.execv(sys.executable, [sys.executable, script, str(changed), out])


def _randomized(table: pa.Table) -> pa.Table:
    coins = np.random.default_rng(0).integers(0, 2, table.num_rows)
    for name in ("reward", "label"):
        if name not in table.column_names:
            continue
        column = table.column(name)
        known = np.asarray(column.is_valid())
        size = np.abs(np.nan_to_num(column.to_numpy(zero_copy_only=False).astype(float))) + _FAR
        new = coins if name == "label" else np.where(coins == 1, size, -size)
        values = pa.array(new, mask=~known).cast(column.type)
        table = table.set_column(table.column_names.index(name), name, values)
    return table


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
