"""Reads the user's own task files as data, and refuses files that would run code.

A task file of the harness can name Python functions (`!function`), classes and metrics that are programs, data in
pickles, and templates that reach into Python. Without `trust_task_code`, only the keys, readers and metrics of the
lists below are allowed. Templates are rendered in jinja2's sandbox in any case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tarazu.errors import BadInput

_KEYS = {
    *("task", "tag", "include", "description", "metadata", "dataset_path", "dataset_name", "dataset_kwargs"),
    *("training_split", "validation_split", "test_split", "fewshot_split", "fewshot_config", "num_fewshot"),
    *("output_type", "doc_to_text", "doc_to_target", "doc_to_choice", "target_delimiter", "fewshot_delimiter"),
    *("gen_prefix", "generation_kwargs", "filter_list", "metric_list", "should_decontaminate", "repeats"),
    "doc_to_decontamination_query",
}
_READERS = {"json", "csv", "parquet"}
_READER_KEYS = {"data_files", "data_dir", "field", "sep", "delimiter", "revision", "split"}
_METRICS = {"acc", "acc_norm", "acc_bytes", "exact_match", "f1"}
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(?<!\.py)")


def check_folder(folder: Path) -> None:
    """Raises BadInput, which names the file, if a task file in `folder` contains or names code."""
    folder = folder.resolve()
    for path in sorted(folder.rglob("*.yaml")):
        _check_file(path.resolve(), folder, ())


def _check_file(path: Path, folder: Path, above: tuple[Path, ...]) -> None:
    if not path.is_relative_to(folder):
        raise BadInput(f"{path}: is outside capability.include_path; copy it into {folder}")
    if path in above:
        raise BadInput(f"{path}: includes itself")
    content = _read(path)
    unknown = sorted(set(content) - _KEYS)
    if unknown:
        raise _refused(path, f"'{unknown[0]}' is not a key of a task without code")
    _check_data(path, content)
    _check_metrics(path, content)
    included = content.get("include", [])
    for name in included if isinstance(included, list) else [included]:
        target = path.parent / str(name)
        if not target.is_file():
            raise BadInput(f"{path}: include: {name}: no such file")
        _check_file(target.resolve(), folder, (*above, path))


class _Loader(yaml.SafeLoader):
    """YAML with the standard tags only."""


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.constructor.ConstructorError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise _refused(path, f"{where}{error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{path}: cannot be read as YAML: {error}") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path}: a task is a mapping of keys to values")
    return content


def _check_data(path: Path, content: Mapping[str, Any]) -> None:
    source = content.get("dataset_path")
    if source is not None and source not in _READERS and not _HUB_NAME.fullmatch(str(source)):
        raise _refused(path, f"dataset_path: '{source}' is neither {', '.join(sorted(_READERS))} nor a Hub name")
    if (
        source is not None
        and source not in _READERS
        and any((place / source).exists() for place in (path.parent, Path()))
    ):
        raise _refused(path, f"dataset_path: '{source}' is a local folder; read its files with dataset_path: json")
    for key in content.get("dataset_kwargs") or {}:
        if key not in _READER_KEYS:
            raise _refused(path, f"dataset_kwargs.{key}: not one of {', '.join(sorted(_READER_KEYS))}")


def _check_metrics(path: Path, content: Mapping[str, Any]) -> None:
    for metric in content.get("metric_list") or []:
        if metric.get("metric") not in _METRICS or metric.get("hf_evaluate"):
            raise _refused(path, f"metric_list: '{metric.get('metric')}' is not one of {', '.join(sorted(_METRICS))}")
        if metric.get("aggregation", "mean") != "mean":
            raise _refused(path, f"metric_list: aggregation '{metric['aggregation']}' is not mean")
    for chain in content.get("filter_list") or []:
        for step in chain.get("filter") or []:
            if step.get("function") == "custom":
                raise _refused(path, "filter_list: a custom filter is code")


def _refused(path: Path, problem: str) -> BadInput:
    return BadInput(
        f"{path}: {problem}; task files that run code are refused: set capability.trust_task_code: true if you trust "
        "every file of this folder"
    )


def absolute_data_files(kwargs: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The arguments of a reader, with relative file names resolved from `folder`, the folder of the task file."""

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [resolved(item) for item in value]
        return value if "://" in str(value) else str(folder / str(value))

    return {key: resolved(value) if key in ("data_files", "data_dir") else value for key, value in kwargs.items()}
