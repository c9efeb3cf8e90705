"""The files of a record as they are written, and what the manifest says of each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tarazu.files import file_sha256, to_json
from tarazu.record.model import Artifact, Part, Role
from tarazu.record.schemas import check_schema

_MEDIA_TYPES = {
    ".cff": "application/yaml",
    ".html": "text/html",
    ".json": "application/json",
    ".lean": "text/x-lean",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".smt2": "text/x-smtlib2",
    ".yaml": "application/yaml",
}


class Writer:
    """Writes into `folder` and keeps, by path, what the manifest says of each file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.artifacts: dict[str, Artifact] = {}

    def listed(self) -> list[Artifact]:
        """What was written so far, by path."""
        return [self.artifacts[path] for path in sorted(self.artifacts)]

    def copy(self, path: str, source: Path, role: Role, media_type: str | None = None) -> None:
        target = self._target(path)
        shutil.copyfile(source, target)
        self._note(path, role, media_type)

    def text(self, path: str, text: str, role: Role) -> None:
        self._target(path).write_text(text, encoding="utf-8", newline="\n")
        self._note(path, role)

    def model(self, path: str, value: Part, role: Role, schema: str) -> None:
        write_model(self._target(path), value, schema)
        self._note(path, role)

    def _target(self, path: str) -> Path:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _note(self, path: str, role: Role, media_type: str | None = None) -> None:
        target = self._folder / path
        self.artifacts[path] = Artifact(
            path=path,
            role=role,
            media_type=media_type or _MEDIA_TYPES.get(target.suffix, "application/octet-stream"),
            size=target.stat().st_size,
            sha256=file_sha256(target),
        )


def write_model(path: Path, value: Part, schema: str) -> None:
    """Write a model as JSON, checked against its published schema."""
    dumped: Any = value.model_dump(mode="json", by_alias=True)
    check_schema(dumped, schema, path.name)
    path.write_text(to_json(dumped), encoding="utf-8", newline="\n")
