"""What is available in each language: prompts and known answers by source, an identifier, and how good a run's judges
are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tarazu.data import identify
from tarazu.data.prompts import WITHOUT_ANSWERS, load_known_answers, load_prompts
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
"""Sources of benign prompts whose files are in a folder with their name."""


@dataclass(kw_only=True)
class Coverage:
    """Counts by source and kind, without sources that lack the language.

    `balanced_accuracy` by kind is that of the run's judge on known answers in percent, at the threshold in use, or None
    if the run did not assess it. `identified` says whether the identifier of languages knows it, or None if none is
    installed.
    """

    prompts: dict[str, dict[Kind, int]] = field(default_factory=dict)
    known_answers: dict[str, dict[Kind, int]] = field(default_factory=dict)
    balanced_accuracy: dict[str, float | None] = field(default_factory=dict)
    identified: bool | None = None


def coverage(root: Path | None, run: Path | None) -> tuple[list[str], dict[str, Coverage]]:
    """The available sources, and what each language has of them.

    The shipped parallel set (both splits) is always available. Others are if their files are below `root` under the
    names that a study gives them (`multijail/multijail.csv`, `xquad/`, ...). `run` is a folder with a results.json.
    Raises BadInput if a file cannot be read.
    """
    known = identify.covered() if identify.is_installed() else None
    by_language = {code: Coverage(identified=None if known is None else code in known) for code in LANGUAGES}
    sources = _sources(root)
    for name, (kinds, settings) in sources.items():
        for kind in kinds:
            for one in settings:
                _count(by_language, name, kind, one, root)
    if run is not None:
        _add_balanced_accuracy(by_language, run)
    return list(sources), by_language


def _sources(root: Path | None) -> dict[str, tuple[tuple[Kind, ...], list[AnyPromptSource]]]:
    parallel: list[AnyPromptSource] = [ParallelPrompts(source="parallel", split=split) for split in ("train", "test")]
    sources: dict[str, tuple[tuple[Kind, ...], list[AnyPromptSource]]] = {"parallel": (KINDS, parallel)}
    if root is None:
        return sources
    if (root / "multijail" / "multijail.csv").is_file():
        sources["multijail"] = (("harmful",), [MultiJailPrompts(source="multijail", path="multijail/multijail.csv")])
    for name, settings in _BENIGN.items():
        if (root / name).is_dir():
            sources[name] = (("benign",), [settings(source=name, path=name)])
    templates = "multichecklist/checklist_templates.tsv"
    if (root / templates).is_file():
        sources["multichecklist"] = (("benign",), [MultiCheckListPrompts(source="multichecklist", path=templates)])
    return sources


def _count(
    by_language: Mapping[str, Coverage], name: str, kind: Kind, settings: AnyPromptSource, root: Path | None
) -> None:
    languages = tuple(LANGUAGES)
    prompts = Counter(row.language for row in load_prompts(settings, kind, languages=languages, root=root, seed=0).rows)
    known: Counter[str] = Counter()
    if settings.source not in WITHOUT_ANSWERS:
        answers = load_known_answers(settings, kind, languages=languages, root=root, seed=0)
        known.update(row.language for row in answers.rows)
    for code, own in by_language.items():
        for table, count in ((own.prompts, prompts[code]), (own.known_answers, known[code])):
            if count:
                table.setdefault(name, {})[kind] = table.get(name, {}).get(kind, 0) + count


def _add_balanced_accuracy(by_language: Mapping[str, Coverage], run: Path) -> None:
    path = run / "results.json"
    if not path.is_file():
        raise BadInput(f"{path}: no such file; name the folder of a finished run with --run")
    for code, known in read_results(path).validity.languages.items():
        if code in by_language:
            by_language[code].balanced_accuracy = {kind: known.of(kind).balanced_accuracy for kind in KINDS}
