"""What each language has: prompts and known answers by source, an identifier, and what a run found of its reward
models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tarazu.data import identify
from tarazu.data.prompts import load_known_answers, load_prompts
from tarazu.data.rows import KINDS, Kind
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES
from tarazu.results import read_results
from tarazu.study.sources import (
    AnyPromptSource,
    MLQAPrompts,
    MultiCheckListPrompts,
    MultiJailPrompts,
    ParallelPrompts,
    TyDiQAPrompts,
    XCOPAPrompts,
    XNLIPrompts,
    XQuADPrompts,
)

_BENIGN = {
    "xquad": XQuADPrompts,
    "mlqa": MLQAPrompts,
    "tydiqa": TyDiQAPrompts,
    "xcopa": XCOPAPrompts,
    "xnli": XNLIPrompts,
}
"""Sources of benign prompts whose files lie in a folder of their name."""


@dataclass(kw_only=True)
class Coverage:
    """Counts by source and kind; a source that has none of the language is left out. `accuracy` by kind: percent of
    known answers that the run's reward model tells apart, None where the run did not assess it. `identified`: whether
    the identifier of responses' languages knows it, None where none is installed."""

    prompts: dict[str, dict[Kind, int]] = field(default_factory=dict)
    known_answers: dict[str, dict[Kind, int]] = field(default_factory=dict)
    accuracy: dict[str, float | None] = field(default_factory=dict)
    identified: bool | None = None


def coverage(root: Path | None, run: Path | None) -> tuple[list[str], dict[str, Coverage]]:
    """The sources that are here, and what each language has of them.

    The shipped parallel set (both splits) is always here; others where their files lie below `root` as a study names
    them (`multijail/multijail.csv`, `xquad/`, ...). `run` is a folder with a results.json. Raises BadInput where a file
    cannot be read.
    """
    known = identify.covered() if identify.is_installed() else None
    found = {code: Coverage(identified=None if known is None else code in known) for code in LANGUAGES}
    sources = _sources(root)
    for name, (kinds, settings) in sources.items():
        for kind in kinds:
            for one in settings:
                _count(found, name, kind, one, root)
    if run is not None:
        _add_accuracy(found, run)
    return list(sources), found


def _sources(root: Path | None) -> dict[str, tuple[tuple[Kind, ...], list[AnyPromptSource]]]:
    parallel: list[AnyPromptSource] = [ParallelPrompts(source="parallel", split=split) for split in ("train", "test")]
    found: dict[str, tuple[tuple[Kind, ...], list[AnyPromptSource]]] = {"parallel": (KINDS, parallel)}
    if root is None:
        return found
    if (root / "multijail" / "multijail.csv").is_file():
        found["multijail"] = (("harmful",), [MultiJailPrompts(source="multijail", path="multijail/multijail.csv")])
    for name, settings in _BENIGN.items():
        if (root / name).is_dir():
            found[name] = (("benign",), [settings(source=name, path=name)])
    templates = "multichecklist/checklist_templates.tsv"
    if (root / templates).is_file():
        found["multichecklist"] = (("benign",), [MultiCheckListPrompts(source="multichecklist", path=templates)])
    return found


def _count(found: Mapping[str, Coverage], name: str, kind: Kind, settings: AnyPromptSource, root: Path | None) -> None:
    where: dict[str, Any] = {"languages": tuple(LANGUAGES), "root": root, "seed": 0}
    prompts = Counter(row.language for row in load_prompts(settings, kind, **where).rows)
    known: Counter[str] = Counter()
    if not isinstance(settings, MultiJailPrompts):  # which has no answers
        known.update(row.language for row in load_known_answers(settings, kind, **where).rows)
    for code, own in found.items():
        for table, count in ((own.prompts, prompts[code]), (own.known_answers, known[code])):
            if count:
                table.setdefault(name, {})[kind] = table.get(name, {}).get(kind, 0) + count


def _add_accuracy(found: Mapping[str, Coverage], run: Path) -> None:
    path = run / "results.json"
    if not path.is_file():
        raise BadInput(f"{path}: no such file; name the folder of a finished run with --run")
    for code, known in read_results(path).validity.languages.items():
        if code in found:
            found[code].accuracy = {kind: known.of(kind).accuracy for kind in KINDS}
