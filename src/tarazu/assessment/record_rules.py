"""Rules about the record itself: can it be run again, are its claims tied to evidence, does it say what matters.

Reproducibility: files, the gate, how deep a re-run goes, environment, models, signature. Claims and sources: whether
what matters is claimed, checked, and tied to evidence. Reporting: authors, licence, question, abstract, limitations.
"""

from __future__ import annotations

import re
from typing import Final

from tarazu.assessment.facts import Facts, text
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
    return facts.intact, "Every file is as the manifest says." if facts.intact else "The gate found the record broken."


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
    return len(offered) > 1, f"It offers: {', '.join(offered) or 'none'}."


def _deepest(facts: Facts) -> RuleOutcome:
    offered = [depth for depth in DEPTHS if depth in facts.record.repro.depths]
    if facts.gate is None or len(offered) < 2:
        return None, _NOT_RUN if facts.gate is None else "There is one depth only."
    return facts.gate.depth == offered[-1], f"The gate ran from {facts.gate.depth}; {offered[-1]} is offered."


def _environment(facts: Facts) -> RuleOutcome:
    environment = facts.record.manifest.environment
    told = len(environment.versions) > 1 and bool(environment.hardware)
    return told, f"{len(environment.versions)} versions, {len(environment.hardware)} facts about the hardware."


def _models(facts: Facts) -> RuleOutcome:
    models = facts.record.manifest.environment.models
    if not models:
        return None, "No model is named."
    loose = [model.name for model in models if not model.files and model.revision is None]
    return not loose, f"By name only: {', '.join(loose[:4])}." if loose else f"All {len(models)} by hash or revision."


def _signed(facts: Facts) -> RuleOutcome:
    if facts.gate is None:
        return None, _NOT_RUN
    return facts.gate.signed_by is not None, f"Signed by {facts.gate.signed_by or 'nobody'}."


REPRODUCIBILITY: Final = (
    Rule(
        "intact", "Is every file as the manifest says?", 3, _intact, "Build again, or correct: `tarazu record correct`."
    ),
    Rule("gate-ran", "Has the gate run on this manifest?", 2, _ran, "`tarazu record verify` the record."),
    Rule(
        "gate-verified", "Is the gate VERIFIED?", 4, _verified, "See which claims failed, are vacuous or did not run."
    ),
    Rule(
        "vacuous", "Is no claim vacuous?", 1, _vacuous, "Narrow the tolerance, or claim what could come out otherwise."
    ),
    Rule(
        "depths", "Can it be run again from before the scores?", 1, _deep, "Build from a run whose data can be shipped."
    ),
    Rule(
        "deepest",
        "Did the gate run from the deepest depth?",
        1,
        _deepest,
        "`tarazu record verify --depth` the deepest.",
    ),
    Rule(
        "environment", "Are versions and hardware told?", 1, _environment, "Build from a run folder that has its lock."
    ),
    Rule("models", "Is every model told by hash or revision?", 1, _models, "Set `revision`, or run with local files."),
    Rule("signed", "Is the manifest signed?", 1, _signed, "`tarazu record sign` it, and publish the key."),
)


# --- claims and sources --------------------------------------------------------------------------


_ANSWER: Final = ("/tradeoff/primary/", "/sentence")


def _enough(facts: Facts) -> RuleOutcome:
    return len(facts.own) >= 5, f"{len(facts.own)} claims about this work."


def _answer(facts: Facts) -> RuleOutcome:
    places = [claim.check.pointer for claim in facts.empirical if isinstance(claim.check, Value)]
    told = any(place.startswith(_ANSWER) for place in places)
    return told, "The answer is claimed." if told else "No claim points at the answer (/tradeoff/primary, /sentence)."


def _comparisons(facts: Facts) -> RuleOutcome:
    count = sum(isinstance(claim.check, Expression) for claim in facts.empirical)
    return count > 0, f"{count} claims are statements over several numbers."


def _none_failed(facts: Facts) -> RuleOutcome:
    if facts.gate is None:
        return None, _NOT_RUN
    failed = [claim.id for claim in facts.claims if facts.verdict(claim) == "failed"]
    return not failed, f"Failed: {', '.join(failed[:6])}." if failed else "No claim failed."


def _all_verified(facts: Facts) -> RuleOutcome:
    if facts.gate is None:
        return False, _NOT_RUN
    verified = sum(facts.verdict(claim) == "verified" for claim in facts.claims)
    return verified == len(facts.claims), f"{verified} of {len(facts.claims)} verified."


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
    return count > 0, f"{count} statements are borne out by two documents."


CLAIMS: Final = (
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


# --- what a reader learns ------------------------------------------------------------------------


_HOW_SURE: Final = re.compile(
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
    own = title.strip().casefold() != "scores made elsewhere" and len(title.split()) >= 3
    return own, f"{len(title.split())} words." if own else "It does not say what the work is about."


def _question(facts: Facts) -> RuleOutcome:
    asked = facts.record.manifest.work.research_question.strip().endswith(("?", "؟", "？"))
    return asked, "It is a question." if asked else "It does not end with a question mark."


def _abstract_numbers(facts: Facts) -> RuleOutcome:
    abstract = facts.record.manifest.work.abstract
    told = len(abstract) >= 100 and any(letter.isdigit() for letter in abstract)
    return told, f"{len(abstract)} characters, {'with' if any(map(str.isdigit, abstract)) else 'no'} numbers."


def _abstract_sure(facts: Facts) -> RuleOutcome:
    told = _HOW_SURE.search(facts.record.manifest.work.abstract) is not None
    return told, "It tells an interval or a test." if told else "It tells no interval and no test."


def _limitations(facts: Facts) -> RuleOutcome:
    count = len(facts.record.manifest.limitations)
    return count > 0, f"{count} listed."


def _caution(facts: Facts) -> RuleOutcome:
    caution = text(facts.results, "study", "caution")
    if not caution:
        return None, "The study has no caution."
    told = caution in facts.record.manifest.limitations
    return told, "The study's caution is among the limitations." if told else "The study's caution is left out."


def _links(facts: Facts) -> RuleOutcome:
    count = len(facts.record.manifest.links)
    return count > 0, f"{count} links."


REPORTING: Final = (
    Rule("authors", "Are the authors named?", 2, _authors, "--author 'Family, Given'."),
    Rule("licence", "Is a licence stated?", 2, _license, "--license with an SPDX identifier such as CC-BY-4.0."),
    Rule("title", "Does the title say what the work is about?", 1, _title, "--title, or `title` in the study."),
    Rule("question", "Is the research question a question?", 1, _question, "--question, ending with a question mark."),
    Rule("abstract-numbers", "Does the abstract tell what was found, in numbers?", 2, _abstract_numbers, "--abstract."),
    Rule("abstract-sure", "Does the abstract tell how sure it is?", 2, _abstract_sure, "Give the interval in it."),
    Rule(
        "limitations",
        "Are limitations listed?",
        2,
        _limitations,
        "Say what the data cannot show (caution in the study).",
    ),
    Rule("caution", "Is the study's own caution among them?", 1, _caution, "Build again with this version."),
    Rule("links", "Is there a link to a page about the work?", 1, _links, "--link with its address."),
)
