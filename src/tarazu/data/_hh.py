"""HH-RLHF transcripts as preference pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tarazu.data._sources import NumberedRow, content_id, hub_rows, is_folder, resolve
from tarazu.data.rows import TURN_ASSISTANT, TURN_HUMAN, PreferencePair, turns_of
from tarazu.errors import BadInput
from tarazu.readers import field
from tarazu.study.sources import HHPairs, HHPrompts
from tarazu.tables import read_rows


def hh_id(transcript: str) -> str:
    """The prompt_id of an HH-RLHF prompt. It depends only on the text, so train and test splits give the same id."""
    return content_id("hh", transcript)


def hh_pairs(
    settings: HHPairs | HHPrompts, root: Path | None, dropped: Counter[str]
) -> Iterator[tuple[int, PreferencePair]]:
    """Numbered pairs of HH-RLHF, split at the last assistant turn. Other rows are counted in `dropped`."""
    number = 0
    for label, rows in _hh_files(settings, root):
        for line, row in rows:
            number += 1
            chosen, rejected = (field(row, name, str, label, line) for name in ("chosen", "rejected"))
            cuts = [text.rfind(TURN_ASSISTANT) for text in (chosen, rejected)]
            if min(cuts) < 0:
                dropped["no assistant turn"] += 1
                continue
            ends = [cut + len(TURN_ASSISTANT) for cut in cuts]
            prompt = chosen[: ends[0]]
            if prompt != rejected[: ends[1]]:
                dropped["prompts differ"] += 1
            elif not prompt.startswith(TURN_HUMAN):
                dropped["no human turn first"] += 1
            elif turns_of(prompt)[-1].role != "user":
                dropped["no human turn before the answer"] += 1
            elif any(TURN_HUMAN in text[end:] for text, end in zip((chosen, rejected), ends, strict=True)):
                dropped["a human turn after the answer"] += 1
            else:
                yield (
                    number,
                    PreferencePair(
                        prompt_id=hh_id(prompt),
                        language="en",
                        source=settings.source,
                        prompt=prompt,
                        chosen=chosen[ends[0] :],
                        rejected=rejected[ends[1] :],
                    ),
                )


def _hh_files(settings: HHPairs | HHPrompts, root: Path | None) -> Iterator[tuple[Path | str, Iterator[NumberedRow]]]:
    if settings.path is None:
        rows = hub_rows(settings.hub, data_dir=settings.subset, split=settings.split)
        yield f"Hub dataset {settings.hub}", rows
        return
    path = resolve(settings.path, root)
    if not is_folder(path):
        yield path, read_rows(path)
        return
    names = [f"{joint}{settings.split}.jsonl{ending}" for joint in ("/", ".") for ending in ("", ".gz")]
    if settings.subset is None:
        files = sorted(file for name in names for file in path.glob(f"*{name}"))
    else:
        files = [file for name in names if (file := path / f"{settings.subset}{name}").is_file()]
    subset = settings.subset or "<subset>"
    if not files:
        raise BadInput(
            f"{path}: contains no {subset}/{settings.split}.jsonl.gz and no {subset}.{settings.split}.jsonl.gz; "
            "name the file, or a folder laid out as the dataset's repository"
        )
    for file in files:
        yield file, read_rows(file)
