"""The input data of a study: pairs, prompts and known answers, with proof that they do not overlap; people's labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tarazu.data._sources import resolve
from tarazu.data.leakage import without_evaluated
from tarazu.data.preferences import load_pairs
from tarazu.data.prompts import load_known_answers, load_prompts
from tarazu.data.rows import ALL_KINDS, KINDS, KnownAnswer, Loaded, PreferencePair, Prompt, refuse_other_turns
from tarazu.errors import BadInput
from tarazu.files import digest
from tarazu.judge.ratings import RATINGS, Rating, RatingForm, rating_rows
from tarazu.seeds import derived_seed
from tarazu.study import AnalysisSettings, Study
from tarazu.study.capability import wanted
from tarazu.study.ratings import RatingSettings
from tarazu.study.sources import PairSource

if TYPE_CHECKING:
    from tarazu.capability import harness


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All rows of a study, with an account of those read, kept and dropped."""

    pairs: dict[str, tuple[PreferencePair, ...]]
    """By trained arm."""
    prompts: tuple[Prompt, ...]
    known_answers: tuple[KnownAnswer, ...]
    reward_pairs: tuple[PreferencePair, ...]
    account: dict[str, Any]

    def pairs_digest(self, arm: str) -> str:
        return digest([asdict(pair) for pair in self.pairs[arm]])

    @property
    def prompts_digest(self) -> str:
        return digest([prompt.sent() for prompt in self.prompts])


def read_inputs(study: Study) -> Inputs:
    """Read every source of a study.

    Raises BadInput for a source that cannot be read, for a study without prompts, and for one whose training pairs all
    occur among the evaluated prompts.
    """
    root = Path(study.data.root).expanduser() if study.data.root else None
    if root is not None and not root.is_dir():
        raise BadInput(
            f"data.root: {root}: no such folder; set data.root or TARAZU_DATA to the folder of the data files"
        )
    codes = study.language_codes()
    where = {"languages": codes, "root": root, "seed": study.seed}
    prompts = [
        (kind, load_prompts(source, kind, **where))  # type: ignore[arg-type]
        for kind in ALL_KINDS
        for source in study.prompts.kinds()[kind]
    ]
    known = [
        (kind, load_known_answers(source, kind, **where))  # type: ignore[arg-type]
        for kind in KINDS
        for source in study.reward.known_answers.kinds()[kind]
    ]
    _check_prompts(study, [loaded for _, loaded in prompts])
    account: dict[str, Any] = {
        "prompts": [{"kind": kind} | _account(loaded) for kind, loaded in prompts],
        "known_answers": [{"kind": kind} | _account(loaded) for kind, loaded in known],
    }
    rows = tuple(row for _, loaded in prompts for row in loaded.rows)
    known_answers = tuple(row for _, loaded in known for row in loaded.rows)
    refuse_other_turns([row.as_prompt() for row in known_answers], "reward.known_answers")
    taken = _Pairs(root, study.seed, rows)
    pairs = {
        arm: taken.of(source, "data.pairs" if own is None else f"arms.{arm}.pairs")
        for arm, settings in study.arms.items()
        if (source := study.pairs_of(settings)) is not None
        for own in [getattr(settings, "pairs", None)]
    }
    account |= _account_of_pairs(study, pairs)
    reward_pairs: tuple[PreferencePair, ...] = ()
    reward_source = study.pairs_of(study.reward.train)
    if reward_source is not None:
        # A reward model must not have been trained on the answers that test it, nor on the prompts of the study.
        tested = [row.as_prompt() for row in known_answers]
        loaded, overlap = _Pairs(root, study.seed, [*rows, *tested]).of(reward_source, "reward.train.pairs")
        reward_pairs = loaded.rows
        account["reward_pairs"] = _account(loaded)
        account["reward_overlap"] = overlap
    return Inputs(
        pairs={arm: loaded.rows for arm, (loaded, _) in pairs.items()},
        prompts=rows,
        known_answers=known_answers,
        reward_pairs=reward_pairs,
        account=account,
    )


def read_tasks(study: Study) -> harness.Loaded | None:
    """The tasks of a study with their data; None if it has none.

    Raises BadInput for a task that does not exist or cannot be read, and MissingExtra if the harness is not installed.
    """
    settings = study.capability
    if settings is None:
        return None
    from tarazu.capability.harness import load

    chosen = wanted(settings, study.language_codes())
    if not chosen:
        raise BadInput("capability: none of its tasks exists in the requested languages; change tasks or languages")
    places = [(one.task, one.language) for one in chosen]
    for task, language in places:
        if places.count((task, language)) > 1:
            raise BadInput(f"capability.tasks: two tasks count as {task} in {language}; give one another `task`")
    root = Path(study.data.root).expanduser() if study.data.root else None
    return load(settings, chosen, root=root, seed=derived_seed(study.seed, "capability"))


Taken = tuple[Loaded[PreferencePair], dict[str, int]]
"""The pairs of a source that overlap with no evaluated prompt, and counts of the overlaps by their kind."""


class _Pairs:
    """Sources of pairs. Each is read once, even if several arms train on it."""

    def __init__(self, root: Path | None, seed: int, evaluated: Sequence[Prompt]) -> None:
        self.root, self.seed, self.evaluated = root, seed, evaluated
        self._taken: dict[str, Taken] = {}

    def of(self, source: PairSource, key: str) -> Taken:
        """The pairs of a source. Raises BadInput, which names `key`, if no pair remains."""
        name = source.model_dump_json()
        if name not in self._taken:
            self._taken[name] = without_evaluated(load_pairs(source, root=self.root, seed=self.seed), self.evaluated)
        loaded, _ = self._taken[name]
        if not loaded.rows:
            raise BadInput(f"{key}: no pair remains to train on; dropped: " + _drops(loaded))
        return self._taken[name]


def _account_of_pairs(study: Study, pairs: Mapping[str, Taken]) -> dict[str, Any]:
    """The study's pairs under `pairs` and `overlap`, and an arm's own pairs under `arm_pairs.<arm>`."""
    account: dict[str, Any] = {}
    for arm, (loaded, overlap) in pairs.items():
        if getattr(study.arms[arm], "pairs", None) is None:
            account |= {"pairs": _account(loaded), "overlap": overlap}
        else:
            account.setdefault("arm_pairs", {})[arm] = {**_account(loaded), "overlap": overlap}
    return account


def _check_prompts(study: Study, prompts: Sequence[Loaded[Prompt]]) -> None:
    if not any(loaded.rows for loaded in prompts):
        raise BadInput(
            f"prompts: no source has a prompt in the languages ({', '.join(study.language_codes()[:8])} ...); "
            "add a source or change languages"
        )
    keys = Counter((row.language, row.kind, row.prompt_id) for loaded in prompts for row in loaded.rows)
    duplicates = [key for key, count in keys.items() if count > 1]
    if duplicates:
        language, kind, prompt_id = duplicates[0]
        raise BadInput(f"prompts.{kind}: {prompt_id} ({language}) comes from two sources; remove one of them")
    refuse_other_turns([row for loaded in prompts for row in loaded.rows], "prompts")


def _account(loaded: Loaded[Any]) -> dict[str, Any]:
    by_language = Counter(getattr(row, "language", None) or "unknown" for row in loaded.rows)
    return {
        "source": loaded.source,
        "read": loaded.read,
        "kept": len(loaded.rows),
        "dropped": dict(sorted(loaded.dropped.items())),
        "notes": dict(sorted(loaded.notes.items())),
        "languages": dict(sorted(by_language.items())),
    }


def _drops(loaded: Loaded[Any]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in loaded.dropped.items()) or "none was read"


# --- people's labels --------------------------------------------------------------------------------


def rating_files(settings: Study | AnalysisSettings, given: Sequence[Path] = ()) -> list[Path]:
    """The tables of people's labels: those `given`, else those of the settings.

    Raises BadInput for a file that does not exist.
    """
    root = settings.data.root if isinstance(settings, Study) else None
    folder = Path(root).expanduser() if root else None
    named = list(given) or [resolve(name, folder) for name in (settings.ratings.files if settings.ratings else ())]
    for path in named:
        if not path.is_file():
            hint = "" if given else "; without labels yet, run with --set ratings=null, then label its responses"
            raise BadInput(f"ratings: {path}: no such file{hint}")
    return named


def study_ratings(study: Study) -> tuple[Rating, ...]:
    """The checked labels of a study; none where it asks for none.

    Raises BadInput for a table that is missing or has a defect, and where people's labels decide and there is none.
    """
    if study.ratings is None:
        if study.analysis.labels == "people":
            raise BadInput(
                "analysis.labels: people decide, but the study has no ratings; add the table of their labels, or run "
                "with --set analysis.labels=judge first"
            )
        return ()
    files = rating_files(study)
    if not files:
        raise BadInput("ratings.files: names no table; add one, or remove ratings")
    return rating_rows(files, RatingForm.of(study.ratings))


def with_own_ratings(study: Study, folder: Path) -> Study:
    """The study with the labels of `folder`, which has a run's own copy, in place of the tables that it names."""
    if study.ratings is None:
        return study
    own = RatingSettings(files=(str(folder / RATINGS),), classes=study.ratings.classes)
    return study.model_copy(update={"ratings": own})
