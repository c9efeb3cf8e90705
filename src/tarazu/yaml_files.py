"""YAML written by hand: line numbers for all keys, no duplicate keys, and errors that name the key and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import yaml
from pydantic_core import ErrorDetails

from tarazu.errors import BadInput
from tarazu.files import JsonSchema

if TYPE_CHECKING:
    from pydantic import BaseModel

Place = tuple[str | int, ...]
"""Keys and indices from the root of a file to one of its values."""


LARGEST_YAML = 2**20
"""Bytes of a file. The reader takes seconds for a megabyte."""
_MOST_VALUES = 50_000
"""Keys and values, those that aliases repeat counted each time. Ten lines of aliases can stand for billions."""
_LONGEST_NUMBER = 400
"""Characters. Python takes quadratic time for a number in base 60, such as 1:30:00."""
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class Loader(yaml.SafeLoader):
    """SafeLoader for files without duplicate keys, which YAML itself would silently merge. The number of values and the
    length of numbers are bounded."""

    _values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} keys and values; shorten the file")
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise ValueError(f"line {node.start_mark.line + 1}: a number of more than {_LONGEST_NUMBER} characters")
        return node


def load_yaml(text: str) -> Any:
    """The value of a YAML text that a program wrote. Raises yaml.YAMLError, ValueError or RecursionError."""
    if len(text) > LARGEST_YAML:
        raise ValueError(f"more than {LARGEST_YAML} characters")
    return yaml.load(text, Loader=Loader)


def parse_yaml(
    label: str, text: str, what: str, needs: str, *, aliases: bool = True
) -> tuple[dict[str, Any], dict[Place, int]]:
    """The tree, and the line (from 1) of every key and item in it. `what` describes the file, such as "a study", and
    `needs` lists the keys that it must have. Without `aliases`, an alias is refused. Raises BadInput."""
    lines: dict[Place, int] = {}
    seen: set[int] = set()
    visits = 0

    def walk(node: yaml.Node, path: Place, active: frozenset[int]) -> None:
        nonlocal visits
        line = node.start_mark.line + 1
        if id(node) in active:
            raise BadInput(f"{label}: line {line}: an alias contains itself; write out its value")
        if id(node) in seen and not aliases:
            raise BadInput(f"{label}: line {line}: an alias repeats this value; write it out each time")
        seen.add(id(node))
        visits += 1
        if visits > _MOST_VALUES:
            raise BadInput(f"{label}: its aliases stand for more than {_MOST_VALUES} keys and values; write them out")
        active = active | {id(node)}
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key_node, value_node in node.value:
                line = key_node.start_mark.line + 1
                if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                    raise BadInput(f"{label}: line {line}: a key must be plain text")
                key = key_node.value
                if key in keys:
                    raise BadInput(f"{label}: line {line}: duplicate key '{key}'; keep one")
                keys.add(key)
                lines[(*path, key)] = line
                walk(value_node, (*path, key), active)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                lines[(*path, index)] = item.start_mark.line + 1
                walk(item, (*path, index), active)

    if len(text) > LARGEST_YAML:
        raise BadInput(f"{label}: has more than {LARGEST_YAML} characters, which is the most that is read")
    try:
        loader = Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise BadInput(f"{label}: empty; {what} needs at least {needs}")
        if not isinstance(root, yaml.MappingNode):
            held = "a list" if isinstance(root, yaml.SequenceNode) else "one text"
            raise BadInput(f"{label}: line 1: {what} is a mapping of keys to values, and this file holds {held}")
        walk(root, (), frozenset())
        tree = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise BadInput(f"{label}: {where}not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{label}: not valid YAML: {str(error) or type(error).__name__}") from None
    return with_text_keys(tree), lines


def with_text_keys(value: Any) -> Any:
    """Convert keys to text: YAML reads `no:` as False and `1:` as a number."""
    if isinstance(value, dict):
        names = {False: "no", True: "yes"}
        return {names[key] if isinstance(key, bool) else str(key): with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_text_keys(item) for item in value]
    return value


@dataclass(frozen=True, kw_only=True)
class Documented:
    """A kind of file for error messages: `what` it is, such as "a study", the `model` of its content, and the
    `page` of the documentation that lists its keys."""

    what: str
    model: type[BaseModel]
    page: str


def explain(label: str, errors: Sequence[ErrorDetails], lines: Mapping[Place, int], tree: Any, file: Documented) -> str:
    """One line for the first error, with its line number and the fix.

    `lines` has the line of each key, 0 for --set. An unknown key is reported before other errors, because it is often
    the reason why another key is missing.
    """
    error = min(errors, key=lambda item: item["type"] != "extra_forbidden")
    path = _in_tree(error["loc"], tree, missing=error["type"] == "missing")
    dotted = ".".join(map(str, path))
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    where = f"{label}: " + ("--set " if line == 0 else f"line {line}: " if line else "")
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), _known_keys(error["loc"], file.model), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"see {file.page} for the keys"
        return f"{where}{dotted}: no such key; {hint}"
    if error["type"] == "missing":
        return f"{where}{dotted}: missing; {file.what} needs it"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"].startswith("union_tag"):
        context = error.get("ctx", {})
        expected = str(context.get("expected_tags", "")).replace("'", "")
        key = str(context.get("discriminator", "")).strip("'")
        message = f"'{key}' must be one of {expected}" if expected else f"needs the key '{key}'"
    return f"{where}{dotted}: {message}" if dotted else f"{where}{message}"


def _in_tree(location: Sequence[str | int], tree: Any, *, missing: bool) -> Place:
    """A pydantic location without the steps that are not keys of the file (names of union members). If the value is
    `missing`, the last step is still a key."""
    path: list[str | int] = []
    here = tree
    for index, part in enumerate(location):
        if isinstance(here, dict) and (part in here or (missing and index == len(location) - 1)):
            path.append(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            path.append(part)
            here = here[part]
    return tuple(path)


def _known_keys(location: Iterable[str | int], model: type[BaseModel]) -> list[str]:
    """The keys allowed at a location, from walking the model's schema."""
    schema = cast(JsonSchema, model.model_json_schema(by_alias=True))
    definitions = schema.get("$defs", {})

    def candidates(node: JsonSchema) -> list[JsonSchema]:
        if "$ref" in node:
            return candidates(definitions[node["$ref"].rsplit("/", 1)[1]])
        branches = node.get("anyOf", []) + node.get("oneOf", []) + node.get("allOf", [])
        return [node] + [candidate for branch in branches for candidate in candidates(branch)]

    here = [schema]
    for part in list(location)[:-1]:
        following: list[JsonSchema] = []
        for node in here:
            others = node.get("additionalProperties")
            if isinstance(part, str) and part in node.get("properties", {}):
                following += candidates(node["properties"][part])
            elif "patternProperties" in node:
                following += [one for item in node["patternProperties"].values() for one in candidates(item)]
            elif isinstance(others, dict):
                following += candidates(others)
            elif isinstance(part, int) and "items" in node:
                following += candidates(node["items"])
        here = following or here
    return sorted({key for node in here for key in node.get("properties", {})})
