"""People's labels in a run: the tables that the study names, and the run's own copy of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tarazu.data._sources import resolve
from tarazu.errors import BadInput
from tarazu.files import digest
from tarazu.judge.ratings import RATINGS, Rating, RatingForm, rating_rows, write_ratings
from tarazu.run.context import RunContext
from tarazu.run.stages import Stage
from tarazu.study import AnalysisSettings, Study
from tarazu.study.ratings import RatingSettings


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


def ratings_stage(context: RunContext) -> Stage | None:
    """The stage that writes the run's own copy of people's labels; None for a study without."""
    if context.study.ratings is None:
        return None

    def make() -> dict[str, int]:
        write_ratings(context.out / RATINGS, study_ratings(context.study))
        return {}

    return Stage(
        name="ratings",
        inputs=lambda: digest([asdict(one) for one in study_ratings(context.study)]),
        outputs=[RATINGS],
        make=make,
    )
