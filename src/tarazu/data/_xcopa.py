"""XCOPA: a premise and two alternatives, one of which is its cause or its effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tarazu.data._sources import NumberedRow, SourcePrompt, SourcePrompts, hub_rows, need_folder, only_existing, resolve
from tarazu.data.rows import Kind
from tarazu.errors import BadInput
from tarazu.readers import field, read_jsonl
from tarazu.study.sources import XCOPAPrompts

QUESTIONS: dict[str, dict[str, str]] = {
    "et": {"cause": "Mis oli selle põhjus?", "effect": "Mis selle tagajärjel juhtus?"},
    "ht": {"cause": "Ki sa ki te lakòz sa?", "effect": "Ki sa ki te rive apre sa?"},
    "id": {"cause": "Apa penyebabnya?", "effect": "Apa yang terjadi sebagai akibatnya?"},
    "it": {"cause": "Qual è stata la causa?", "effect": "Che cosa è successo di conseguenza?"},
    "qu": {"cause": "Imaraykutaq chay karqan?", "effect": "Chayrayku imataq pasarqan?"},
    "sw": {"cause": "Sababu ilikuwa nini?", "effect": "Nini kilitokea kama matokeo?"},
    "ta": {"cause": "இதற்குக் காரணம் என்ன?", "effect": "இதன் விளைவாக என்ன நடந்தது?"},
    "th": {"cause": "สาเหตุคืออะไร", "effect": "ผลที่เกิดขึ้นคืออะไร"},
    "tr": {"cause": "Bunun nedeni neydi?", "effect": "Bunun sonucunda ne oldu?"},
    "vi": {"cause": "Nguyên nhân là gì?", "effect": "Kết quả là gì?"},
    "zh": {"cause": "原因是什么？", "effect": "结果发生了什么？"},
}
"""What was the cause? What happened as a result? XCOPA has only the words `cause` and `effect`. The project wrote these
questions itself; they are machine-authored and not reviewed by native speakers."""


def xcopa_prompts(
    settings: XCOPAPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """Premise, new line, question, in each language. The alternatives are the known answers."""
    requests = SourcePrompts()
    for code, label, rows in _files(settings, languages, root):
        seen: set[int] = set()
        for line, row in rows:
            index = field(row, "idx", int, label, line)
            if index in seen:
                raise BadInput(f"{label}: line {line}: duplicate idx {index}; keep one")
            seen.add(index)
            question = field(row, "question", str, label, line)
            if question not in QUESTIONS[code]:
                raise BadInput(f"{label}: line {line}: question is '{question}'; it must be cause or effect")
            right = field(row, "label", int, label, line)
            if right not in (0, 1):
                raise BadInput(f"{label}: line {line}: label is {right}; it must be 0 (choice1) or 1 (choice2)")
            choices = [field(row, name, str, label, line).strip() for name in ("choice1", "choice2")]
            premise = field(row, "premise", str, label, line).strip()
            if not premise:
                requests.dropped["empty prompt"] += 1
                continue
            requests.rows.append(
                SourcePrompt(
                    prompt_id=f"xcopa-{settings.split}-{index}",
                    language=code,
                    text=f"{premise}\n{QUESTIONS[code][question]}",
                    good=choices[right],
                    bad=choices[1 - right],
                )
            )
    return requests


def _files(
    settings: XCOPAPrompts, languages: frozenset[str], root: Path | None
) -> Iterator[tuple[str, Path | str, Iterable[NumberedRow]]]:
    codes = [code for code in QUESTIONS if code in languages]
    if settings.path is None:
        split = "validation" if settings.split == "val" else settings.split
        for code in codes:
            yield code, f"Hub dataset {settings.hub} ({code})", hub_rows(settings.hub, name=code, split=split)
        return
    folder = resolve(settings.path, root)
    need_folder(folder, f"{settings.split}.<code>.jsonl")
    paths = {}
    for code in QUESTIONS:
        name = f"{settings.split}.{code}.jsonl"
        path = only_existing([folder / name, folder / code / name])  # flat, or as in the repository's data/
        if path is not None:
            paths[code] = path
    if not paths:
        raise BadInput(f"{folder}: contains no {settings.split}.<code>.jsonl; check the path and `split`")
    for code in codes:
        if code in paths:
            # Several of the published files end their lines in \r\n.
            yield code, paths[code], read_jsonl(paths[code], lenient=True)
