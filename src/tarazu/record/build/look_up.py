"""Read strangers' documents at a build, and look for claims' quotations in them: in the sandbox, as the gate does.

Where there is no sandbox, the same program runs in a separate process, with the same limits of time and memory.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from tarazu.errors import BadInput
from tarazu.files import file_sha256, to_json
from tarazu.record.claims.documents import LARGEST
from tarazu.record.claims.empirical import BadResults, read_results
from tarazu.record.claims.grounding import Grounding
from tarazu.record.model import SourceClaim
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import FOLDER, OUT, PYTHON, run, unavailable

READING: Final = Limits(seconds=120, memory_mib=4096, file_mib=64, processes=32)
_PROGRAM = "tarazu.record.build._look_up"
_LIMITED = (
    "import resource, runpy, sys; memory, seconds = map(int, sys.argv[1:3]); sys.argv[1:3] = []\n"
    "resource.setrlimit(resource.RLIMIT_AS, (memory << 20, memory << 20))\n"
    "resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))\n"
    f"runpy.run_module({_PROGRAM!r}, run_name='__main__')"
)


@dataclass(frozen=True, kw_only=True)
class ReadDocument:
    """What a build needs of a document: its first heading, or why it cannot be read."""

    problem: str | None
    heading: str


@dataclass(frozen=True, kw_only=True)
class LookUp:
    """Documents by name, and the groundings of quotations by the ids of their claims."""

    documents: dict[str, ReadDocument]
    groundings: dict[str, Grounding]


def look_up(documents: Mapping[str, Path], claims: Sequence[SourceClaim], limits: Limits) -> LookUp:
    """Read `documents`, given by name, and look for the quotations of `claims`.

    Raises BadInput if a document cannot be read, or if reading takes more than `limits` allow.
    """
    for path in documents.values():
        size = path.stat().st_size
        if size > LARGEST:
            raise BadInput(f"{path}: has {size} bytes; a document of at most {LARGEST} can be read")
    if not documents:
        return LookUp(documents={}, groundings={})
    # A build looks twice: before a long analysis, and for the record.
    digests = tuple((name, str(path), file_sha256(path)) for name, path in documents.items())
    looked_up = _look_up(digests, to_json([claim.model_dump(mode="json") for claim in claims]), limits)
    for name, document in looked_up.documents.items():
        if document.problem is not None:
            raise BadInput(f"{documents[name]}: {document.problem}")
    return looked_up


@lru_cache(maxsize=16)
def _look_up(documents: tuple[tuple[str, str, str], ...], claims: str, limits: Limits) -> LookUp:
    names = ", ".join(name for name, _, _ in documents)
    with tempfile.TemporaryDirectory(prefix="tarazu-documents-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        files = {}
        for number, (name, path, _) in enumerate(documents):
            files[name] = f"{number}{Path(path).suffix}"
            shutil.copyfile(path, folder / files[name])
        job = json.dumps({"documents": files, "claims": json.loads(claims)})
        (folder / "job.json").write_text(job, encoding="utf-8")
        data, problem = _run(folder, limits)
    try:
        if data is None:
            raise BadResults(problem)
        looked_up = TypeAdapter(LookUp).validate_python(read_results(data))
    except (BadResults, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(
            f"{names}: cannot be read: the reader of documents gave no answer: {reason}; give a simpler document, or "
            "allow more with --max-seconds or --max-memory"
        ) from None
    if looked_up.documents.keys() != files.keys():
        raise BadInput(f"{names}: cannot be read: the reader of documents gave an incomplete answer")
    return looked_up


def _run(folder: Path, limits: Limits) -> tuple[bytes | None, str]:
    """The bytes that the program left, or why there are none."""
    if not unavailable():
        outcome = run([PYTHON, "-m", _PROGRAM, FOLDER, OUT], folder=folder, limits=limits)
        return outcome.result, outcome.problem
    command: list[Any] = [
        sys.executable,
        "-P",
        "-c",
        _LIMITED,
        str(limits.memory_mib),
        str(limits.seconds),
        folder,
        folder,
    ]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=limits.seconds)
    except subprocess.TimeoutExpired:
        return None, f"it was stopped: it used up its {limits.seconds} s"
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode != 0:
        return None, f"it failed (exit {done.returncode}): {lines[-1][:300] if lines else 'no message'}"
    return (folder / "results.json").read_bytes(), ""
