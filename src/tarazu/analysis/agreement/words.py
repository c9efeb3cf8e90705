"""What people's labels say about the judges and about themselves, for the answer in words."""

from __future__ import annotations

from tarazu.results.model import JudgeAgreement, PeopleLabels, Results
from tarazu.results.words import p_words
from tarazu.stats.contrast import ALPHA

TENTATIVE = 0.667
"""Krippendorff's alpha below which labels do not support even tentative conclusions (Krippendorff 2004, p. 241)."""


def people_words(results: Results) -> str:
    """Whether a judge agrees less with people in one resource group, and whether people agree with each other."""
    people = results.agreement
    if people is None:
        return ""
    deciding = {judge.kind: judge for judge in reversed(people.judges)}
    texts = [_groups(judge) for _, judge in sorted(deciding.items(), reverse=True)]
    return " ".join(text for text in (*texts, _between(people)) if text)


def _groups(judge: JudgeAgreement) -> str:
    """The judge's balanced accuracy by people's labels in both groups, where it differs."""
    high, low = (judge.groups[name].balanced_accuracy.value for name in ("high", "low"))
    if judge.p is None or judge.p >= ALPHA or high is None or low is None:
        return ""
    return (
        f"By people's labels the judge of responses to {judge.kind} prompts is not equally good in both groups: its "
        f"balanced accuracy is {high:.0f} % in high- and {low:.0f} % in low-resource languages (p {p_words(judge.p)})."
    )


def _between(people: PeopleLabels) -> str:
    alpha = people.between_raters.overall.alpha
    if alpha.value is None or alpha.value >= TENTATIVE:
        return ""
    interval = "" if alpha.ci_low is None else f" [{alpha.ci_low:.2f}, {alpha.ci_high:.2f}]"
    return (
        f"Caution: people disagree with each other (Krippendorff's alpha {alpha.value:.2f}{interval}; below "
        f"{TENTATIVE} labels do not support even tentative conclusions)."
    )
