"""Rules about the record: its reproducibility, its claims and sources, and its reporting.

Reproducibility: files, gate, depths, environment, models, signature. Claims and sources: whether the important results
are claimed, checked and tied to evidence. Reporting: authors, licence, question, abstract, limitations.
"""

from __future__ import annotations

import re
from typing import Final

from tarazu.assessment.facts import Facts
from tarazu.assessment.levels import verification_levels
from tarazu.assessment.rules import Rule, RuleOutcome
from tarazu.record.model import DEPTHS, Expression, Value

_NOT_RUN: Final = "The gate has not run on this manifest."


def _intact(facts: Facts) -> RuleOutcome:
    if facts.chain is not None:
        return False, f"Corrections: {facts.chain}."
    if facts.defects:
        first = facts.defects[0]
        return False, f"{len(facts.defects)} files: {first.path}: {first.message}."
    return facts.intact, "Every file matches the manifest." if facts.intact else "The gate found the record broken."


def _ran(facts: Facts) -> RuleOutcome:
    if facts.gate is None:
        return False, "gate.json is about an earlier manifest." if facts.stale else _NOT_RUN
    return True, f"From depth {facts.gate.depth}, {facts.gate.evaluated_at}."


def _verified(facts: Facts) -> RuleOutcome:
    return (False, _NOT_RUN) if facts.gate is None else (facts.status == "VERIFIED", facts.gate.reason)


def _vacuous(facts: Facts) -> RuleOutcome:
    if facts.gate is None:
        return None, _NOT_RUN
    vacuous = [claim.id for claim in facts.claims if facts.verdict(claim) == "vacuous"]
    return not vacuous, f"Vacuous: {', '.join(vacuous[:6])}." if vacuous else "No claim survived its own perturbation."


def _deep(facts: Facts) -> RuleOutcome:
    offered = [depth for depth in DEPTHS if depth in facts.record.repro.depths]
    return len(offered) > 1, f"Offered depths: {', '.join(offered) or 'none'}."


def _deepest(facts: Facts) -> RuleOutcome:
    offered = [depth for depth in DEPTHS if depth in facts.record.repro.depths]
    if facts.gate is None or len(offered) < 2:
        return None, _NOT_RUN if facts.gate is None else "Only one depth is offered."
    return facts.gate.depth == offered[-1], f"The gate ran from {facts.gate.depth}; the deepest is {offered[-1]}."


def _environment(facts: Facts) -> RuleOutcome:
    environment = facts.record.manifest.environment
    recorded = len(environment.versions) > 1 and bool(environment.hardware)
    return recorded, f"{len(environment.versions)} versions, {len(environment.hardware)} facts about the hardware."


def _models(facts: Facts) -> RuleOutcome:
    models = facts.record.manifest.environment.models
    if not models:
        return None, "No model is named."
    unidentified = [model.name for model in models if not model.files and model.revision is None]
    return (
        not unidentified,
        f"By name only: {', '.join(unidentified[:4])}." if unidentified else f"All {len(models)} by hash or revision.",
    )


def _signed(facts: Facts) -> RuleOutcome:
    if facts.gate is None:
        return None, _NOT_RUN
    return facts.gate.signed_by is not None, f"Signed by {facts.gate.signed_by or 'nobody'}."


REPRODUCIBILITY: Final = (
    Rule(
        "intact",
        "Does every file match the manifest?",
        3,
        _intact,
        "Build the record again, or correct it with `tarazu record correct`.",
    ),
    Rule("gate-ran", "Has the gate run on this manifest?", 2, _ran, "Run `tarazu record verify`."),
    Rule(
        "gate-verified", "Is the gate VERIFIED?", 4, _verified, "See which claims failed, are vacuous or were not run."
    ),
    Rule(
        "vacuous",
        "Are there no vacuous claims?",
        1,
        _vacuous,
        "Narrow the tolerance, or claim something that could turn out false.",
    ),
    Rule(
        "depths",
        "Can the record be run again from a depth before the scores?",
        1,
        _deep,
        "Build it from a run whose data can be included.",
    ),
    Rule(
        "deepest",
        "Did the gate run from the deepest depth?",
        1,
        _deepest,
        "Run `tarazu record verify --depth` with the deepest depth.",
    ),
    Rule(
        "environment",
        "Are versions and hardware recorded?",
        1,
        _environment,
        "Build from a run folder with a lock file.",
    ),
    Rule(
        "models",
        "Is every model identified by hash or revision?",
        1,
        _models,
        "Set `revision`, or run with local model files.",
    ),
    Rule("signed", "Is the manifest signed?", 1, _signed, "Sign it with `tarazu record sign`, and publish the key."),
)


# --- claims and sources --------------------------------------------------------------------------


_ANSWER: Final = ("/tradeoff/primary/", "/sentence")


def _enough(facts: Facts) -> RuleOutcome:
    count = len(facts.distinct(facts.own))
    return count >= 5, f"{count} claims about this work."


def _answer(facts: Facts) -> RuleOutcome:
    places = [claim.check.pointer for claim in facts.empirical if isinstance(claim.check, Value)]
    claimed = any(place.startswith(_ANSWER) for place in places)
    return (
        claimed,
        "The answer is claimed." if claimed else "No claim points at the answer (/tradeoff/primary, /sentence).",
    )


def _comparisons(facts: Facts) -> RuleOutcome:
    count = sum(isinstance(claim.check, Expression) for claim in facts.empirical)
    return count > 0, f"{count} claims are expressions over several numbers."


def _none_failed(facts: Facts) -> RuleOutcome:
    if facts.gate is None:
        return None, _NOT_RUN
    failed = [claim.id for claim in facts.claims if facts.verdict(claim) == "failed"]
    return not failed, f"Failed: {', '.join(failed[:6])}." if failed else "No claim failed."


def _all_verified(facts: Facts) -> RuleOutcome:
    if facts.gate is None:
        return False, _NOT_RUN
    verified = sum(facts.verdict(claim) in ("verified", "context") for claim in facts.claims)
    return verified == len(facts.claims), f"{verified} of {len(facts.claims)} hold."


def _authored(facts: Facts) -> RuleOutcome:
    count = sum(claim.origin == "author" for claim in facts.claims)
    return count > 0, f"{count} claims by the authors, {len(facts.claims) - count} drafted by the build."


def _sources(facts: Facts) -> RuleOutcome:
    documents = {claim.source for claim in facts.sources}
    return bool(documents), f"{len(facts.sources)} quotations from {len(documents)} documents."


def _corroborated(facts: Facts) -> RuleOutcome:
    if not facts.sources:
        return None, "No document is quoted."
    if facts.gate is None:
        return None, _NOT_RUN
    count = verification_levels(facts).claim_summary.cross_source_corroborated_claims
    return count > 0, f"Two documents support {count} statements."


CLAIMS: Final = (
    Rule(
        "five-claims",
        "Are there at least five claims about this work?",
        2,
        _enough,
        "Claim the results that the abstract states.",
    ),
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
        'Claim, for example, `CAS("a") > CAS("b")`.',
    ),
    Rule(
        "none-failed",
        "Are there no failed claims?",
        3,
        _none_failed,
        "Correct the claim or the evidence: `tarazu record correct`.",
    ),
    Rule("all-verified", "Is every claim verified?", 2, _all_verified, "See the reason for each claim that is not."),
    Rule(
        "authored", "Did the authors add claims of their own?", 1, _authored, "Add your conclusions with --claims FILE."
    ),
    Rule("sources", "Does a claim quote a document?", 1, _sources, "Add --source and a source_grounded claim."),
    Rule(
        "corroborated",
        "Do two documents support the same statement?",
        1,
        _corroborated,
        "Quote a second document for a statement.",
    ),
)


# --- reporting -----------------------------------------------------------------------------------


_UNCERTAINTY: Final = re.compile(
    r"interval|±|\bCI\b|\bp\s*[=<]|standard error|\[[^\]]*\d[^\]]*,[^\]]*\d[^\]]*\]", re.IGNORECASE
)


def _authors(facts: Facts) -> RuleOutcome:
    count = len(facts.record.manifest.work.authors)
    return count > 0, f"{count} named."


def _license(facts: Facts) -> RuleOutcome:
    license = facts.record.manifest.work.license
    return license is not None, f"{license or 'None stated'}."


def _title(facts: Facts) -> RuleOutcome:
    title = facts.record.manifest.work.title
    descriptive = title.strip().casefold() != "scores made elsewhere" and len(title.split()) >= 3
    return descriptive, f"{len(title.split())} words." if descriptive else "It does not say what the work is about."


def _question(facts: Facts) -> RuleOutcome:
    is_question = facts.record.manifest.work.research_question.strip().endswith(("?", "؟", "？"))
    return is_question, "It is a question." if is_question else "It does not end with a question mark."


def _abstract_numbers(facts: Facts) -> RuleOutcome:
    abstract = facts.record.manifest.work.abstract
    has_numbers = len(abstract) >= 100 and any(letter.isdigit() for letter in abstract)
    return has_numbers, f"{len(abstract)} characters, {'with' if any(map(str.isdigit, abstract)) else 'no'} numbers."


def _abstract_sure(facts: Facts) -> RuleOutcome:
    reported = _UNCERTAINTY.search(facts.record.manifest.work.abstract) is not None
    return reported, "It reports an interval or a test." if reported else "It reports neither an interval nor a test."


def _limitations(facts: Facts) -> RuleOutcome:
    count = len(facts.record.manifest.limitations)
    return count > 0, f"{count} listed."


def _caution(facts: Facts) -> RuleOutcome:
    caution = facts.results.study.caution
    if not caution:
        return None, "The study has no caution."
    included = caution in facts.record.manifest.limitations
    return (
        included,
        "The limitations include the study's caution." if included else "The limitations omit the study's caution.",
    )


def _links(facts: Facts) -> RuleOutcome:
    count = len(facts.record.manifest.links)
    return count > 0, f"{count} links."


REPORTING: Final = (
    Rule("authors", "Are the authors named?", 2, _authors, "Add --author 'Family, Given'."),
    Rule("licence", "Is a licence stated?", 2, _license, "Add --license with an SPDX identifier such as CC-BY-4.0."),
    Rule("title", "Does the title say what the work is about?", 1, _title, "Set --title, or `title` in the study."),
    Rule(
        "question", "Is the research question a question?", 1, _question, "Set --question, ending with a question mark."
    ),
    Rule(
        "abstract-numbers", "Does the abstract report the findings in numbers?", 2, _abstract_numbers, "Set --abstract."
    ),
    Rule(
        "abstract-sure",
        "Does the abstract report its uncertainty?",
        2,
        _abstract_sure,
        "Add the interval to the abstract.",
    ),
    Rule(
        "limitations",
        "Are limitations listed?",
        2,
        _limitations,
        "State what the data cannot show (`caution` in the study).",
    ),
    Rule(
        "caution", "Do the limitations include the study's own caution?", 1, _caution, "Build again with this version."
    ),
    Rule("links", "Is there a link to a page about the work?", 1, _links, "Add --link with its address."),
)
