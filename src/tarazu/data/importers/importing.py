"""Recognises whose file it is, by its content, and imports it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.importers import every_eval_ever, harness, inspect, judged
from tarazu.data.importers.rows import Given, Imported, loads
from tarazu.errors import BadInput
from tarazu.files import atomic_file
from tarazu.readers import BOM, first_bytes, is_gzip, text_lines
from tarazu.tables import columns_of, open_table

_FORMS = (
    "logs of inspect, samples of lm-evaluation-harness, Every Eval Ever, RewardBench's scores, PolyGuard's responses"
)
_TABLES = (
    (harness.is_samples, harness.samples, harness.TOOL),
    (every_eval_ever.is_instance, every_eval_ever.instances, every_eval_ever.TOOL),
    (judged.is_rewards, judged.rewards, judged.REWARDBENCH),
    (judged.is_labelled, judged.labelled, judged.POLYGUARD),
)
"""By what the rows of a tool are recognised, what reads them, and the tool."""
_RESPONSES = pa.schema(
    [(name, pa.string()) for name in ("arm", "language", "kind", "prompt_id", "source")]
    + [("seed", pa.int64()), ("sample", pa.int64()), ("label", pa.int8())]
    + [(name, pa.string()) for name in ("prompt", "response", "finish")]
)
_KNOWN_ANSWERS = pa.schema(
    [(name, pa.string()) for name in ("language", "kind", "prompt_id", "source")]
    + [("reward_good", pa.float64()), ("reward_bad", pa.float64())]
)


def tool_of(row: Mapping[str, Any]) -> str | None:
    """The tool that writes such rows, None if there is none that can be imported."""
    return next((tool for recognised, _, tool in _TABLES if recognised(row)), None)


def tool_of_file(path: Path) -> str | None:
    """The tool that wrote a file, by its content; None for any other table. Raises BadInput if it cannot be read."""
    head = first_bytes(path, 4)
    if head.startswith(b"PK"):
        return inspect.TOOL
    value = None if head.startswith(b"PAR1") else _only_object(path)
    if value is not None and inspect.is_log(value):
        return inspect.TOOL
    if value is not None and every_eval_ever.is_aggregate(value):
        return every_eval_ever.TOOL
    table = _json_lines(path) if _is_json(path) else open_table(path, ids=["id"]).rows
    first = next(iter(table), None)
    if first is None:
        raise BadInput(f"{path}: has no rows")
    return tool_of(first[1])


def import_files(files: Sequence[tuple[Path, Given]]) -> list[Imported]:
    """The rows of other tools' files. Raises BadInput for any other file, for one without usable rows, and if two rows
    are the same response."""
    imported = [_import(path, given) for path, given in files]
    for one in imported:
        if not one.responses and not one.known_answers:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(one.excluded.items()))
            choices = f"; its metrics: {', '.join(sorted(one.metrics))}" if one.metrics else ""
            raise BadInput(f"{one.path}: no row can be used ({reasons or 'it has none'}){choices}")
    if any(one.known_answers for one in imported) and any(one.responses for one in imported):
        raise BadInput("rewards of known answers and responses are different tables; import them separately")
    _refuse_duplicates(imported)
    return imported


def _refuse_duplicates(imported: Sequence[Imported]) -> None:
    seen: dict[tuple[Any, ...], Path] = {}
    for one in imported:
        for row in one.responses:
            key = (row.arm, row.language, row.kind, row.prompt_id, row.seed, row.sample)
            if key in seen:
                raise BadInput(
                    f"{one.path}: a second response of {row.arm} to {row.prompt_id} in {row.language} ({row.kind}); "
                    f"the first is in {seen[key]}; distinguish them by --arm or --language, one for each file"
                )
            seen[key] = one.path


def _import(path: Path, given: Given) -> Imported:
    head = first_bytes(path, 4)
    if head.startswith(b"PK"):
        return inspect.zipped_log(path, given)
    if not head.startswith(b"PAR1"):
        value = _only_object(path)
        if value is not None and inspect.is_log(value):
            return inspect.json_log(path, value, given)
        if value is not None and every_eval_ever.is_aggregate(value):
            instances = every_eval_ever.instances_of(path)
            if not instances.is_file():
                raise BadInput(f"{path}: has results only; its responses should be beside it, in {instances.name}")
            return _import(instances, given)
        if value is not None and judged.is_rewards(value) and isinstance(value["scores_chosen"], list):
            rows = judged.by_row(value)
            # One row of JSON lines may have its rewards as lists of one.
            if len(rows) > 1 or not isinstance(value.get("id", []), int | str):
                return judged.rewards(path, rows, given)
        if value is not None and tool_of(value) is None:
            raise BadInput(f"{path}: is one JSON object ({columns_of(value)}), none of what can be imported: {_FORMS}")
    return _import_rows(path, given)


def _import_rows(path: Path, given: Given) -> Imported:
    table = _json_lines(path) if _is_json(path) else open_table(path, ids=["id"]).rows
    first = next(iter(table), None)
    if first is None:
        raise BadInput(f"{path}: has no rows")
    rows = itertools.chain([first], table)
    for recognised, read, _ in _TABLES:
        if recognised(first[1]):
            return read(path, rows, given)
    raise BadInput(
        f"{path}: not a file that can be imported ({columns_of(first[1])}); these are: {_FORMS}. A table with Tarazu's "
        "columns needs no import"
    )


def _is_json(path: Path) -> bool:
    line = next((text for _, text in text_lines(path, is_gzip(path))), "") if first_bytes(path, 4) != b"PAR1" else ""
    return line.removeprefix(BOM).lstrip().startswith("{")


def _json_lines(path: Path) -> Any:
    for line, text in text_lines(path, is_gzip(path)):
        if text.strip():
            value = loads(text.removeprefix(BOM), f"{path}: line {line}")
            if not isinstance(value, dict):
                raise BadInput(f"{path}: line {line}: is not an object; each line must be one")
            yield line, value


def _only_object(path: Path) -> dict[str, Any] | None:
    """The object that a file of JSON holds, None if it holds anything else or several."""
    if not _is_json(path):
        return None
    text = "".join(text for _, text in text_lines(path, is_gzip(path))).removeprefix(BOM).lstrip()
    try:
        value, end = json.JSONDecoder(parse_constant=lambda _: None).raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not text[end:].strip() else None


def write_imported(out: Path, imported: Sequence[Imported]) -> int:
    """Write the rows as a table of responses or of known answers (parquet), and return their number."""
    known = [asdict(row) for one in imported for row in one.known_answers]
    responses = [asdict(row) for one in imported for row in one.responses]
    table = pa.Table.from_pylist(known, _KNOWN_ANSWERS) if known else pa.Table.from_pylist(responses, _RESPONSES)
    if not known and all(row["label"] is None for row in responses):
        table = table.drop_columns(["label"])
    with atomic_file(out) as temporary:
        pq.write_table(table, temporary)
    return len(known) or len(responses)
