"""XNLI: a premise, and sentences that it entails, contradicts, or does neither with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tarazu.data._sources import SourcePrompt, SourcePrompts, hub_rows, need_folder, only_existing, resolve
from tarazu.data.rows import Kind
from tarazu.errors import BadInput
from tarazu.readers import field as of
from tarazu.readers import read_tsv
from tarazu.study.sources import XNLIPrompts

QUESTIONS = {
    "ar": "ماذا نستنتج من هذا؟",
    "bg": "Какво следва от това?",
    "de": "Was folgt daraus?",
    "el": "Τι προκύπτει από αυτό;",
    "en": "What follows from this?",
    "es": "¿Qué se deduce de esto?",
    "fr": "Que peut-on en déduire ?",
    "hi": "इससे क्या निष्कर्ष निकलता है?",
    "ru": "Что из этого следует?",
    "sw": "Tunaweza kuhitimisha nini kutokana na hili?",
    "th": "จากข้อความนี้สรุปได้ว่าอะไร",
    "tr": "Bundan ne sonuç çıkar?",
    "ur": "اس سے کیا نتیجہ نکلتا ہے؟",
    "vi": "Từ điều này có thể suy ra điều gì?",
    "zh": "由此可以得出什么？",
}
"""What follows from this? XNLI has no questions. The project wrote these itself; they are machine-authored and not
reviewed by native speakers."""

LABELS = ("entailment", "neutral", "contradiction")
_COLUMNS = ("language", "gold_label", "sentence1", "sentence2", "promptID")


@dataclass(kw_only=True)
class _Premise:
    text: str
    hypotheses: dict[str, str] = field(default_factory=dict)


def xnli_prompts(
    settings: XNLIPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """Premise, new line, question, in each language. The entailed and the contradicting sentence are known answers."""
    requests = SourcePrompts()
    for code, premises in _premises(settings, languages, root):
        for number, premise in premises.items():
            requests.rows.append(
                SourcePrompt(
                    prompt_id=f"xnli-{settings.split}-{number}",
                    language=code,
                    text=f"{premise.text}\n{QUESTIONS[code]}",
                    good=premise.hypotheses.get("entailment"),
                    bad=premise.hypotheses.get("contradiction"),
                    without_answers="no sentence that follows, or none that contradicts",
                )
            )
    return requests


def _premises(
    settings: XNLIPrompts, languages: frozenset[str], root: Path | None
) -> Iterator[tuple[str, dict[str, _Premise]]]:
    """The premises of each language by their number, which is the same in all languages."""
    if settings.path is None:
        for code in sorted(languages & set(QUESTIONS)):
            yield code, _from_hub(settings, code)
        return
    folder = resolve(settings.path, root)
    name = f"xnli.{settings.split}.tsv"
    need_folder(folder, name)
    path = only_existing([folder / name, folder / f"{name}.gz"])
    if path is None:
        raise BadInput(f"{folder}: contains no {name}; check the path and `split`")
    premises = _from_file(path)
    for code in sorted(languages & set(premises)):
        yield code, premises[code]


def _from_hub(settings: XNLIPrompts, code: str) -> dict[str, _Premise]:
    """Premises from the Hub, whose rows have no numbers: three consecutive rows share a premise, numbered in order."""
    label = f"Hub dataset {settings.hub} ({code})"
    split = "validation" if settings.split == "dev" else settings.split
    premises: dict[str, _Premise] = {}
    for number, row in hub_rows(settings.hub, name=code, split=split):
        text = of(row, "premise", str, label, number).strip()
        which = of(row, "label", int, label, number)
        if which not in range(3):
            raise BadInput(f"{label}: row {number}: label is {which}; it must be 0, 1 or 2")
        premise = premises.setdefault(f"row-{(number - 1) // 3}", _Premise(text=text))
        if premise.text != text:
            raise BadInput(f"{label}: row {number}: its premise differs from that of its group of three; give `path`")
        premise.hypotheses[LABELS[which]] = of(row, "hypothesis", str, label, number).strip()
    return premises


def _from_file(path: Path) -> dict[str, dict[str, _Premise]]:
    premises: dict[str, dict[str, _Premise]] = {}
    places: dict[str, int] = {}
    for line, cells in read_tsv(path):
        if not places:
            missing = [name for name in _COLUMNS if name not in cells]
            if missing:
                raise BadInput(f"{path}: line {line}: no column '{missing[0]}'; give the file as XNLI publishes it")
            places = {name: cells.index(name) for name in _COLUMNS}
            continue
        code, label, premise, hypothesis, number = (cells[places[name]].strip() for name in _COLUMNS)
        if label not in LABELS:
            raise BadInput(f"{path}: line {line}: gold_label is '{label}'; it must be one of {', '.join(LABELS)}")
        if code not in QUESTIONS:
            raise BadInput(f"{path}: line {line}: language '{code}' is not one of XNLI's 15")
        known = premises.setdefault(code, {}).setdefault(number, _Premise(text=premise))
        known.hypotheses.setdefault(label, hypothesis)
    if not premises:
        raise BadInput(f"{path}: has a header but no rows")
    return premises
