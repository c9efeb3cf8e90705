"""Files in the formats of published sources of data."""

from __future__ import annotations

from pathlib import Path


def xnli_table(path: Path, rows: list[tuple[str, str, str, str, str]]) -> None:
    header = ["language", "gold_label", "sentence1_parse", "sentence1", "sentence2", "promptID", "pairID"]
    lines = ["\t".join(header)]
    lines += ["\t".join([code, label, "", one, two, number, number]) for code, label, one, two, number in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
