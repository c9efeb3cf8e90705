"""Responses that a judge gave no label."""

from __future__ import annotations

from collections import Counter

from tarazu.analysis.cells import positions
from tarazu.results.model import Results, Unlabelled
from tarazu.scores import ScoreTable


def unlabelled_section(table: ScoreTable) -> tuple[Unlabelled, ...] | None:
    """`unlabelled` of results.json: per arm, language and kind, how many responses have no label and why."""
    rows = table.unlabelled
    if rows is None or rows.reason is None:
        return None
    labelled = positions(table.arm, table.language, table.kind)
    entries = []
    for key, places in sorted(positions(rows.arm, rows.language, rows.kind).items()):
        arm, language, kind = key
        entries.append(
            Unlabelled(
                arm=arm,
                language=language,
                kind="harmful" if kind == "harmful" else "benign",
                n=len(places),
                of=len(places) + len(labelled.get(key, ())),
                reasons=dict(sorted(Counter(rows.reason[places].tolist()).items())),
            )
        )
    return tuple(entries)


def unlabelled_words(results: Results) -> str:
    """How many responses of the two arms compared have no label, for the answer in words."""
    arms = (results.base_arm, results.primary_arm)
    entries = [entry for entry in results.unlabelled or () if entry.arm in arms]
    if not entries:
        return ""
    counts = [sum(entry.n for entry in entries if entry.arm == arm) for arm in arms]
    return (
        f"The judge could not label {counts[0]} responses of {arms[0]} and {counts[1]} of {arms[1]}; no rate includes "
        "them."
    )
