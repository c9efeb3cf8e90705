"""`tarazu preregister`: a study's plan, frozen before any response exists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tarazu.analysis.selection import select
from tarazu.data.rows import KINDS
from tarazu.preregistration.digests import input_digests
from tarazu.preregistration.model import Estimand, Plan, PlannedLanguages, PlannedPower, estimand_words
from tarazu.preregistration.reading import FrozenPlan
from tarazu.results.model import GroupMembers, Sources
from tarazu.results.quantity import Quantity, quantity_for
from tarazu.run.context import read_context
from tarazu.run.lengths import check_lengths
from tarazu.run.lock import versions
from tarazu.run.power import power_analysis, requests_of
from tarazu.study import LoadedStudy, Study


def make_plan(loaded: LoadedStudy, date: str, pilot: Path | None = None) -> Plan:
    """The plan of a study: settings, digests of what it loads, estimand, languages and power, by the code that
    `tarazu run`, the analysis and `tarazu plan` use. Raises BadInput as they do."""
    study = loaded.study
    context = read_context(study, Path())
    check_lengths(study, context.inputs)
    prompts = [prompt for prompt in context.inputs.prompts if prompt.kind in KINDS]
    quantity = quantity_for({prompt.kind for prompt in prompts})
    languages = sorted({prompt.language for prompt in prompts})
    # Those that D will include if every response gets a label.
    chosen = select(requests_of(prompts), languages, study.groups, quantity.kinds)
    return Plan(
        date=date,
        study=study.model_dump(mode="json", by_alias=True),
        inputs=input_digests(context.inputs.prompts, context.inputs.known_answers, context.identities),
        estimand=_estimand(study, quantity, languages),
        languages=PlannedLanguages(
            included=chosen.languages,
            excluded=chosen.excluded,
            sources=Sources(harmful=chosen.sources.get("harmful", ()), benign=chosen.sources.get("benign", ())),
        ),
        power=PlannedPower.model_validate(power_analysis(study, context.inputs.prompts, pilot)),
        versions=versions(),
    )


def plan_summary(frozen: FrozenPlan, key_id: str | None, path: Path) -> str:
    """The plan for a terminal."""
    plan, power = frozen.plan, frozen.plan.power
    count = {kind: sum(one.n for one in own.values()) for kind, own in plan.inputs.prompts.items()}
    included = Counter(code in plan.estimand.groups.low for code in plan.languages.included)
    lines = [
        f"{path}: the plan of {plan.study['name']}, dated {plan.date}",
        plan.estimand.words,
        f"Margin: {plan.estimand.margin:g} points. Compared: {included[False]} high- and {included[True]} low-resource "
        "languages.",
        f"Prompts: {', '.join(f'{n} {kind}' for kind, n in count.items())}.",
        f"Power: {power.reason}"
        if power.detectable is None
        else f"Power: 80 % to detect {power.detectable:.1f} points"
        + (" (assumed components of variance)." if power.assumed else " (components of the pilot)."),
        f"Signed by {key_id}" if key_id else "Not signed.",
        f"sha256:{frozen.sha256}",
        "Publish this digest now, where others can see the date. Then: tarazu run ... --plan " + str(path),
    ]
    return "\n".join(lines) + "\n"


def _estimand(study: Study, quantity: Quantity, languages: Sequence[str]) -> Estimand:
    analysis, groups = study.analysis, study.groups
    return Estimand(
        words=estimand_words(quantity.name, analysis.base_arm, analysis.primary_arm),
        quantity=quantity.name,
        primary_arm=analysis.primary_arm,
        base_arm=analysis.base_arm,
        margin=analysis.margin,
        labels=analysis.labels,
        groups=GroupMembers(
            high=tuple(code for code in languages if groups.of(code) == "high"),
            low=tuple(code for code in languages if groups.of(code) == "low"),
        ),
    )
