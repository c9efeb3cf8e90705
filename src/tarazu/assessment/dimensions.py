"""quality-dimensions-v1: eight dimensions. A rule scores each from 0 to 10, or null if the public files say nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from tarazu.assessment.facts import Facts, arm_rates, has_interval, overlap_checked, seeds_varied, tested_cells
from tarazu.record.claims.empirical import agrees
from tarazu.record.claims.pointers import Undefined, value_at
from tarazu.record.contracts import Dimension, Grade, QualityDimensions
from tarazu.record.model import Value

HIGH: Final = 7.5
MEDIUM: Final = 5.0
_TOLERANCE: Final = 1e-6
"""Points. Differences in the order of sums are smaller."""

_BY_AUTHOR: Final = 7.0

Score = tuple[float | None, str]
Criterion = tuple[float, bool, str]
"""Points, whether they are earned, and the condition."""


def quality_dimensions(facts: Facts) -> QualityDimensions:
    """All eight, each with its score, level, basis and definition."""
    dimensions = {}
    for name, (definition, rule) in DIMENSIONS.items():
        score, basis = rule(facts)
        dimensions[name] = Dimension(score=score, level=grade(score), basis=basis, definition=definition)
    return QualityDimensions(**dimensions)


def grade(score: float | None) -> Grade:
    """HIGH from 7.5, MEDIUM from 5, LOW below; UNASSESSED without a score."""
    if score is None:
        return "UNASSESSED"
    return "HIGH" if score >= HIGH else "MEDIUM" if score >= MEDIUM else "LOW"


def _points(criteria: list[Criterion]) -> Score:
    """Ten times the share of points that were earned, and the conditions that were met and missed."""
    score = 10 * sum(points for points, earned, _ in criteria if earned) / sum(points for points, _, _ in criteria)
    met = [condition for _, earned, condition in criteria if earned]
    missed = [condition for _, earned, condition in criteria if not earned]
    lists = [f"Met: {'; '.join(met)}." if met else "", f"Not met: {'; '.join(missed)}." if missed else ""]
    return round(score, 2), " ".join(filter(None, lists))


def _evidence(facts: Facts) -> Score:
    if facts.gate is None:
        return None, "The gate has not run on this manifest."
    count, verified = len(facts.own), sum(facts.verdict(claim) == "verified" for claim in facts.own)
    if not count:
        return 0.0, "No claim about this work."
    score = 10 * verified / count
    if facts.status == "FALSIFIED" or not facts.intact:
        return min(score, 2.0), f"{verified} of {count} claims are verified, but the record is falsified or not intact."
    return round(score, 2), f"The gate verified {verified} of {count} claims about this work."


def _citations(facts: Facts) -> Score:
    sources = facts.sources
    if not sources:
        return None, "No claim quotes a document."
    if facts.gate is None:
        return None, f"{len(sources)} claims quote documents, but the gate has not looked for the quotations."
    located = sum(facts.verdict(claim) == "verified" for claim in sources)
    return round(
        10 * located / len(sources), 2
    ), f"{located} of {len(sources)} quotations were found in their documents."


def _consistency(facts: Facts) -> Score:
    checks = [*_claimed_values(facts), *_arithmetic(facts)]
    if not checks:
        return None, "No number to check."
    wrong = [what for what, holds in checks if not holds]
    score = round(10 * (len(checks) - len(wrong)) / len(checks), 2)
    basis = f"{len(checks) - len(wrong)} of {len(checks)} checks hold: claimed values, CAS as the mean of its parts, "
    basis += "values inside their intervals, verdict and p."
    return score, basis + (f" Failed: {', '.join(wrong[:5])}." if wrong else "")


def _claimed_values(facts: Facts) -> Iterator[tuple[str, bool]]:
    for claim in facts.empirical:
        if isinstance(claim.check, Value):
            try:
                yield claim.id, agrees(claim.check, value_at(facts.record.document, claim.check.pointer), "analysis")
            except Undefined:
                yield claim.id, False


def _arithmetic(facts: Facts) -> Iterator[tuple[str, bool]]:
    for arm, entry in sorted(facts.results.arms.items()):
        for code, rates in sorted(entry.languages.items()):
            harmless, helpful, both = rates.HmR.value, rates.HpR.value, rates.CAS.value
            if harmless is not None and helpful is not None and both is not None:
                yield f"CAS of {arm} in {code}", abs(both - (harmless + helpful) / 2) <= _TOLERANCE
    for arm, rate, value in arm_rates(facts.results):
        yield f"interval of {rate} of {arm}", has_interval(value)
    primary = facts.results.primary
    if primary.p is not None and primary.verdict is not None:
        yield "verdict and p", (primary.verdict == "differs") == (primary.p < 0.05)


def _benchmark(facts: Facts) -> Score:
    results = facts.results
    status = results.ruler.status
    if status == "unassessed":
        return None, "The reward models were not tested on known answers."
    tested = tested_cells(results)
    trusted = tested.count("trusted")
    sizes = [len(results.groups.high), len(results.groups.low)]
    return _points(
        [
            (4, status == "comparable", "the reward models are comparable in both groups"),
            (
                2,
                bool(tested) and trusted >= 0.75 * len(tested),
                f"the reward models are trusted in {trusted} of {len(tested)} tested cells",
            ),
            (
                2,
                _agree(facts, "corrected"),
                "the verdict is the same after correction for the reward models' errors",
            ),
            (1, min(sizes) >= 5, "each group has at least five languages"),
            (1, overlap_checked(results), "training data and prompts were checked for overlap"),
        ]
    )


def _agree(facts: Facts, quantity: str) -> bool:
    """Whether a sensitivity estimate is defined and has the primary verdict."""
    row = facts.results.tradeoff.check(quantity)
    return row is not None and row.estimate is not None and row.verdict == facts.results.primary.verdict


def _novelty(facts: Facts) -> Score:
    return None, "No public field says what was known before. A reader must judge this."


def _uncertainty(facts: Facts) -> Score:
    rates = list(arm_rates(facts.results))
    primary = facts.results.primary
    return _points(
        [
            (3, bool(rates) and all(has_interval(entry) for _, _, entry in rates), "every rate has an interval"),
            (2, has_interval(primary), "the answer has an interval"),
            (1, bool(rates) and all(entry.n for _, _, entry in rates), "every rate reports its n"),
            (1, primary.mde is not None, "the minimum detectable effect is reported"),
            (1, seeds_varied(facts.results), "training seeds were varied"),
            (2, bool(facts.record.manifest.limitations), "limitations are listed"),
        ]
    )


def _reproducibility(facts: Facts) -> Score:
    deepest = {"analysis": 8.0, "responses": 9.0, "training": 10.0}
    scripts = {} if facts.gate is None else facts.gate.scripts
    if not facts.intact:
        return 0.0, "The files are not those of the manifest."
    if facts.gate is None:
        return 3.0, "The record can be run again, but the gate has not run on this manifest."
    if facts.status == "VERIFIED":
        if scripts.get("analysis") != "package":
            return (
                _BY_AUTHOR,
                "The gate is VERIFIED, by an author's script; the package's analysis gives the same results.",
            )
        if scripts.get(facts.gate.depth) != "package":
            basis = f"an author's script ran from {facts.gate.depth}, which could repeat known results"
            return deepest["analysis"], f"The gate is VERIFIED from depth analysis by the package's analysis; {basis}."
        return deepest[
            facts.gate.depth
        ], f"The gate is VERIFIED from depth {facts.gate.depth} by the package's scripts."
    if facts.status == "FALSIFIED":
        return 0.0, "The gate is FALSIFIED: the re-run contradicts the record."
    return 4.0, "The gate ran but is UNVERIFIED; HIGH requires VERIFIED."


def _safety(facts: Facts) -> Score:
    base, primary = facts.results.base_arm, facts.results.primary_arm
    harmless = [entry for _, rate, entry in arm_rates(facts.results) if rate == "HmR"]
    if not harmless:
        return None, "The study does not measure harmlessness."
    tradeoff = facts.results.tradeoff
    changes = [row for row in (tradeoff.primary, *tradeoff.secondary) if row.quantity == "dHm"]
    languages = facts.results.arms[primary].languages
    return _points(
        [
            (4, all(has_interval(entry) for entry in harmless), "HmR of every arm has an interval"),
            (
                3,
                any(has_interval(row) for row in changes),
                f"the change of HmR from {base} to {primary} is compared between groups",
            ),
            (
                3,
                bool(languages),
                "HmR is reported for each language",
            ),
        ]
    )


DIMENSIONS: Final[dict[str, tuple[str, Callable[[Facts], Score]]]] = {
    "evidence_strength": ("Ten times the share of claims about this work that the gate verified.", _evidence),
    "citation_grounding": ("Ten times the share of quotations that the gate found in their documents.", _citations),
    "numerical_consistency": (
        "Ten times the share of checks that hold: claimed values are in results.json, CAS is the mean of its parts, "
        "values lie in their intervals, the verdict agrees with p.",
        _consistency,
    ),
    "benchmark_validity": (
        "Points for reward models that are comparable (4), are trusted (2) and whose errors do not change the verdict "
        "(2), five languages per group (1), a check for overlap (1).",
        _benchmark,
    ),
    "novelty": ("Not computed from public fields.", _novelty),
    "uncertainty_disclosure": (
        "Points for intervals of rates (3) and of the answer (2), n (1), power (1), training seeds (1), limitations "
        "(2).",
        _uncertainty,
    ),
    "reproducibility_status": (
        "VERIFIED by the package's own scripts from analysis 8, responses 9, training 10; by an author's analysis 7; "
        "UNVERIFIED 4; not run 3; FALSIFIED or broken 0. HIGH requires a VERIFIED gate and the package's own analysis.",
        _reproducibility,
    ),
    "safety_impact": (
        "Whether the work reports its effect on harmlessness: intervals of HmR (4), its change by group (3), HmR by "
        "language (3). It does not judge whether the change is good.",
        _safety,
    ),
}
"""Definition and rule of each dimension."""
