"""JSON Pointers into results.json: the value at a pointer, and the range of values that the schema allows there."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from tarazu.files import JsonSchema

_ABSENT = object()
_SETTINGS = ("/schema", "/study", "/thresholds", "/groups", "/base_arm", "/primary_arm", "/data", "/languages")
_OF_SCORES = ("arms", "comparisons", "tradeoff")
_SETTING_KEYS = ("arm", "other", "quantity", "rate", "unit", "margin", "shift", "harmless", "helpful", "alpha", "beta")


class Undefined(Exception):
    """A pointer leads to nothing or to null. The message says which, with the reason that the results give."""


def escaped(key: str) -> str:
    """A key, escaped as one step of a pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def steps(pointer: str) -> list[str]:
    """A pointer's keys. The empty pointer, which means the entire document, has none."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def value_at(results: Any, pointer: str) -> Any:
    """The value at `pointer`. Raises Undefined if there is none or it is null."""
    value, parent = results, None
    for step in steps(pointer):
        parent, value = value, _child(value, step)
        if value is _ABSENT:
            raise Undefined(f"the results have nothing at {pointer}")
    if value is None:
        reason = parent.get("reason") if isinstance(parent, dict) else None
        raise Undefined(f"{pointer} is undefined in the results{f': {reason}' if isinstance(reason, str) else ''}")
    return value


def _child(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step, _ABSENT)
    if isinstance(value, list) and step.isascii() and step.isdigit() and (step == "0" or step[0] != "0"):
        return value[int(step)] if len(step) < 10 and int(step) < len(value) else _ABSENT
    return _ABSENT


def is_setting(pointer: str) -> bool:
    """Whether the pointer leads to a setting of the study or to a fact of its data, which no score could change."""
    keys = steps(pointer)
    return not keys or f"/{keys[0]}" in _SETTINGS or keys[-1] in _SETTING_KEYS


def is_count(pointer: str) -> bool:
    """Whether the schema says that there is a whole number at the pointer, such as a number of responses."""
    return _node(pointer).get("type") == "integer"


def is_of_scores(pointer: str) -> bool:
    """Whether the package's analysis computes what is at the pointer from scores: a number that is not a count, a truth
    value or one of several words, in rates, comparisons or the trade-off."""
    keys, node = steps(pointer), _node(pointer)
    is_computed = node.get("type") in ("number", "boolean") or bool(words_at(pointer))
    return bool(keys) and keys[0] in _OF_SCORES and is_computed and not is_setting(pointer)


def words_at(pointer: str) -> tuple[str, ...]:
    """The words that the schema allows at the pointer; none if it allows any text."""
    words = _node(pointer).get("enum")
    return tuple(word for word in words if isinstance(word, str)) if isinstance(words, list) else ()


_UNITS: Final = {
    "percent": ("percent", "%", "per cent", "percents", "percentage"),
    "points": ("points", "point", "percentage points", "percent points", "pp"),
    "points per tenfold": ("points per tenfold",),
    "sd": ("sd", "standard deviations"),
    "log odds": ("log odds", "logits"),
    "languages": ("languages", "language"),
    "count": (
        *("responses", "response", "answers", "prompts", "prompt", "pairs", "items", "rows", "cells", "observations"),
        *("n", "samples", "examples", "completions", "generations", "questions", "texts"),
    ),
    "none": ("probability", "p"),
}
"""Units of quantities, each with the ways in which a claim may spell it."""
_POINTS = frozenset(
    {"dHm", "dHp", "tilt", "comparisons", "components", "smallest_margin", "mde", "change", "difference"}
)


def unit_of(results: Any, pointer: str) -> str | None:
    """The unit of the quantity at a pointer, a key of `_UNITS`. None if the results do not say."""
    keys = steps(pointer)
    parent = _parent(results, keys)
    if is_count(pointer):
        return "languages" if keys[-1] in ("n_languages", "n_high", "n_low") else "count"
    if span(pointer) == (0.0, 100.0) or "improvement" in keys:
        return "percent"
    if span(pointer) == (0.0, 1.0):
        return "none"
    unit = parent.get("unit") if isinstance(parent, dict) else None
    if isinstance(unit, str) and keys[-1] != "df":
        return unit if unit in _UNITS else None
    return "points" if _POINTS & set(keys) else None


def is_unit(unit: str, name: str) -> bool:
    """Whether a claim's `unit` is a way to write the unit `name`, such as percent, or percent of responses."""
    words = " ".join(unit.casefold().split())
    if any(words in spellings for other, spellings in _UNITS.items() if other != name):
        return False
    return any(words == spelling or words.startswith(f"{spelling} of ") for spelling in _UNITS[name])


@functools.cache
def span(pointer: str) -> tuple[float | None, float | None]:
    """The least and the greatest number that the schema of results.json allows at `pointer`. None means no bound."""
    node = _node(pointer)
    low, high = node.get("minimum"), node.get("maximum")
    return (None if low is None else float(low)), (None if high is None else float(high))


_AROUND: Final = {
    "ci_low": ((), ("value", "estimate", "ci_high")),
    "ci_high": (("value", "estimate", "ci_low"), ()),
    "value": (("ci_low",), ("ci_high",)),
    "estimate": (("ci_low",), ("ci_high",)),
}


def within_interval(pointer: str, known: Mapping[str, float]) -> tuple[float, float]:
    """The range that a value, or an end of its confidence interval, cannot leave, given the other two where `known` has
    them."""
    parent, _, key = pointer.rpartition("/")
    below, above = _AROUND.get(key, ((), ()))
    least = [known[at] for name in below if (at := f"{parent}/{name}") in known]
    most = [known[at] for name in above if (at := f"{parent}/{name}") in known]
    return max(least, default=-math.inf), min(most, default=math.inf)


def scale(results: Any, pointer: str) -> float | None:
    """The scale of a tolerance at `pointer`.

    It is the width of the span; or 100 for changes and estimates in points; or 1 for those in standard deviations or
    log odds. It is None if the scale is unknown, so that only a relative tolerance is meaningful."""
    low, high = span(pointer)
    if low is not None and high is not None:
        return high - low
    keys = steps(pointer)
    parent = _parent(results, keys)
    unit = parent.get("unit") if isinstance(parent, dict) else None
    if unit is not None:
        return 100.0 if unit == "points" else 1.0
    return 100.0 if {"dHm", "dHp", "tilt", "dORR", "comparisons", "improvement"} & set(keys[:-1]) else None


def _parent(results: Any, keys: list[str]) -> Any:
    """What holds the last of `keys`; None if there is nothing."""
    try:
        return value_at(results, "".join(f"/{escaped(key)}" for key in keys[:-1]))
    except Undefined:
        return None


@functools.cache
def _node(pointer: str) -> JsonSchema:
    """The schema of what is at a pointer; empty where the schema says nothing."""
    node = _resolved(_schema())
    for step in steps(pointer):
        node = _resolved(_inner(node, step))
    return node


@functools.cache
def _schema() -> JsonSchema:
    text = files("tarazu.schemas").joinpath("results-v2.schema.json").read_text(encoding="utf-8")
    loaded: JsonSchema = json.loads(text)
    return loaded


def _inner(node: JsonSchema, step: str) -> JsonSchema:
    if step in node.get("properties", {}):
        return node["properties"][step]
    for child in (*node.get("patternProperties", {}).values(), node.get("additionalProperties"), node.get("items")):
        if isinstance(child, dict):
            return child
    return {}


def _resolved(node: JsonSchema) -> JsonSchema:
    """Follow a reference, or a choice between null and one other schema."""
    if "$ref" in node:
        return _resolved(_schema()["$defs"][node["$ref"].rsplit("/", 1)[1]])
    for choice in node.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolved(choice)
    return node
