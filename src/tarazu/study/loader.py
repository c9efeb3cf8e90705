"""Study files: YAML with line numbers, `--set` overrides, and errors that name the key and the mend."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tarazu.errors import BadInput
from tarazu.study.schema import AnalysisSettings, Study, flatten

DATA_ROOT_VARIABLE = "TARAZU_DATA"

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedStudy:
    """A study and where each of its values came from (dotted key to `study`, `--set`, `environment`, `default`)."""

    study: Study
    origins: dict[str, str]


def shipped_studies() -> tuple[str, ...]:
    """Names of the studies in the package."""
    return tuple(sorted(item.name[:-5] for item in files("tarazu.studies").iterdir() if item.name.endswith(".yaml")))


def load_study(name: str, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> LoadedStudy:
    """Read a shipped study or a file, apply `key=value` overrides, and validate.

    Raises BadInput with the file, the line or key, and the mend.
    """
    environment = os.environ if environment is None else environment
    label, text = _read(name)
    tree, lines = _parse(label, text)
    origins = dict.fromkeys(flatten(tree), "study")
    for override in overrides:
        path, value = _override(override)
        _assign(tree, path, value, override)
        lines[path] = 0
        _note_departure(tree, path, value)
        origins = {key: origin for key, origin in origins.items() if not _below(key, path)}
        origins |= dict.fromkeys(flatten(value, ".".join(map(str, path)) + "."), "--set")
    data = tree.get("data")
    root = environment.get(DATA_ROOT_VARIABLE)
    if root and (data is None or (isinstance(data, dict) and data.get("root") is None)):
        tree["data"] = {**(data or {}), "root": root}
        origins["data.root"] = f"environment ({DATA_ROOT_VARIABLE})"
    try:
        study = Study.model_validate(tree)
    except ValidationError as error:
        raise BadInput(_explain(label, error.errors(), lines, tree)) from None
    resolved = flatten(study.model_dump(mode="json", by_alias=True))
    return LoadedStudy(study=study, origins={key: origins.get(key, "default") for key in resolved})


def load_analysis(overrides: Sequence[str] = ()) -> AnalysisSettings:
    """The settings of an analysis without a study: the defaults, with `key=value` overrides.

    Raises BadInput with the key and the mend.
    """
    tree: dict[str, Any] = {}
    lines: dict[Path_, int] = {}
    for override in overrides:
        path, value = _override(override)
        if path[0] not in AnalysisSettings.model_fields:
            names = ", ".join(AnalysisSettings.model_fields)
            raise BadInput(f"--set {override}: without --study only {names} can be set")
        _assign(tree, path, value, override)
        lines[path] = 0
    return analysis_settings(tree, lines)


def analysis_settings(tree: Mapping[str, Any], lines: Mapping[Path_, int] | None = None) -> AnalysisSettings:
    """The settings of an analysis from a mapping such as {"thresholds": {"harmless": -2}}; the rest are the defaults.

    `lines` says where a key stands, 0 for --set. Raises BadInput with the key and the mend.
    """
    try:
        return AnalysisSettings.model_validate(tree)
    except ValidationError as error:
        raise BadInput(_explain("analyze", error.errors(), lines or {}, tree)) from None


def _read(name: str) -> tuple[str, str]:
    """The label for messages and the text of a shipped study or a file."""
    if name in shipped_studies():
        return name, files("tarazu.studies").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    path = Path(name)
    if not path.is_file():
        near = difflib.get_close_matches(name, shipped_studies(), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"shipped studies: {', '.join(shipped_studies())}"
        raise BadInput(f"{name}: no such study file; {hint}")
    try:
        return name, path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}: byte {error.start}: not UTF-8; save the study as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{name}: cannot be read: {error.strerror}") from None


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key that stands twice, which YAML would silently let win."""


def _parse(label: str, text: str) -> tuple[dict[str, Any], dict[Path_, int]]:
    """The tree and the line (from 1) of every key and item in it."""
    lines: dict[Path_, int] = {}

    def walk(node: yaml.Node, path: Path_, active: frozenset[int]) -> None:
        if id(node) in active:
            raise BadInput(f"{label}: line {node.start_mark.line + 1}: an alias that contains itself; write it out")
        active = active | {id(node)}
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key_node, value_node in node.value:
                line = key_node.start_mark.line + 1
                if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                    raise BadInput(f"{label}: line {line}: a key must be plain text")
                key = key_node.value
                if key in seen:
                    raise BadInput(f"{label}: line {line}: '{key}' stands twice; leave one")
                seen.add(key)
                lines[(*path, key)] = line
                walk(value_node, (*path, key), active)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                lines[(*path, index)] = item.start_mark.line + 1
                walk(item, (*path, index), active)

    try:
        root = yaml.compose(text, Loader=_Loader)
        if root is None:
            raise BadInput(f"{label}: empty; a study needs at least name, model, prompts, arms and reward")
        if not isinstance(root, yaml.MappingNode):
            raise BadInput(f"{label}: line 1: a study is a mapping of keys to values")
        walk(root, (), frozenset())
        tree = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise BadInput(f"{label}: {where}not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{label}: not valid YAML: {str(error) or type(error).__name__}") from None
    return _with_text_keys(tree), lines


def _with_text_keys(value: Any) -> Any:
    """Keys as text: YAML reads `no:` as False and `1:` as a number."""
    if isinstance(value, dict):
        names = {False: "no", True: "yes"}
        return {names[key] if isinstance(key, bool) else str(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_text_keys(item) for item in value]
    return value


def _override(text: str) -> tuple[Path_, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise BadInput(f"--set {text}: write key=value, for example --set thresholds.harmless=-2")
    try:
        parsed = yaml.load(value, Loader=_Loader) if value else ""
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(f"--set {text}: the value is not valid YAML: {error}") from None
    parts = key.strip().split(".")
    if not all(parts):
        raise BadInput(f"--set {text}: the key has an empty part; write key.key=value")
    return tuple(int(part) if part.isdigit() else part for part in parts), _with_text_keys(parsed)


def _assign(tree: dict[str, Any], path: Path_, value: Any, text: str) -> None:
    """Set a value in place, making mappings on the way; a number indexes a list."""
    here: Any = tree
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(here, list):
            if not isinstance(part, int) or part >= len(here):
                raise BadInput(
                    f"--set {text}: {'.'.join(map(str, path[:depth]))} is a list of {len(here)}; "
                    f"'{part}' is no index of it"
                )
        elif isinstance(here, dict):
            part = str(part)
            if not last and not isinstance(here.get(part), dict | list):
                here[part] = {}
        else:
            raise BadInput(f"--set {text}: {'.'.join(map(str, path[:depth]))} holds a value, not keys")
        if last:
            here[part] = value
        else:
            here = here[part]


def _note_departure(tree: dict[str, Any], path: Path_, value: Any) -> None:
    """A stated setting that the command line changes is stated no longer; its entry in `sources` says so."""
    sources = tree.get("sources")
    if not isinstance(sources, dict):
        return
    for key, origin in sources.items():
        if _below(key, path) and isinstance(origin, dict) and origin.get("tag") == "stated":
            note = f"Set to {value!r} on the command line; the publication states {origin.get('value')!r}."
            sources[key] = {"tag": "assumed", "note": note}


def _below(key: str, path: Path_) -> bool:
    prefix = ".".join(map(str, path))
    return key == prefix or key.startswith(prefix + ".")


def _explain(label: str, errors: Sequence[ErrorDetails], lines: Mapping[Path_, int], tree: Any) -> str:
    """One line for the first thing that is wrong, with the line it stands on and the mend.

    An unknown key comes before all else: it is often why another is missing.
    """
    error = min(errors, key=lambda item: item["type"] != "extra_forbidden")
    path = _in_tree(error["loc"], tree, missing=error["type"] == "missing")
    dotted = ".".join(map(str, path))
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    where = f"{label}: " + ("--set " if line == 0 else f"line {line}: " if line else "")
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), _known_keys(error["loc"]), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "see docs/study.md for the keys"
        return f"{where}{dotted}: no such key; {hint}"
    if error["type"] == "missing":
        return f"{where}{dotted}: missing; a study needs it"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"].startswith("union_tag"):
        context = error.get("ctx", {})
        expected = str(context.get("expected_tags", "")).replace("'", "")
        key = str(context.get("discriminator", "")).strip("'")
        message = f"'{key}' must be one of {expected}" if expected else f"needs the key '{key}'"
    return f"{where}{dotted}: {message}" if dotted else f"{where}{message}"


def _in_tree(location: Sequence[str | int], tree: Any, *, missing: bool) -> Path_:
    """A pydantic location without the steps that are not keys of the file (names of union members); the last step of
    what is `missing` is a key all the same."""
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


def _known_keys(location: Iterable[str | int]) -> list[str]:
    """The keys allowed at a location, found by walking the schema."""
    schema = Study.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})

    def candidates(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return candidates(definitions[node["$ref"].rsplit("/", 1)[1]])
        branches = node.get("anyOf", []) + node.get("oneOf", []) + node.get("allOf", [])
        return [node] + [found for branch in branches for found in candidates(branch)]

    here = [schema]
    for part in list(location)[:-1]:
        following: list[dict[str, Any]] = []
        for node in here:
            if part in node.get("properties", {}):
                following += candidates(node["properties"][part])
            elif "patternProperties" in node:
                following += [found for item in node["patternProperties"].values() for found in candidates(item)]
            elif isinstance(node.get("additionalProperties"), dict):
                following += candidates(node["additionalProperties"])
            elif isinstance(part, int) and isinstance(node.get("items"), dict):
                following += candidates(node["items"])
        here = following or here
    return sorted({key for node in here for key in node.get("properties", {})})
