"""Inspect's logs: `.eval` (a zip of JSON files) and `.json`."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tarazu.data.forms.messages import Unusable, turns
from tarazu.data.importers.rows import Given, Imported, Place, ResponseRow, Skip, conversation_text, loads
from tarazu.errors import BadInput

TOOL = "inspect"

LARGEST_MEMBER = 2**28
"""Bytes of one unpacked file of a log. A sample with long transcripts has some megabytes."""
_ZSTD = 93
_GRADES = {"C": 1, "I": 0, "N": 0}
"""Inspect's grades: correct, incorrect, no answer. A partial one (P) is not a label."""

_FINISH = {"stop": "eos", "max_tokens": "length", "length": "length"}


def is_log(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("eval"), dict) and "status" in value


def zipped_log(path: Path, given: Given) -> Imported:
    """The samples of an `.eval` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            header = next((name for name in ("header.json", "_journal/start.json") if name in names), None)
            if header is None:
                raise BadInput(f"{path}: is a zip archive, but no log of inspect (it has no header.json)")
            log = loads(_member(path, archive, header), f"{path}: {header}")
            return _samples(path, log, _members(path, archive), given)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise BadInput(f"{path}: not a complete zip archive ({str(error)[:80]}); copy the log again") from None


def json_log(path: Path, log: Mapping[str, Any], given: Given) -> Imported:
    """The samples of a log that is one JSON object."""
    samples = log.get("samples")
    rows = enumerate(samples if isinstance(samples, list) else [], 1)
    return _samples(path, log, ((f"sample {number}", sample) for number, sample in rows), given)


def _members(path: Path, archive: zipfile.ZipFile) -> Iterator[tuple[str, Any]]:
    for name in sorted(set(archive.namelist())):
        if name.startswith("samples/") and name.endswith("/sample.json"):
            raise BadInput(f"{path}: its samples are in parts; write it with `inspect log convert --to json` first")
        if name.startswith("samples/") and name.endswith(".json") and name.count("/") == 1:
            yield name, loads(_member(path, archive, name), f"{path}: {name}")


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > LARGEST_MEMBER:
        raise BadInput(f"{path}: {name} has {info.file_size:,} bytes unpacked, more than {LARGEST_MEMBER:,}")
    if info.compress_type == _ZSTD:
        return _zstandard(path, info)
    with archive.open(info) as stream:
        return stream.read(LARGEST_MEMBER)


def _zstandard(path: Path, info: zipfile.ZipInfo) -> bytes:
    """A member that is compressed as inspect does since 2025, which Python's zipfile reads from 3.14 on."""
    import pyarrow as pa

    with path.open("rb") as file:
        file.seek(info.header_offset)
        local = file.read(30)
        file.seek(
            info.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
        )
        packed = file.read(info.compress_size)
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            data: bytes = stream.read(info.file_size)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise zipfile.BadZipFile(f"{info.filename}: {error}") from None
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile(f"{info.filename} is damaged")
    return data


def _samples(path: Path, log: Any, samples: Iterator[tuple[str, Any]], given: Given) -> Imported:
    spec = log.get("eval") if isinstance(log, dict) else None
    if not isinstance(spec, dict):
        raise BadInput(f"{path}: is no log of inspect (it names no eval)")
    imported = Imported(path=path, tool=TOOL)
    for name, sample in samples:
        if not isinstance(sample, dict):
            raise BadInput(f"{path}: {name}: is not a sample of inspect; write the log again")
        metadata = sample.get("metadata")
        facts = metadata if isinstance(metadata, dict) else {}
        place = Place(path=path, row=name, given=given, facts=facts)
        scores = sample.get("scores")
        scores = scores if isinstance(scores, dict) else {}
        imported.metrics |= set(scores)
        try:
            imported.responses.append(_response(sample, scores, place, spec))
        except (Skip, Unusable) as reason:
            imported.excluded[reason.reason if isinstance(reason, Unusable) else str(reason)] += 1
    return imported


def _response(
    sample: Mapping[str, Any], scores: Mapping[str, Any], place: Place, spec: Mapping[str, Any]
) -> ResponseRow:
    if sample.get("error"):
        raise Skip("the sample ended with an error")
    request, epoch = sample.get("input"), sample.get("epoch", 1)
    if not isinstance(epoch, int) or not 1 <= epoch < 2**31:
        raise place.refuse(f"epoch is {str(epoch)[:20]!r}; it must be a whole number from 1")
    prompt = _text(request, sample) if isinstance(request, str) else conversation_text(_input(request, sample))
    response, finish = _completion(sample)
    score = scores.get(place.given.metric or "")
    value = score.get("value") if isinstance(score, dict) else None
    task = spec.get("task")
    return ResponseRow(
        arm=place.arm(spec.get("model")),
        language=place.language(),
        kind=place.kind(),
        prompt_id=place.prompt_id(task if isinstance(task, str) else TOOL, sample.get("id")),
        source=TOOL,
        sample=epoch - 1,
        label=place.label(_GRADES.get(value, value) if isinstance(value, str) else value),
        prompt=prompt,
        response=response,
        finish=finish,
    )


def _input(messages: Any, sample: Mapping[str, Any]) -> Any:
    return tuple(turn._replace(content=_text(turn.content, sample)) for turn in turns(messages, "input"))


def _completion(sample: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text of the answer, without its reasoning, and why it ended."""
    output = sample.get("output")
    output = output if isinstance(output, dict) else {}
    choices = output.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    text = output.get("completion")
    if not text:
        message = choice.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
            content = "".join(str(part.get("text", "")) for part in parts)
        text = content if isinstance(content, str) else text
    if not isinstance(text, str):
        raise Skip("no response")
    reason = choice.get("stop_reason")
    return _text(text, sample), _FINISH.get(reason) if isinstance(reason, str) else None


def _text(value: str, sample: Mapping[str, Any]) -> str:
    """A text, which a log may keep apart from its sample."""
    attachments = sample.get("attachments")
    if value.startswith("attachment://") and isinstance(attachments, dict):
        kept = attachments.get(value.removeprefix("attachment://"))
        return kept if isinstance(kept, str) else value
    return value
