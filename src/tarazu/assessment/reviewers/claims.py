"""Whether what matters is claimed, checked, and tied to evidence."""

from __future__ import annotations

from typing import Final

from tarazu.assessment.facts import Facts
from tarazu.assessment.levels import verification_levels
from tarazu.assessment.reviewers.rules import Answer, Rule
from tarazu.record.model import Expression, Value

_NOT_RUN: Final = "The gate has not run on this manifest."
_ANSWER: Final = ("/tradeoff/primary/", "/sentence")


def _enough(facts: Facts) -> Answer:
    return len(facts.own) >= 5, f"{len(facts.own)} claims about this work."


def _answer(facts: Facts) -> Answer:
    places = [claim.check.pointer for claim in facts.empirical if isinstance(claim.check, Value)]
    told = any(place.startswith(_ANSWER) for place in places)
    return told, "The answer is claimed." if told else "No claim points at the answer (/tradeoff/primary, /sentence)."


def _comparisons(facts: Facts) -> Answer:
    count = sum(isinstance(claim.check, Expression) for claim in facts.empirical)
    return count > 0, f"{count} claims are statements over several numbers."


def _none_failed(facts: Facts) -> Answer:
    if facts.gate is None:
        return None, _NOT_RUN
    failed = [claim.id for claim in facts.claims if facts.verdict(claim) == "failed"]
    return not failed, f"Failed: {', '.join(failed[:6])}." if failed else "No claim failed."


def _all_verified(facts: Facts) -> Answer:
    if facts.gate is None:
        return False, _NOT_RUN
    verified = sum(facts.verdict(claim) == "verified" for claim in facts.claims)
    return verified == len(facts.claims), f"{verified} of {len(facts.claims)} verified."


def _authored(facts: Facts) -> Answer:
    count = sum(claim.origin == "author" for claim in facts.claims)
    return count > 0, f"{count} claims by the authors, {len(facts.claims) - count} drafted by the build."


def _sources(facts: Facts) -> Answer:
    documents = {claim.source for claim in facts.sources}
    return bool(documents), f"{len(facts.sources)} quotations from {len(documents)} documents."


def _corroborated(facts: Facts) -> Answer:
    if not facts.sources:
        return None, "No document is quoted."
    if facts.gate is None:
        return None, _NOT_RUN
    count = verification_levels(facts).claim_summary.cross_source_corroborated_claims
    return count > 0, f"{count} statements are borne out by two documents."


RULES: Final = (
    Rule("five-claims", "Are there five claims or more about this work?", 2, _enough, "Claim what the abstract says."),
    Rule(
        "answer-claimed",
        "Is the answer itself claimed?",
        3,
        _answer,
        "Claim the estimate, its interval and the verdict.",
    ),
    Rule(
        "comparisons",
        "Is a comparison claimed as an expression?",
        1,
        _comparisons,
        'Claim such as `CAS("a") > CAS("b")`.',
    ),
    Rule(
        "none-failed",
        "Did no claim fail?",
        3,
        _none_failed,
        "Correct the claim or the evidence: `tarazu record correct`.",
    ),
    Rule("all-verified", "Is every claim verified?", 2, _all_verified, "See the reason beside each claim that is not."),
    Rule("authored", "Did the authors add claims of their own?", 1, _authored, "Add what you conclude: --claims FILE."),
    Rule("sources", "Does a claim quote a document?", 1, _sources, "Add --source and a source_grounded claim."),
    Rule("corroborated", "Do two documents bear out a statement?", 1, _corroborated, "Quote a second document for it."),
)
