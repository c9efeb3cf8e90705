"""lm-evaluation-harness: `samples_<task>_<time>.jsonl`, with `results_<time>.json` beside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tarazu.data.forms.messages import Unusable, turns
from tarazu.data.importers.rows import Given, Imported, Place, ResponseRow, Skip, conversation_text, loads
from tarazu.errors import BadInput

TOOL = "lm-evaluation-harness"

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl(?:\.gz)?")


def is_samples(row: Mapping[str, Any]) -> bool:
    return {"doc_id", "arguments", "resps"} <= row.keys()


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What the file's name and the results beside it say."""

    task: str
    model: str | None
    higher_is_better: Mapping[str, Any]


def samples(path: Path, rows: Iterable[tuple[int, dict[str, Any]]], given: Given) -> Imported:
    """A response per sample: the model's complete text, before filters cut it. The prompt is the complete context."""
    imported = Imported(path=path, tool=TOOL)
    run = _run(path)
    first_filter: object = None
    for line, row in rows:
        doc = row.get("doc")
        place = Place(path=path, row=f"line {line}", given=given, facts=doc if isinstance(doc, dict) else {})
        names = row.get("metrics")
        imported.metrics |= {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
        first_filter = row.get("filter") if first_filter is None else first_filter
        if row.get("filter") != first_filter:
            imported.excluded[f"repeated for the filter {row.get('filter')}"] += 1
            continue
        try:
            imported.responses += _responses(row, place, run)
        except Skip as reason:
            imported.excluded[str(reason)] += 1
    return imported


def _responses(row: Mapping[str, Any], place: Place, run: _Run) -> list[ResponseRow]:
    prompt = _prompt(row.get("arguments"))
    answers = row.get("resps")
    answers = answers[0] if isinstance(answers, list) and len(answers) == 1 else None
    if not isinstance(answers, list) or not answers or not all(isinstance(one, str) for one in answers):
        raise Skip("given answers were ranked, none was generated")
    metric = place.given.metric
    if metric is not None and len(answers) > 1:
        raise Skip("several responses share one score")
    better = run.higher_is_better.get(metric) if metric else None
    label = place.label(row.get(metric) if metric else None, better if isinstance(better, bool) else None)
    return [
        ResponseRow(
            arm=place.arm(run.model),
            language=place.language(),
            kind=place.kind(),
            prompt_id=place.prompt_id(run.task, row.get("doc_id")),
            source=TOOL,
            sample=sample,
            label=label,
            prompt=prompt,
            response=answer,
            finish=None,
        )
        for sample, answer in enumerate(answers)
    ]


def _prompt(arguments: object) -> str:
    """The context of the only request. Chat models of a server have messages, written as JSON."""
    requests = list(arguments.values()) if isinstance(arguments, dict) else arguments
    if not isinstance(requests, list) or len(requests) != 1:
        raise Skip("given answers were ranked, none was generated")
    parts = list(requests[0].values()) if isinstance(requests[0], dict) else requests[0]
    if not isinstance(parts, list) or not parts:
        raise Skip("no prompt")
    if len(parts) > 1 and isinstance(parts[1], str):
        raise Skip("given answers were ranked, none was generated")
    context = parts[0][0] if isinstance(parts[0], list) and len(parts[0]) == 1 else parts[0]
    if not isinstance(context, str) or not context.strip():
        raise Skip("no prompt")
    if context.lstrip().startswith("[{"):
        try:
            return conversation_text(turns(json.loads(context), "the prompt"))
        except ValueError:
            return context
        except Unusable as error:
            raise Skip(error.reason) from None
    return context


def _run(path: Path) -> _Run:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return _Run(task=path.name.partition(".")[0], model=None, higher_is_better={})
    beside = path.with_name(f"results_{match['time']}.json")
    if not beside.is_file():
        return _Run(task=match["task"], model=None, higher_is_better={})
    results = loads(beside.read_bytes(), str(beside))
    if not isinstance(results, dict):
        raise BadInput(f"{beside}: is not the results of {TOOL}; remove it, or write it again")
    better = results.get("higher_is_better")
    of_task = better.get(match["task"]) if isinstance(better, dict) else None
    model = results.get("model_name")
    return _Run(
        task=match["task"],
        model=model if isinstance(model, str) else None,
        higher_is_better=of_task if isinstance(of_task, dict) else {},
    )
