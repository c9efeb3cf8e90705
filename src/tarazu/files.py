"""Writes files atomically, and computes digests of their contents."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from tarazu.errors import BadInput, TarazuError

Json: TypeAlias = "str | bool | int | float | Sequence[Json] | Mapping[str, Json] | None"
"""A value that can be written as JSON. (pydantic's `JsonValue` is one that was read.)"""

JsonSchema = TypedDict(
    "JsonSchema",
    {
        "$defs": "dict[str, JsonSchema]",
        "$ref": str,
        "type": "str | list[str]",
        "anyOf": "list[JsonSchema]",
        "oneOf": "list[JsonSchema]",
        "allOf": "list[JsonSchema]",
        "properties": "dict[str, JsonSchema]",
        "patternProperties": "dict[str, JsonSchema]",
        "additionalProperties": "bool | JsonSchema",
        "items": "JsonSchema",
        "minimum": float,
        "maximum": float,
    },
    total=False,
)
"""A JSON Schema as pydantic generates it: the keywords that lead to the schemas of its values, and their bounds."""

# Users can fix these causes of a refused write, so they get a message instead of a traceback.
_REFUSALS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file-size limit is reached",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
}


@contextlib.contextmanager
def naming_refused_writes(target: Path) -> Iterator[None]:
    """Turn a refused write below `target` into one line. Other errors pass through."""
    try:
        yield
    except TarazuError:
        raise
    except Exception as error:
        reason = _REFUSALS.get(_errno(error))
        if reason is None:
            raise
        raise TarazuError(f"{target}: could not be written: {reason}; nothing was left half-written") from error


def _errno(error: Exception) -> int:
    """The operating system's error number, or 0. Writers in Rust (safetensors, tokenizers) raise their own errors,
    which contain it as text."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    match = re.search(r"\(os error (\d+)\)", str(error))
    return int(match[1]) if match else 0


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`. On success it replaces `path`, and on failure it is removed.

    The data reaches the disk before the rename, so a crash leaves either the old file or the new one. A kill can leave
    the hidden temporary file, which `clear_leftovers` removes.
    """
    with naming_refused_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o644)
            _fsync(temporary)
            os.replace(temporary, path)
            _fsync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def refuse_occupied(out: Path) -> None:
    """Raise BadInput where `out` is neither free for a new folder nor an empty one."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadInput(f"{out}: is a file or a link; choose another --out")
    if out.is_dir() and any(out.iterdir()):
        raise BadInput(f"{out}: is not empty; choose another --out, or remove it first")


@contextlib.contextmanager
def atomic_directory(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary directory beside `path`. On success it replaces `path`.

    Files that can be created again at any time need not be `durable`: they may reach the disk after the rename.

    A directory that is not empty cannot be replaced in one step. A kill between the two steps can leave no directory at
    all, so callers must treat a missing directory as not yet created.
    """
    with naming_refused_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        try:
            yield temporary
            os.chmod(temporary, 0o755)
            for item in temporary.rglob("*") if durable else ():
                if item.is_file():
                    _fsync(item)
            if path.exists():
                shutil.rmtree(path)
            os.replace(temporary, path)
            _fsync(path.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def clear_leftovers(directory: Path) -> None:
    """Remove what a killed writer left behind: hidden `*.partial` files and directories below `directory`."""
    for item in sorted(directory.rglob(".*.partial")):
        if item.is_dir():
            shutil.rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)


def reset_scratch(folder: Path, fingerprint: str) -> None:
    """Empty `folder` unless it has unfinished work with the same `fingerprint`, the digest of what the work depends
    on."""
    mark = folder / "of"
    if not mark.exists() or mark.read_text(encoding="utf-8") != fingerprint:
        shutil.rmtree(folder, ignore_errors=True)
        write_text(mark, fingerprint)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def to_json(value: Any) -> str:
    """JSON for files: sorted keys, two-space indent, no NaN, and the shortest floats that read back the same."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    write_text(path, to_json(value))


def digest(value: Any) -> str:
    """SHA-256 (hex) of a JSON value, independent of key order."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file, or of a directory's relative names and contents."""
    if path.is_file():
        return file_sha256(path)
    files = sorted(item for item in path.rglob("*") if item.is_file())
    return digest({item.relative_to(path).as_posix(): file_sha256(item) for item in files})
