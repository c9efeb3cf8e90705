"""What a record says of a published evaluation: where its scores are from, and what it cannot know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from tarazu.data.importers import Given as GivenOfFile
from tarazu.record.build.evidence import Evidence
from tarazu.record.build.published import Published
from tarazu.run.analyze import AnalysisOptions

_MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class OutsideStudy:
    """The files of a published evaluation, with what the user says of each, and the settings for their analysis.

    `published_by` is who published them, and `read_with` the options by which they were read."""

    files: Sequence[tuple[Path, GivenOfFile]]
    known_answers: Path | None = None
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)
    published_by: str | None = None
    read_with: tuple[str, ...] = ()


def imported_evidence(evidence: Evidence, outside: OutsideStudy, published: Published) -> Evidence:
    """The evidence, with what is known of the files that its scores are from."""
    given = list(evidence.given)
    for place, file in enumerate(published.files):
        given[place] = given[place].model_copy(
            update={
                "form": file.form,
                "rows": file.rows,
                "excluded": dict(sorted(file.excluded.items())),
                "read_with": outside.read_with,
                "published_by": outside.published_by,
            }
        )
    return replace(evidence, given=tuple(given))


def unknown_of_imported(evidence: Evidence) -> Iterator[str]:
    """What a record of a published evaluation does not hold, and therefore cannot show."""
    files = [one for one in evidence.given if one.form is not None]
    if not files:
        return
    publisher = files[0].published_by
    who = "and nothing says who published them"
    if publisher:
        who = f"published by {publisher}, by the word of whoever imported them"
    yield (
        f"Imported: nothing was trained or generated for this record. Its scores are from {len(files)} "
        f"file{'' if len(files) == 1 else 's'} ({files[0].form}: {names_of([one.name for one in files])}), {who}. The "
        "record holds their digests, not the files, so the gate does not check that the scores are theirs. Whoever has "
        "the files can import them again: with the same claims and options, the record has the same id."
    )
    excluded = sum(sum(one.excluded.values()) for one in files)
    if excluded:
        yield f"{excluded} rows of the files are not in the record; provenance.json has the reasons."
    if not _has_responses(evidence):
        yield "It holds no responses, so nobody can see from it whether the labels are right."
    yield (
        "Its empirical claims reach level L5 at most: L6 takes a re-run from responses or training, and this record "
        "can be run again from its scores only."
    )


def _has_responses(evidence: Evidence) -> bool:
    scores = evidence.files["scores.parquet"][0]
    if "response" not in pq.read_schema(scores).names:
        return False
    column = pq.read_table(scores, columns=["response"])["response"]
    return bool(pc.any(pc.not_equal(column, "")).as_py())


def names_of(names: Sequence[str]) -> str:
    """The names in words; the number of the others where there are many."""
    shown = names if len(names) <= _MOST_NAMED + 1 else names[:_MOST_NAMED]
    others = len(names) - len(shown)
    return ", ".join(shown) + (f" and {others} others" if others else "")
