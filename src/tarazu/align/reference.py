"""Log-probabilities of the model that alignment starts from: computed once, stored, used again.

They depend on the weights, on the pairs' tokens (and so on truncation) and on the precision and machine of the
arithmetic; on nothing else. So a store is found by these, and serves every beta, seed, schedule, loss and adapter that
starts from the same model, and a run that goes on after a kill. Rows are packed in an order and to a size of their own,
so that the numbers are the same to the bit whatever asks for them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor

from tarazu.align.attention import attending_within_trees
from tarazu.align.forward import branch_log_probs, can_be_packed, to_device
from tarazu.align.memory import keeping_freed_memory
from tarazu.align.packing import Document, pack, pad, row_multiple
from tarazu.align.processes import from_leader
from tarazu.align.tokens import TokenPair
from tarazu.errors import BadInput
from tarazu.files import atomic_file, digest
from tarazu.progress import OnProgress

_ROW_TOKENS = 2048
_SAVE_SECONDS = 60.0
_SCHEMA = pa.schema([("pair", pa.string()), ("chosen", pa.float64()), ("rejected", pa.float64())])

Known = dict[str, tuple[float, float]]
"""Log-probabilities of chosen and rejected, by the pair's name."""


def reference_log_probs(
    model: Any,
    pairs: Sequence[TokenPair],
    *,
    pad_id: int,
    progress: OnProgress,
    half: bool = False,
    store: Path | None = None,
    facts: Any = None,
) -> Tensor:
    """Log-probabilities (pairs, 2) of chosen and rejected under the model as it is, dropout off, in float64.

    With an adapter to come, that is the model with the adapter switched off. `half`: arithmetic in bfloat16 on CUDA.
    `store` is a folder to find them in or keep them in; `facts` (JSON) is what they hang on beside weights, tokens and
    `half`: the machine and the versions. Raises BadInput for a store that lacks a row or holds one of another pair.
    """
    names = [pair_name(pair) for pair in pairs]
    by_name = dict(zip(names, pairs, strict=True))
    path = None if store is None else store / f"{_key(model, sorted(by_name), half, facts)}.parquet"
    known = from_leader(lambda: _read(path, by_name))
    todo = [name for name in by_name if name not in known]
    if todo:
        _compute(model, {name: by_name[name] for name in todo}, known, path, half, pad_id, progress)
    return torch.tensor([known[name] for name in names], dtype=torch.float64)


def pair_name(pair: TokenPair) -> str:
    """SHA-256 of a pair's tokens."""
    return digest([pair.prompt, pair.chosen, pair.rejected])


def _key(model: Any, names: Sequence[str], half: bool, facts: Any) -> str:
    return digest({"weights": weights_sha256(model), "pairs": names, "half": half, "facts": facts})[:40]


def weights_sha256(model: Any) -> str:
    """SHA-256 of a model's weights: names, types, shapes and bytes."""
    found = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _part(path: Path) -> Path:
    return path.with_suffix(".part")


def _read(path: Path | None, pairs: dict[str, TokenPair]) -> Known:
    """What is stored: all of it or, where an earlier run was stopped, a part."""
    if path is None:
        return {}
    for file in (path, _part(path)):
        try:
            rows = pq.read_table(file, schema=_SCHEMA).to_pylist()
        except FileNotFoundError:  # also where another arm that trains at this time has just completed its part
            continue
        except (OSError, pa.ArrowInvalid) as error:
            raise BadInput(f"{file}: is no store of reference log-probabilities ({error}); remove it") from None
        known = {row["pair"]: (row["chosen"], row["rejected"]) for row in rows}
        foreign = len(known.keys() - pairs.keys()) + len(rows) - len(known)
        missing = len(pairs.keys() - known.keys()) if file == path else 0
        if foreign or missing:
            raise BadInput(
                f"{file}: reference log-probabilities: {missing} pairs are missing and {foreign} rows are of other "
                "pairs; remove the file, and they are computed again"
            )
        return known
    return {}


def _write(path: Path, known: Known) -> None:
    rows = [{"pair": name, "chosen": both[0], "rejected": both[1]} for name, both in sorted(known.items())]
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary)


@torch.no_grad()
def _compute(
    model: Any,
    pairs: dict[str, TokenPair],
    known: Known,
    path: Path | None,
    half: bool,
    pad_id: int,
    progress: OnProgress,
) -> None:
    """Add the log-probabilities of `pairs` to `known`; shared out over processes, stored from time to time."""
    state = PartialState()
    model.eval()
    documents = {name: Document(pair.prompt, [pair.chosen, pair.rejected]) for name, pair in pairs.items()}
    packed = can_be_packed(model, list(documents.values()), branch_log_probs, pad_id)
    multiple = row_multiple(model.device)
    rows = _rows(documents)
    saved, done = time.monotonic(), 0
    found: list[tuple[str, tuple[float, float]]] = []
    with keeping_freed_memory(), attending_within_trees(model) if packed else nullcontext():
        for row in rows[state.process_index :: state.num_processes]:
            chosen = [documents[name] for name in row]
            batch = to_device(pack(chosen, multiple=multiple) if packed else pad(chosen, pad_id), model.device)
            with (
                torch.autocast("cuda", dtype=torch.bfloat16) if half and model.device.type == "cuda" else nullcontext()
            ):
                sums, _ = branch_log_probs(model, batch)
            both = sums.view(-1, 2).tolist()
            found += [(name, (first, second)) for name, (first, second) in zip(row, both, strict=True)]
            done += len(row)
            progress(done, -(-len(pairs) // state.num_processes), "reference")
            if path is not None and state.num_processes == 1 and time.monotonic() - saved > _SAVE_SECONDS:
                _write(_part(path), known | dict(found))
                saved = time.monotonic()
    known |= dict(gather_object(found) if state.num_processes > 1 else found)
    if path is not None and state.is_main_process:
        _write(path, known)
        _part(path).unlink(missing_ok=True)


def _rows(documents: dict[str, Document]) -> list[list[str]]:
    """Names of the documents, longest first, in rows of at most _ROW_TOKENS where none alone is longer."""
    rows: list[list[str]] = []
    room = 0
    for name in sorted(documents, key=lambda name: (-documents[name].tokens, name)):
        if documents[name].tokens > room:
            rows.append([])
            room = _ROW_TOKENS
        rows[-1].append(name)
        room -= documents[name].tokens
    return rows
