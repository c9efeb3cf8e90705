"""Log-probabilities of the model that alignment starts from: computed once, stored and reused.

They depend only on the weights, on the pairs' tokens (hence on truncation) and on the precision and machine of the
arithmetic. A store is keyed by these, so it serves every beta, seed, schedule, loss and adapter that starts from the
same model, and a run that resumes after a kill. The packing of rows does not depend on the caller, so the numbers are
identical to the bit for every caller.
"""

from __future__ import annotations

import hashlib
import math
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

from tarazu.align.attention import use_tree_attention
from tarazu.align.forward import branch_log_probs, can_be_packed, precision, to_device
from tarazu.align.memory import keep_freed_memory
from tarazu.align.processes import from_leader
from tarazu.align.rows.documents import Document
from tarazu.align.rows.packing import pack, pad, row_multiple
from tarazu.align.tokens import TokenPair
from tarazu.align.trainer import TrainingRun
from tarazu.errors import BadInput, NotFinite, damaged_weight, fix_for
from tarazu.files import atomic_file, digest

_ROW_TOKENS, _CUDA_ROW_TOKENS = 2048, 8192
"""The most tokens of a row. On CUDA, kernels of a short packed row take less time than their launches."""
_SAVE_SECONDS = 60.0
_SCHEMA = pa.schema([("pair", pa.string()), ("chosen", pa.float64()), ("rejected", pa.float64())])

Known = dict[str, tuple[float, float]]
"""Log-probabilities of chosen and rejected, by the pair's name."""


def reference_log_probs(
    model: Any, pairs: Sequence[TokenPair], run: TrainingRun, *, store: Path | None = None, facts: Any = None
) -> Tensor:
    """Log-probabilities (pairs, 2) of chosen and rejected under the current model without dropout, in float64.

    Call it before an adapter is added: the reference is the model without the adapter. `store` is the folder in which
    log-probabilities are looked up and saved. `facts` (JSON) describes the machine and the versions, which the numbers
    depend on besides weights, tokens and precision. Raises BadInput if the store lacks a row or has a row of another
    pair, and NotFinite.
    """
    names = [pair_name(pair) for pair in pairs]
    by_name = dict(zip(names, pairs, strict=True))
    path = None if store is None else store / f"{_key(model, sorted(by_name), run.use_bf16, facts)}.parquet"
    known = from_leader(lambda: _read(path, by_name))
    missing = {name: pair for name, pair in by_name.items() if name not in known}
    if missing:
        _compute(model, missing, known, path, run)
    found = torch.tensor([known[name] for name in names], dtype=torch.float64)
    if not found.isfinite().all():
        raise BadInput(f"{path}: holds reference log-probabilities that are not finite; remove the file")
    return found


def pair_name(pair: TokenPair) -> str:
    """SHA-256 of a pair's tokens."""
    return digest([pair.prompt, pair.chosen, pair.rejected])


def _key(model: Any, names: Sequence[str], use_bf16: bool, facts: Any) -> str:
    return digest({"weights": weights_sha256(model), "pairs": names, "half": use_bf16, "facts": facts})[:40]


def weights_sha256(model: Any) -> str:
    """SHA-256 of a model's weights: names, types, shapes and bytes."""
    sha256 = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        sha256.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha256.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha256.hexdigest()


def _part(path: Path) -> Path:
    """The file for the log-probabilities that an unfinished run has computed."""
    return path.with_suffix(".part")


def _read(path: Path | None, pairs: dict[str, TokenPair]) -> Known:
    """The stored log-probabilities. They are incomplete if an earlier run was stopped."""
    if path is None:
        return {}
    for file in (path, _part(path)):
        try:
            rows = pq.read_table(file, schema=_SCHEMA).to_pylist()
        except FileNotFoundError:  # or another arm, training at the same time, has just completed the file
            continue
        except (OSError, pa.ArrowInvalid) as error:
            raise BadInput(
                f"{file}: cannot be read as a store of reference log-probabilities ({error}); remove the file"
            ) from None
        known = {row["pair"]: (row["chosen"], row["rejected"]) for row in rows}
        foreign = len(known.keys() - pairs.keys()) + len(rows) - len(known)
        missing = len(pairs.keys() - known.keys()) if file == path else 0
        if foreign or missing:
            raise BadInput(
                f"{file}: reference log-probabilities: {missing} pairs are missing and {foreign} rows belong to other "
                "pairs; remove the file to compute them again"
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
    run: TrainingRun,
) -> None:
    """Add the log-probabilities of `pairs` to `known`. Processes share the work; a single one saves it regularly."""
    state = PartialState()
    model.eval()
    documents = {name: Document(pair.prompt, [pair.chosen, pair.rejected]) for name, pair in pairs.items()}
    packed = can_be_packed(model, list(documents.values()), branch_log_probs, run.pad_id)
    multiple = row_multiple(model.device)
    most = _CUDA_ROW_TOKENS if packed and model.device.type == "cuda" else _ROW_TOKENS
    rows = _rows(documents, most)[state.process_index :: state.num_processes]
    saved = time.monotonic()
    computed: list[tuple[str, tuple[float, float]]] = []

    def read(row: Sequence[str], sums: Tensor) -> None:
        """Add what was computed for a row, which waits for it."""
        for name, (chosen, rejected) in zip(row, sums.view(-1, 2).tolist(), strict=True):
            _check(model, pairs[name], (chosen, rejected), "bfloat16" if run.use_bf16 else "float32")
            computed.append((name, (chosen, rejected)))
        run.progress(len(computed), -(-len(pairs) // state.num_processes), "reference")

    launched: tuple[Sequence[str], Tensor] | None = None
    with keep_freed_memory(), use_tree_attention(model) if packed else nullcontext():
        for row in rows:
            members = [documents[name] for name in row]
            batch = to_device(pack(members, multiple=multiple) if packed else pad(members, run.pad_id), model.device)
            with precision(model.device, use_bf16=run.use_bf16):
                sums, _ = branch_log_probs(model, batch)
            # Each row is read after the next one was launched, so that a GPU does not wait.
            if launched is not None:
                read(*launched)
            launched = row, sums
            if path is not None and state.num_processes == 1 and time.monotonic() - saved > _SAVE_SECONDS:
                _write(_part(path), known | dict(computed))
                saved = time.monotonic()
        if launched is not None:
            read(*launched)
    known |= dict(gather_object(computed) if state.num_processes > 1 else computed)
    if path is not None and state.is_main_process:
        _write(path, known)
        _part(path).unlink(missing_ok=True)


def _check(model: Any, pair: TokenPair, values: Sequence[float], dtype: str) -> None:
    """Raises NotFinite unless the log-probabilities of a pair's answers are finite."""
    for value, answer in zip(values, (pair.chosen, pair.rejected), strict=True):
        if not math.isfinite(value):
            fix = fix_for(dtype, damaged_weight(model), "model.dtype")
            raise NotFinite("log-probabilities", dtype, fix, (*pair.prompt, *answer))


def _rows(documents: dict[str, Document], most: int) -> list[list[str]]:
    """Names of the documents, longest first, in rows of at most `most` tokens. A longer document has a row to
    itself."""
    rows: list[list[str]] = []
    room = 0
    for name in sorted(documents, key=lambda name: (-documents[name].tokens, name)):
        if documents[name].tokens > room:
            rows.append([])
            room = most
        rows[-1].append(name)
        room -= documents[name].tokens
    return rows
