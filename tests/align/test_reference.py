"""Reference log-probabilities are computed once for given weights and tokens, whatever else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
import torch

from tarazu.align import reference as reference_module
from tarazu.align.reference import reference_log_probs
from tarazu.align.tokens import TokenPair, tokenize_pairs
from tarazu.align.trainer import TrainingRun
from tarazu.conversation.formats import Format
from tarazu.errors import BadInput


def rows(count: int = 12, max_length: int = 512) -> list[TokenPair]:
    return tokenize_pairs(tiny.pairs(count), Format(tiny.tokenizer()), max_length=max_length)[0]


def reference(
    model: Any, pairs: list[TokenPair], store: Path | None, use_bf16: bool = False, facts: Any = None
) -> torch.Tensor:
    run = TrainingRun(pad_id=1, seed=3, progress=tiny.silent, use_bf16=use_bf16)
    return reference_log_probs(model, pairs, run, store=store, facts=facts)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of pairs that each pass computed."""
    counts: list[int] = []
    compute = reference_module._compute

    def counting(model: Any, pairs: Any, *rest: Any) -> None:
        counts.append(len(pairs))
        compute(model, pairs, *rest)

    monkeypatch.setattr(reference_module, "_compute", counting)
    return counts


def test_they_are_the_log_probabilities_of_the_answers() -> None:
    model = tiny.opt()
    found = reference(model, rows(), None)
    for pair, both in zip(rows(), found.tolist(), strict=True):
        for answer, value in zip((pair.chosen, pair.rejected), both, strict=True):
            ids = torch.tensor([pair.prompt + answer])
            labels = ids.clone()
            labels[0, : len(pair.prompt)] = -100
            with torch.no_grad():
                assert value == pytest.approx(-model(input_ids=ids, labels=labels).loss.item() * len(answer), abs=1e-4)


def test_a_store_is_used_again_in_any_order(tmp_path: Path, computed: list[int]) -> None:
    first = reference(tiny.opt(), rows(), tmp_path)
    again = reference(tiny.opt(), rows()[::-1], tmp_path)
    assert torch.equal(first.flip(0), again)
    assert computed == [12]
    assert torch.equal(first, reference(tiny.opt(), rows(), None))


@pytest.mark.parametrize("what", ["weights", "tokens", "truncation", "precision", "facts"])
def test_what_the_numbers_depend_on_makes_another_store(tmp_path: Path, computed: list[int], what: str) -> None:
    reference(tiny.opt(), rows(), tmp_path)
    model = tiny.opt(seed=1) if what == "weights" else tiny.opt()
    pairs = {"tokens": rows(13)[1:], "truncation": rows(max_length=90)}.get(what, rows())
    reference(model, pairs, tmp_path, what == "precision", "another torch" if what == "facts" else None)
    assert len(computed) == 2
    assert len(list(tmp_path.glob("*.parquet"))) == 2


def test_a_stopped_pass_is_resumed(tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = reference(tiny.opt(), rows(), None)
    monkeypatch.setattr(reference_module, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(reference_module, "_ROW_TOKENS", 200)

    def stop(done: int, total: int, state: str) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reference_log_probs(tiny.opt(), rows(), TrainingRun(pad_id=1, seed=3, progress=stop), store=tmp_path)
    assert not list(tmp_path.glob("*.parquet"))
    found = reference(tiny.opt(), rows(), tmp_path)
    assert 0 < computed[-1] < 12
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert [item.suffix for item in tmp_path.iterdir()] == [".parquet"]


@pytest.mark.parametrize("damage", ["missing", "foreign", "duplicate", "bytes"])
def test_a_store_of_other_pairs_is_refused(tmp_path: Path, damage: str) -> None:
    reference(tiny.opt(), rows(), tmp_path)
    (store,) = tmp_path.glob("*.parquet")
    table = pq.read_table(store)
    other = pa.Table.from_pylist([{"pair": "0" * 64, "chosen": -1.0, "rejected": -2.0}], schema=table.schema)
    if damage == "bytes":
        store.write_bytes(b"not parquet")
    else:
        tables = {"missing": [table.slice(1)], "foreign": [table, other], "duplicate": [table, table.slice(0, 1)]}
        pq.write_table(pa.concat_tables(tables[damage]), store)
    with pytest.raises(BadInput, match=r"remove"):
        reference(tiny.opt(), rows(), tmp_path)


def test_computing_the_reference_changes_no_weights() -> None:
    model = tiny.opt(dropout=0.3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = reference(model, rows(), None)
    assert torch.equal(found, reference(model, rows(), None))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not found.requires_grad
