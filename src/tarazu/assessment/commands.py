"""`tarazu record assess`, and what `record verify` does after the gate: assessment.json and record.html."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tarazu.errors import BadInput

if TYPE_CHECKING:
    from tarazu.record.contracts import Assessment


def add_assess(actions: argparse._SubParsersAction[Any]) -> None:
    assess = actions.add_parser(
        "assess",
        help="levels, quality, tier and review from a record's public files, and its page",
        description="Write RECORD's assessment.json and record.html from its files and its gate.json, as `record "
        "verify` does after the gate. Nothing of the record is executed. Triage by rules, not peer review. By choice a "
        "language model adds a review, which does not count (its key, where it asks for one, in TARAZU_JUDGE_KEY).",
        epilog="example: tarazu record assess records/demo",
    )
    assess.add_argument("record", type=Path, metavar="RECORD", help="record folder")
    assess.add_argument(
        "--judge-url", metavar="URL", help="OpenAI-compatible address, such as http://127.0.0.1:8000/v1"
    )
    assess.add_argument("--judge-model", metavar="NAME", help="the model to ask there")
    assess.add_argument("--json", action="store_true", help="print assessment.json on standard output")
    assess.set_defaults(handler=_assess)


def write_outputs(path: Path, *, judge_url: str | None = None, judge_model: str | None = None) -> Assessment:
    """Write assessment.json and record.html of the record at `path`. Raises BadInput, TarazuError."""
    from tarazu.assessment.build import assess, write_assessment
    from tarazu.assessment.facts import read_facts
    from tarazu.assessment.judge import judge
    from tarazu.record.reading import read_record
    from tarazu.site.record_page import write_record_page

    if (judge_url is None) != (judge_model is None):
        raise BadInput("--judge-url and --judge-model: give both or neither")
    facts = read_facts(read_record(path))
    model = judge(facts, judge_url, judge_model) if judge_url is not None and judge_model is not None else None
    found = assess(facts, model)
    write_assessment(facts, found)
    write_record_page(facts, found)
    return found


def assessment_line(found: Assessment) -> str:
    """The assessment in a line."""
    levels, tier = found.verification_levels, found.quality_tiers.tier.replace("_", " ").lower()
    return (
        f"L{levels.paper_level} {levels.paper_level_label}; review {found.review.score:.2f}/10 (automated); {tier}. "
        "Triage, not peer review."
    )


def _assess(arguments: argparse.Namespace) -> int:
    from tarazu.files import to_json
    from tarazu.report.text import visible

    found = write_outputs(arguments.record, judge_url=arguments.judge_url, judge_model=arguments.judge_model)
    if arguments.json:
        print(to_json(found.model_dump(mode="json")), end="")
        return 0
    print(assessment_line(found))
    for review in found.review.reviews:
        score = "no rule applies" if review.score is None else f"{review.score:.2f}"
        print(f"{review.reviewer}: {score}")
        missed = [
            f"{check.question} No. {check.finding} {check.mend}" for check in review.checks if check.passed is False
        ]
        for line in (*missed, *review.findings):
            print(visible(f"  {line}".replace("\n", " ")))
    print(f"Page: {(arguments.record / 'record.html').resolve()}")
    return 0
