"""The result in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from tarazu.assessment.challenge.scoring import KINDS, Challenge, Pair, Score, Share
from tarazu.errors import visible

_HEADS = ("reviewer", "found", *KINDS, "false alarms, clean", "false alarms, beside", "unreadable", "Brier")


def table_of(result: Challenge) -> str:
    """The table of reviewers, their agreement and what their confidence is worth."""
    faults = sum(one.place is not None for one in result.key)
    lines = [
        f"{faults} records with one planted fault each, {len(result.key) - faults} clean; seed {result.seed}; prompt "
        f"version {result.prompt_version} (sha256 {result.prompt_sha256[:16]}); record {result.record}.",
        "",
        _row(*_HEADS),
        _row(*("---" for _ in _HEADS)),
        *(_of(one) for one in result.scores),
        "",
        *_agreement(result),
    ]
    for one in result.scores:
        for level in one.reliability:
            lines.append(
                f"- {visible(one.reviewer)}: {level.findings} findings with a confidence from {level.above} %: "
                f"{level.confidence:.0f} % stated, {level.right:.0f} % right."
            )
    return "\n".join(lines).rstrip() + "\n"


def _of(one: Score) -> str:
    return _row(
        visible(one.reviewer),
        _share(one.detected, interval=True),
        *(_share(one.by_kind[kind]) for kind in KINDS),
        _number(one.false_alarms_clean),
        _number(one.false_alarms_beside),
        str(one.unreadable),
        _number(one.brier),
    )


def _agreement(result: Challenge) -> Iterator[str]:
    if result.alpha is not None:
        yield f"Agreement of all on which faults are found: Krippendorff's alpha {_coefficient(result.alpha)}."
        yield ""
    for pair in result.pairs:
        yield f"- {visible(pair.one)} and {visible(pair.other)}: Cohen's kappa {_coefficient(pair)}."


def _coefficient(pair: Pair) -> str:
    if pair.kappa is None:
        return f"not defined: {pair.reason}"
    interval = "" if pair.ci_low is None or pair.ci_high is None else f" [{pair.ci_low:.2f}, {pair.ci_high:.2f}]"
    return f"{pair.kappa:.2f}{interval}"


def _share(share: Share, *, interval: bool = False) -> str:
    if not share.of:
        return "-"
    text = f"{share.n} of {share.of}"
    return f"{text} [{share.ci_low:.0f} %, {share.ci_high:.0f} %]" if interval else text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
