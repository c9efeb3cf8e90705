"""`tarazu compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tarazu.commands.dispatch import command, group
from tarazu.commands.options import Overrides, choice, positive, prints_json
from tarazu.commands.output import import_models, need_models, print_results

if TYPE_CHECKING:
    from tarazu.study import LoadedStudy
    from tarazu.study.comparison import Choice, Comparison

app = group()


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    checkpoints: Annotated[
        list[str],
        typer.Argument(
            metavar="BASE ALIGNED...",
            help="Checkpoints: folders, Hub names, or arms of a run (runs/demo/arms/dpo). The first is compared with.",
        ),
    ]
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="What labels the responses: preset:NAME (docs/rewards.md), a folder or a Hub name.",
            show_default="preset:deberta-v3-large-v2",
        ),
    ] = None
    languages: Annotated[
        str | None,
        typer.Option(metavar="CODES", help="Languages, separated by commas, or all.", show_default="12; all on a GPU"),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", parser=positive, help="Prompts of each kind in a language.", show_default="all"),
    ] = None
    harmful: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your harmful prompts (docs/formats-of-files.md).", show_default="shipped"),
    ] = None
    benign: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your benign prompts.", show_default="shipped")
    ] = None
    format: Annotated[
        str | None,
        choice(
            "opt",
            "chat_template",
            meaning="How a prompt is written: as a transcript of HH-RLHF, or by the chat template.",
        ),
    ] = None
    out: Annotated[Path, typer.Option(metavar="DIR", help="Run folder.")] = Path("runs/compare")
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be done, its cost and power, and stop.")] = False
    overrides: Overrides = field(default_factory=list)
    json: Annotated[bool, prints_json("results.json, or the plan,")] = False


@command(
    app,
    "compare",
    summary="Compare two or more checkpoints, without a study file.",
    description="Send harmful and benign prompts in high- and low-resource languages to two or more checkpoints, label "
    "the responses, and say what alignment changed. What you do not choose is chosen and said. The study that results "
    "is DIR/compare.yaml, which `tarazu run` takes. A stopped run resumes. Needs the extra `models`.",
    example="tarazu compare HuggingFaceTB/SmolLM2-135M HuggingFaceTB/SmolLM2-135M-Instruct --limit 8",
)
def compare_checkpoints(options: CompareOptions) -> int:
    need_models()
    import_models()
    from tarazu.files import to_json, write_text
    from tarazu.progress import Progress
    from tarazu.run.pipeline import run
    from tarazu.run.plan import plan, plan_text
    from tarazu.study import study_text
    from tarazu.study.comparison import Comparison

    wanted = Comparison(
        checkpoints=options.checkpoints,
        judge=options.judge,
        languages=None if options.languages is None else [code.strip() for code in options.languages.split(",")],
        limit=options.limit,
        harmful=options.harmful,
        benign=options.benign,
        prompt_format=options.format,
    )
    with Progress() as progress:
        loaded, choices = _load(wanted, options.overrides)
        for choice_made in choices:
            progress.line(str(choice_made))
        if options.plan:
            planned = plan(loaded, options.out, None)
            print(to_json(planned) if options.json else plan_text(planned), end="")
            return 0
        if loaded.study.caution:
            progress.line(loaded.study.caution)
        results = run(loaded, options.out, fresh=False, progress=progress)
        write_text(options.out / "compare.yaml", study_text(loaded.study))
    print_results(results, as_json=options.json)
    progress.line(f"\nReport: {(options.out / 'report.html').resolve()}")
    return 0


def _load(wanted: Comparison, overrides: Sequence[str]) -> tuple[LoadedStudy, Sequence[Choice]]:
    """The study of a comparison, with `key=value` overrides, and what was chosen for the user. Raises BadInput for a
    checkpoint without a tokenizer, and as a study file does."""
    import torch

    from tarazu.align.checkpoints import load_tokenizer
    from tarazu.study import study_from_text
    from tarazu.study.comparison import Machine, comparison_study

    unclear = [] if wanted.prompt_format else wanted.checkpoints
    machine = Machine(
        gpu=torch.cuda.is_available(),
        without_template=[name for name in unclear if not load_tokenizer(name, key="compare").chat_template],
    )
    made = comparison_study(wanted, machine)
    return study_from_text("compare", made.text, overrides), made.choices
