"""Published sets of safety prompts: PolyRefuse, XSTest, PolyGuardPrompts, XSafety and Aya Red-teaming.

None of them has known answers. Rows that cannot be used are dropped and counted by reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tarazu.data._sources import (
    OTHER_LANGUAGE,
    NumberedRow,
    SourcePrompt,
    SourcePrompts,
    content_id,
    hub_rows,
    need_folder,
    resolve,
)
from tarazu.data.rows import AnyKind, Kind, categories
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES, UnknownLanguage, language_code
from tarazu.readers import COMMAS, csv_records, field, is_gzip
from tarazu.study.sources import (
    AyaPrompts,
    PolyGuardPrompts,
    PolyRefusePrompts,
    XSafetyPrompts,
    XSTestPrompts,
)
from tarazu.tables import identifier, open_table

UNKNOWN_LANGUAGE = "unknown language"
_POLYREFUSE = re.compile(r"(?P<short>\w+)\.(?P<code>[a-z]{2,3})|(?P<long>\w+)_translated_(?P<other>[a-z]{2,3})")
_SHORT_KIND = {"harmful": "harmful", "harmless": "benign"}
_AYA_SPLITS = ("arabic", "english", "filipino", "french", "hindi", "russian", "serbian", "spanish")
_XSAFETY_FOLDERS = {"sp": "es"}
"""Folders of XSafety that are not named by the language's code."""
_XSAFETY_TYPES = {"commen_sense": "commonsense", "crimes_and_illegal_activitie": "crimes_and_illegal_activities"}
"""Types whose files are spelled in two ways."""


def _code(name: str) -> str | None:
    """The code of a language, None if the name is none."""
    try:
        return language_code(name)
    except UnknownLanguage:
        return None


# --- PolyRefuse -------------------------------------------------------------------------------------


def polyrefuse_prompts(
    settings: PolyRefusePrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """A request is recognised across languages by its English text."""
    folder = resolve(settings.path, root)
    need_folder(folder, "harmful.<code>.json and harmless.<code>.json")
    requests = SourcePrompts()
    files = dict(_polyrefuse_files(folder, kind, settings.split))
    if not files:
        raise BadInput(
            f"{folder}: contains no {'harmful' if kind == 'harmful' else 'harmless'}.<code>.json (or .json.gz, or "
            f"..._{settings.split}_translated_<code>.json); check the path"
        )
    for code, path in files.items():
        if code not in languages:
            continue
        seen: set[str] = set()
        table = open_table(path)
        for line, row in table.rows:
            english = field(row, "instruction", str, path, line)
            prompt_id = content_id("polyrefuse", english)
            if prompt_id in seen:
                requests.dropped["duplicate request"] += 1
                continue
            seen.add(prompt_id)
            text = field(row, "instruction_translated", str, path, line)
            category = categories(row.get("category"))
            requests.rows.append(SourcePrompt(prompt_id=prompt_id, language=code, text=text, category=category))
    return requests


def _polyrefuse_files(folder: Path, kind: Kind, split: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        match = _POLYREFUSE.fullmatch(path.name.removesuffix(".gz").removesuffix(".json"))
        if match is None or not path.name.removesuffix(".gz").endswith(".json"):
            continue
        name = match["short"] or match["long"].removesuffix(f"_{split}")
        code = _code(match["code"] or match["other"])
        if _SHORT_KIND.get(name) == kind and code is not None:
            yield code, path


# --- XSTest -----------------------------------------------------------------------------------------


def xstest_prompts(
    settings: XSTestPrompts, kind: AnyKind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """The unsafe prompts are harmful, and the safe ones, which look harmful, are borderline. They count as benign only
    if the study says so."""
    if kind == "benign" and not settings.safe_as_benign:
        raise BadInput(
            "prompts.benign: the safe prompts of xstest look harmful and test for refusals of safe requests, which is "
            "not helpfulness in general; move xstest to prompts.borderline for them or to prompts.harmful for its "
            "unsafe ones, or set safe_as_benign: true"
        )
    label, rows = _rows(settings.path, root, settings.hub, "train")
    requests = SourcePrompts()
    if "en" not in languages:
        return requests
    seen: set[str] = set()
    for line, row in rows:
        safe = _is_safe(row, label, line)
        if safe is None:
            requests.dropped["neither safe nor unsafe"] += 1
        elif safe == (kind == "harmful"):
            requests.dropped["safe" if safe else "unsafe"] += 1
        elif (row_id := _given_id(row, "id", label, line)) in seen:
            requests.dropped["duplicate id"] += 1
        else:
            seen.add(row_id)
            text = field(row, "prompt", str, label, line)
            category = categories(row.get("type"))
            requests.rows.append(
                SourcePrompt(prompt_id=f"xstest-{row_id}", language="en", text=text, category=category)
            )
    return requests


def _is_safe(row: dict[str, Any], label: Path | str, line: int) -> bool | None:
    """By the label or, in versions without labels, by the type, which begins with `contrast_` for unsafe prompts."""
    if "label" in row:
        return {"safe": True, "unsafe": False}.get(str(row["label"]).strip().lower())
    return not field(row, "type", str, label, line).startswith("contrast_")


# --- PolyGuardPrompts -------------------------------------------------------------------------------


def polyguard_prompts(
    settings: PolyGuardPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """An id means the same request in every language. `prompt_harm_label` decides the kind."""
    label, rows = _rows(settings.path, root, settings.hub, "test")
    wanted, other = ("harmful", "unharmful") if kind == "harmful" else ("unharmful", "harmful")
    requests = SourcePrompts()
    seen: set[tuple[str, str]] = set()
    for line, row in rows:
        code = _code(field(row, "language", str, label, line))
        harm = (
            row["prompt_harm_label"]
            if "prompt_harm_label" in row
            else field(row, "prompt_harm_label", str, label, line)
        )
        if code is None:
            requests.dropped[UNKNOWN_LANGUAGE] += 1
        elif code not in languages:
            requests.dropped[OTHER_LANGUAGE] += code not in LANGUAGES
        elif harm != wanted:
            requests.dropped[other if harm == other else "no label"] += 1
        elif (key := (_given_id(row, "id", label, line), code)) in seen:
            requests.dropped["duplicate id"] += 1
        else:
            seen.add(key)
            text = field(row, "prompt", str, label, line)
            requests.rows.append(SourcePrompt(prompt_id=f"polyguard-{key[0]}", language=code, text=text))
    return requests


# --- XSafety ----------------------------------------------------------------------------------------


def xsafety_prompts(
    settings: XSafetyPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """Files of one column without a header, where a request has the same row in every language."""
    folder = resolve(settings.path, root)
    need_folder(folder, "<language>/<type>.csv")
    files = dict(_xsafety_files(folder))
    if not files:
        raise BadInput(f"{folder}: contains no <language>/<type>.csv and no <language>.csv; check the path")
    known = {kind_of for _, kind_of in files}
    unknown = [one for one in settings.types if one.lower() not in known]
    if unknown:
        raise BadInput(f"{folder}: has no type '{unknown[0]}'; it has: {', '.join(sorted(filter(None, known)))}")
    wanted = {one.lower() for one in settings.types} or known
    requests = SourcePrompts()
    requests.notes["Excel file not read"] = sum(
        _xsafety_language(path.parent.name) in languages for path in folder.glob("*/*.xlsx")
    )
    for (code, kind_of), path in files.items():
        if code not in languages or kind_of not in wanted:
            continue
        for row, (_, cells) in enumerate(csv_records(path, COMMAS, is_gzip(path)), 1):
            if any(cell.strip() for cell in cells[1:]):
                requests.dropped["more than one cell"] += 1
                continue
            prompt_id = "-".join(["xsafety", *filter(None, [kind_of]), str(row)])
            requests.rows.append(SourcePrompt(prompt_id=prompt_id, language=code, text=cells[0]))
    return requests


def _xsafety_files(folder: Path) -> Iterator[tuple[tuple[str, str], Path]]:
    """The files by language and type. Where a type is spelled in two ways, the later name is taken."""
    for path in sorted([*folder.glob("*.csv"), *folder.glob("*/*.csv")]):
        name = path.stem if path.parent == folder else path.parent.name
        code = _xsafety_language(name)
        if code is None:
            continue
        kind_of = "" if path.parent == folder else path.stem.lower().removesuffix("_n").removesuffix(f"_{code}")
        yield (code, _XSAFETY_TYPES.get(kind_of, kind_of)), path


def _xsafety_language(folder: str) -> str | None:
    return _code(_XSAFETY_FOLDERS.get(folder, folder))


# --- Aya Red-teaming --------------------------------------------------------------------------------


def aya_prompts(
    settings: AyaPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """The prompts were written in each language separately, so that no two languages share a request."""
    requests = SourcePrompts()
    read = False
    seen: set[str] = set()
    for label, rows in _aya_tables(settings, root):
        for line, row in rows:
            read = True
            code = _code(field(row, "language", str, label, line))
            text = field(row, "prompt", str, label, line)
            if code is None:
                requests.dropped[UNKNOWN_LANGUAGE] += 1
                continue
            if code not in languages:
                requests.dropped[OTHER_LANGUAGE] += code not in LANGUAGES
                continue
            if settings.harm == "any" or settings.harm == row.get("global_or_local"):
                prompt_id = content_id(f"aya-{code}", text.strip())
                if prompt_id in seen:
                    requests.dropped["duplicate text"] += 1
                    continue
                seen.add(prompt_id)
                requests.rows.append(SourcePrompt(prompt_id=prompt_id, language=code, text=text))
            else:
                requests.dropped[f"not {settings.harm} harm"] += 1
    if not read:
        raise BadInput(f"{settings.path}: has no rows; check the path")
    return requests


def _aya_tables(settings: AyaPrompts, root: Path | None) -> Iterator[tuple[Path | str, Iterable[NumberedRow]]]:
    if settings.path is None:
        for split in _AYA_SPLITS:
            yield f"Hub dataset {settings.hub} ({split})", hub_rows(settings.hub, split=split)
        return
    path = resolve(settings.path, root)
    if not path.is_dir():
        yield path, open_table(path).rows
        return
    files = sorted([*path.glob("aya_*.jsonl"), *path.glob("aya_*.jsonl.gz")])
    if not files:
        raise BadInput(f"{path}: contains no aya_<code>.jsonl; check the path")
    for file in files:
        yield file, open_table(file).rows


# --- shared -----------------------------------------------------------------------------------------


def _rows(path: str | None, root: Path | None, hub: str, split: str) -> tuple[Path | str, Iterable[NumberedRow]]:
    """The rows of a local file or of a Hub dataset, and what to call it in messages."""
    if path is None:
        return f"Hub dataset {hub}", hub_rows(hub, split=split)
    file = resolve(path, root)
    return file, open_table(file, ids=["id"]).rows


def _given_id(row: dict[str, Any], name: str, label: Path | str, line: int) -> str:
    try:
        value = identifier(row.get(name))
    except ValueError as error:
        raise BadInput(f"{label}: line {line}: {name} {error}") from None
    if not value:
        raise BadInput(f"{label}: line {line}: has no {name}; every row needs one")
    return value
