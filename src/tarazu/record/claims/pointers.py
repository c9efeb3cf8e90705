"""Places in results.json: what a JSON Pointer finds there, and which values its schema lets stand there."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import Any

_ABSENT = object()
_SETTINGS = ("/schema", "/study", "/thresholds", "/groups", "/base_arm", "/primary_arm")
_SETTING_KEYS = ("arm", "other", "quantity", "rate", "unit", "margin")


class Undefined(Exception):
    """There is nothing at a pointer, or null; the text says which, and the results' own reason."""


def escaped(key: str) -> str:
    """A key as one step of a pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def steps(pointer: str) -> list[str]:
    """A pointer's keys. The empty pointer, the whole document, has none."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def at(results: Any, pointer: str) -> Any:
    """What stands at `pointer`; raises Undefined where nothing does, or null."""
    here, above = results, None
    for step in steps(pointer):
        above, here = here, _child(here, step)
        if here is _ABSENT:
            raise Undefined(f"the results have nothing at {pointer}")
    if here is None:
        reason = above.get("reason") if isinstance(above, dict) else None
        raise Undefined(f"{pointer} is undefined in the results{f': {reason}' if isinstance(reason, str) else ''}")
    return here


def _child(here: Any, step: str) -> Any:
    if isinstance(here, dict):
        return here.get(step, _ABSENT)
    if isinstance(here, list) and step.isascii() and step.isdigit() and (step == "0" or step[0] != "0"):
        return here[int(step)] if len(step) < 10 and int(step) < len(here) else _ABSENT
    return _ABSENT


def is_setting(pointer: str) -> bool:
    """Whether a study's setting stands there, which no run could have made come out otherwise."""
    keys = steps(pointer)
    return not keys or f"/{keys[0]}" in _SETTINGS or keys[-1] in _SETTING_KEYS


@functools.cache
def span(pointer: str) -> tuple[float | None, float | None]:
    """The least and the greatest number that the schema of results.json lets stand at `pointer`; None: no bound."""
    node = _resolved(_schema())
    for step in steps(pointer):
        node = _resolved(_inner(node, step))
    low, high = node.get("minimum"), node.get("maximum")
    return (None if low is None else float(low)), (None if high is None else float(high))


def scale(results: Any, pointer: str) -> float | None:
    """What a tolerance at `pointer` is measured by: the width of the span, 100 for changes and estimates in points, 1
    for those in standard deviations or log odds; None where neither is known, and only a relative tolerance has a
    meaning."""
    low, high = span(pointer)
    if low is not None and high is not None:
        return high - low
    keys = steps(pointer)
    try:
        above = at(results, "".join(f"/{escaped(key)}" for key in keys[:-1]))
    except Undefined:
        return None
    unit = above.get("unit") if isinstance(above, dict) else None
    if unit is not None:
        return 100.0 if unit == "points" else 1.0
    return 100.0 if {"dHm", "dHp", "tilt", "comparisons", "improvement"} & set(keys[:-1]) else None


@functools.cache
def _schema() -> dict[str, Any]:
    text = files("tarazu.schemas").joinpath("results-v1.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _inner(node: dict[str, Any], step: str) -> dict[str, Any]:
    patterns = node.get("patternProperties", {}).values()
    for found in (node.get("properties", {}).get(step), *patterns, node.get("additionalProperties"), node.get("items")):
        if isinstance(found, dict):
            return found
    return {}


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The node that a reference, or a choice between null and one other, stands for."""
    if "$ref" in node:
        return _resolved(_schema()["$defs"][node["$ref"].rsplit("/", 1)[1]])
    for choice in node.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolved(choice)
    return node
