"""Study files: YAML with line numbers, `--set` overrides, and errors that name the key and the fix."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tarazu.errors import BadInput
from tarazu.languages import UnknownLanguage, language_code, name_of
from tarazu.readers import signature
from tarazu.study.schema import AnalysisSettings, LanguageFacts, Study, flatten
from tarazu.tables import is_missing, open_table
from tarazu.yaml_files import Documented, Loader, Place, explain, parse_yaml, with_text_keys

DATA_ROOT_VARIABLE = "TARAZU_DATA"


@dataclass(frozen=True, kw_only=True)
class LoadedStudy:
    """A study, and the origin of each of its values: dotted key to `study`, `--set`, `environment` or `default`."""

    study: Study
    origins: dict[str, str]


def shipped_studies() -> tuple[str, ...]:
    """Names of the studies that come with the package."""
    return tuple(sorted(item.name[:-5] for item in files("tarazu.studies").iterdir() if item.name.endswith(".yaml")))


def load_study(name: str, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> LoadedStudy:
    """Read a shipped study or a file, apply `key=value` overrides, and validate.

    Raises BadInput, which names the file, the line or key, and the fix.
    """
    return study_from_text(*_read(name), overrides, environment)


def study_from_text(
    label: str, text: str, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> LoadedStudy:
    """The study that a YAML text describes; messages call it `label`. Otherwise as `load_study`."""
    environment = os.environ if environment is None else environment
    tree, lines = parse_yaml(label, text, "a study", "name, model, prompts, arms and reward")
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
    table = _add_language_table(tree, label)
    try:
        study = Study.model_validate(tree)
    except ValidationError as error:
        raise BadInput(_explain(label, error.errors(), lines, tree)) from None
    if table:
        # The lock file then has the facts and the codes, and needs no table.
        study = study.model_copy(update={"languages": study.language_codes()})
        origins |= dict.fromkeys(("languages", *flatten({"groups": {"languages": table}})), "study")
    resolved = flatten(study.model_dump(mode="json", by_alias=True))
    return LoadedStudy(study=study, origins={key: origins.get(key, "default") for key in resolved})


def study_text(study: Study) -> str:
    """The study as a YAML file without settings that have their default. Reading it gives the same study."""
    tree = study.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def _add_language_table(tree: dict[str, Any], label: str) -> dict[str, dict[str, str]]:
    """Put the facts of `languages.table` into `groups.languages` of a study's tree, and return them by code. What the
    study itself says about a language has precedence."""
    languages, data, groups = (tree.get(key) for key in ("languages", "data", "groups"))
    given = languages.get("table") if isinstance(languages, dict) else None
    if not isinstance(given, str):
        return {}
    root = data.get("root") if isinstance(data, dict) else None
    facts = read_language_table(_table_path(given, root if isinstance(root, str) else None, label))
    own = {} if groups is None else groups.get("languages", {}) if isinstance(groups, dict) else None
    if isinstance(own, dict):
        merged: dict[str, Any] = dict(facts)
        for name, said in own.items():
            code = _code_if_known(name)
            merged[code] = {**facts.get(code, {}), **said} if isinstance(said, dict) else said
        tree["groups"] = {**(groups or {}), "languages": merged}
    return facts


def _code_if_known(name: Any) -> str:
    try:
        return language_code(str(name))
    except UnknownLanguage:
        return str(name)


def _table_path(given: str, root: str | None, label: str) -> Path:
    """Where a table of languages is: in the folder of data paths or, if it is not there, in that of the study file.

    Raises BadInput if it is in neither, or is a different file in each.
    """
    try:
        folders = [Path(root or ".").expanduser()]
        path = Path(given).expanduser()
    except RuntimeError:
        raise BadInput(f"languages.table: {given}: no such home folder; write the complete path") from None
    if label not in shipped_studies():
        folders.append(Path(label).parent)
    tried = list(dict.fromkeys(folder / path for folder in folders))
    there = [one for one in tried if one.is_file()]
    if not there:
        raise BadInput(f"languages.table: no such file: {' and no '.join(map(str, tried))}")
    if len(there) > 1 and not there[0].samefile(there[1]) and there[0].read_bytes() != there[1].read_bytes():
        raise BadInput(f"languages.table: {there[0]} and {there[1]} are different files; write the complete path")
    return there[0]


def read_language_table(path: Path) -> dict[str, dict[str, str]]:
    """The facts of a table of languages, by the one code of each language.

    Raises BadInput with the line of an unknown or repeated language or column, or of an invalid fact.
    """
    facts: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    table = open_table(path, ids=["joshi_class"])
    for line, row in table.rows:
        place = f"{path}: {table.form.unit} {line}"
        known = f"a table of languages has code, and any of {', '.join(LanguageFacts.model_fields)}"
        if "code" not in row:
            raise BadInput(f"{place}: has no column code; {known}")
        unknown = next((name for name in row if name not in ("", "code", *LanguageFacts.model_fields)), None)
        if unknown is not None:
            raise BadInput(f"{place}: unknown column '{unknown[:40]}'; {known}")
        values = {name: str(row[name]).strip() for name in LanguageFacts.model_fields if not is_missing(row.get(name))}
        try:
            code = language_code(str(row["code"]))
            LanguageFacts.model_validate(values)
        except UnknownLanguage as error:
            raise BadInput(f"{place}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            raise BadInput(f"{place}: {name} '{values[name][:40]}': {first['msg']}") from None
        if code in facts:
            raise BadInput(f"{place}: {name_of(code)} ({code}) is also in {table.form.unit} {lines[code]}; keep one")
        facts[code], lines[code] = values, line
    return facts


def load_analysis(overrides: Sequence[str] = ()) -> AnalysisSettings:
    """The settings of an analysis without a study: the defaults, with `key=value` overrides.

    Raises BadInput, which names the key and the fix.
    """
    tree: dict[str, Any] = {}
    lines: dict[Place, int] = {}
    for override in overrides:
        path, value = _override(override)
        if path[0] not in AnalysisSettings.model_fields:
            names = ", ".join(AnalysisSettings.model_fields)
            raise BadInput(f"--set {override}: without --study only {names} can be set")
        _assign(tree, path, value, override)
        lines[path] = 0
    return analysis_settings(tree, lines)


def analysis_settings(tree: Mapping[str, Any], lines: Mapping[Place, int] | None = None) -> AnalysisSettings:
    """The settings of an analysis from a mapping such as {"thresholds": {"harmless": -2}}; the others are the defaults.

    `lines` has the line of each key, 0 for --set. Raises BadInput, which names the key and the fix.
    """
    try:
        return AnalysisSettings.model_validate(tree)
    except ValidationError as error:
        raise BadInput(_explain("analyze", error.errors(), lines or {}, tree)) from None


def _read(name: str) -> tuple[str, str]:
    """The name to use in messages, and the text, of a shipped study or a file."""
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
        if what := signature(error.object):
            raise BadInput(f"{name}: is {what[0]}; a study is a YAML file") from None
        raise BadInput(f"{name}: byte {error.start}: not UTF-8; save the study as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{name}: cannot be read: {error.strerror}") from None


def _override(text: str) -> tuple[Place, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise BadInput(f"--set {text}: write key=value, for example --set thresholds.harmless=-2")
    try:
        parsed = yaml.load(value, Loader=Loader) if value else ""
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(f"--set {text}: the value is not valid YAML: {error}") from None
    parts = key.strip().split(".")
    if not all(parts):
        raise BadInput(f"--set {text}: the key has an empty part; write key.key=value")
    return tuple(int(part) if part.isdigit() else part for part in parts), with_text_keys(parsed)


def _assign(tree: dict[str, Any], path: Place, value: Any, text: str) -> None:
    """Set the value at `path`, adding mappings where they are missing. A number indexes a list."""
    node: Any = tree
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(node, list):
            if not isinstance(part, int) or part >= len(node):
                raise BadInput(
                    f"--set {text}: {'.'.join(map(str, path[:depth]))} is a list of {len(node)}; "
                    f"'{part}' is not an index of it"
                )
        elif isinstance(node, dict):
            part = str(part)
            if not last and not isinstance(node.get(part), dict | list):
                node[part] = {}
        else:
            raise BadInput(f"--set {text}: {'.'.join(map(str, path[:depth]))} holds a value, not keys")
        if last:
            node[part] = value
        else:
            node = node[part]


def _note_departure(tree: dict[str, Any], path: Place, value: Any) -> None:
    """Mark a stated setting that the command line changes as assumed, with a note, in `sources`."""
    sources = tree.get("sources")
    if not isinstance(sources, dict):
        return
    for key, origin in sources.items():
        if _below(key, path) and isinstance(origin, dict) and origin.get("tag") == "stated":
            note = f"Set to {value!r} on the command line; the publication states {origin.get('value')!r}."
            sources[key] = {"tag": "assumed", "note": note}


def _below(key: str, path: Place) -> bool:
    prefix = ".".join(map(str, path))
    return key == prefix or key.startswith(prefix + ".")


def _explain(label: str, errors: Sequence[ErrorDetails], lines: Mapping[Place, int], tree: Any) -> str:
    file = Documented(what="a study", model=Study, page="docs/study.md")
    return explain(label, errors, lines, tree, file)
