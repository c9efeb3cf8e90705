"""Files, the gate, how deep a re-run goes, environment, models, signature."""

from __future__ import annotations

from typing import Final

from tarazu.assessment.facts import Facts
from tarazu.assessment.reviewers.rules import Answer, Rule
from tarazu.record.model import DEPTHS

_NOT_RUN: Final = "The gate has not run on this manifest."


def _intact(facts: Facts) -> Answer:
    if facts.chain is not None:
        return False, f"Corrections: {facts.chain}."
    if facts.defects:
        first = facts.defects[0]
        return False, f"{len(facts.defects)} files: {first.path}: {first.told}."
    return facts.intact, "Every file is as the manifest says." if facts.intact else "The gate found the record broken."


def _ran(facts: Facts) -> Answer:
    if facts.gate is None:
        return False, "gate.json is about an earlier manifest." if facts.stale else _NOT_RUN
    return True, f"From depth {facts.gate.depth}, {facts.gate.evaluated_at}."


def _verified(facts: Facts) -> Answer:
    return (False, _NOT_RUN) if facts.gate is None else (facts.status == "VERIFIED", facts.gate.reason)


def _vacuous(facts: Facts) -> Answer:
    if facts.gate is None:
        return None, _NOT_RUN
    vacuous = [claim.id for claim in facts.claims if facts.verdict(claim) == "vacuous"]
    return not vacuous, f"Vacuous: {', '.join(vacuous[:6])}." if vacuous else "No claim survived its own perturbation."


def _deep(facts: Facts) -> Answer:
    offered = [depth for depth in DEPTHS if depth in facts.record.repro.depths]
    return len(offered) > 1, f"It offers: {', '.join(offered) or 'none'}."


def _deepest(facts: Facts) -> Answer:
    offered = [depth for depth in DEPTHS if depth in facts.record.repro.depths]
    if facts.gate is None or len(offered) < 2:
        return None, _NOT_RUN if facts.gate is None else "There is one depth only."
    return facts.gate.depth == offered[-1], f"The gate ran from {facts.gate.depth}; {offered[-1]} is offered."


def _environment(facts: Facts) -> Answer:
    environment = facts.record.manifest.environment
    told = len(environment.versions) > 1 and bool(environment.hardware)
    return told, f"{len(environment.versions)} versions, {len(environment.hardware)} facts about the hardware."


def _models(facts: Facts) -> Answer:
    models = facts.record.manifest.environment.models
    if not models:
        return None, "No model is named."
    loose = [model.name for model in models if not model.files and model.revision is None]
    return not loose, f"By name only: {', '.join(loose[:4])}." if loose else f"All {len(models)} by hash or revision."


def _signed(facts: Facts) -> Answer:
    if facts.gate is None:
        return None, _NOT_RUN
    return facts.gate.signed_by is not None, f"Signed by {facts.gate.signed_by or 'nobody'}."


RULES: Final = (
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
