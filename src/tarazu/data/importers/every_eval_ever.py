"""Every Eval Ever: `<uuid>.json`, and its instances in `<uuid>_samples.jsonl`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tarazu.data.forms.messages import Unusable, turns
from tarazu.data.importers.rows import Given, Imported, Place, ResponseRow, Skip, conversation_text, loads
from tarazu.data.rows import Turn

TOOL = "every-eval-ever"
TARAZU = "tarazu."
"""With this begin the names of evaluations that `tarazu export` writes. Their metadata have all that a row needs."""


def is_instance(row: Mapping[str, Any]) -> bool:
    return {"evaluation_id", "model_id", "sample_id"} <= row.keys()


def is_aggregate(value: object) -> bool:
    return isinstance(value, dict) and {"evaluation_id", "evaluation_results"} <= value.keys()


def instances_of(path: Path) -> Path:
    """Where the instances of an aggregate file are."""
    return path.with_name(f"{path.stem}_samples.jsonl")


def instances(path: Path, rows: Iterable[tuple[int, dict[str, Any]]], given: Given) -> Imported:
    """A response per instance. Its score is a label if its metric is the chosen one."""
    imported = Imported(path=path, tool=TOOL)
    better = _higher_is_better(path)
    for line, row in rows:
        metadata = row.get("metadata")
        place = Place(path=path, row=f"line {line}", given=given, facts=metadata if isinstance(metadata, dict) else {})
        name = row.get("evaluation_name")
        if isinstance(name, str):
            imported.metrics.add(name)
        try:
            if given.metric is not None and name != given.metric:
                raise Skip(f"scores {name}")
            imported.responses += _responses(row, place, better.get(name) if isinstance(name, str) else None)
        except (Skip, Unusable) as reason:
            imported.excluded[reason.reason if isinstance(reason, Unusable) else str(reason)] += 1
    return imported


def _responses(row: Mapping[str, Any], place: Place, higher_is_better: bool | None) -> list[ResponseRow]:
    if row.get("error"):
        raise Skip("the instance ended with an error")
    prompt, answers = _texts(row)
    evaluation = row.get("evaluation")
    score = evaluation.get("score") if isinstance(evaluation, dict) else None
    if place.given.metric is not None and len(answers) > 1:
        raise Skip("several responses share one score")
    name = row.get("evaluation_name")
    own = place.facts if isinstance(name, str) and name.startswith(TARAZU) else {}
    return [
        ResponseRow(
            arm=place.arm(own.get("arm") or row.get("model_id")),
            language=place.language(),
            kind=place.kind(),
            prompt_id=place.prompt_id(name if isinstance(name, str) else TOOL, row.get("sample_id")),
            source=_text(own, "source") or TOOL,
            seed=_whole(own, "seed"),
            sample=sample + _whole(own, "sample"),
            label=place.label(score, higher_is_better),
            prompt=prompt,
            response=answer,
            finish=_text(own, "finish"),
        )
        for sample, answer in enumerate(answers)
    ]


def _text(facts: Mapping[str, Any], key: str) -> str | None:
    value = facts.get(key)
    return value if isinstance(value, str) else None


def _whole(facts: Mapping[str, Any], key: str) -> int:
    """A number of the metadata, which are texts; 0 where there is none."""
    value = _text(facts, key) or ""
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else 0
    return number if number < 2**63 else 0


def _texts(row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The prompt and the responses. Of a conversation, the response is the last message."""
    messages, request, output = row.get("messages"), row.get("input"), row.get("output")
    if isinstance(messages, list) and messages:
        spoken: tuple[Turn, ...] = turns(messages, "messages")
        if len(spoken) < 2 or spoken[-1].role != "assistant":
            raise Skip("the last message is not the model's")
        return conversation_text(spoken[:-1]), [spoken[-1].content]
    prompt = request.get("raw") if isinstance(request, dict) else None
    answers = output.get("raw") if isinstance(output, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise Skip("no prompt")
    if not isinstance(answers, list) or not answers or not all(isinstance(one, str) for one in answers):
        raise Skip("no response")
    return prompt, answers


def _higher_is_better(path: Path) -> dict[str, bool]:
    """For each metric, whether more is better, as the aggregate file beside says. Empty if it is not there."""
    beside = path.with_name(path.name.replace("_samples.jsonl", ".json"))
    if beside == path or not beside.is_file():
        return {}
    aggregate = loads(beside.read_bytes(), str(beside))
    results = aggregate.get("evaluation_results") if isinstance(aggregate, dict) else None
    better: dict[str, bool] = {}
    for result in results if isinstance(results, list) else []:
        config = result.get("metric_config") if isinstance(result, dict) else None
        if isinstance(config, dict) and isinstance(config.get("lower_is_better"), bool):
            better[str(result.get("evaluation_name"))] = not config["lower_is_better"]
    return better
