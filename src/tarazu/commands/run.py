"""`tarazu run` and `tarazu plan`."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from tarazu.commands.dispatch import command, group
from tarazu.commands.options import SHIPPED_STUDY, Overrides, PlanFile, RunFolder, choice, prints_json
from tarazu.commands.output import import_models, need_models, print_json, print_results
from tarazu.commands.preregistering import signed_plan, with_plan

app = group()

_TRACKERS = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
}
"""For each tracker, the packages that provide it. One of them is enough."""


def _trackers(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in _TRACKERS:
            raise typer.BadParameter(f"no tracker {name!r}; choose from {', '.join(_TRACKERS)}")
        if not any(find_spec(package) for package in _TRACKERS[name]):
            raise typer.BadParameter(f"{name} is not installed: pip install {_TRACKERS[name][0]}")
    return names


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    study: Annotated[str, typer.Argument(metavar="STUDY", help=f"The study: {SHIPPED_STUDY}.")] = "demo"
    out: RunFolder = None
    overrides: Overrides = field(default_factory=list)
    plan: PlanFile = None
    fresh: Annotated[bool, typer.Option("--fresh", help="First delete an earlier run of this study in DIR.")] = False
    json: Annotated[bool, prints_json("results.json")] = False
    report_to: Annotated[
        Any,
        typer.Option(
            metavar="NAMES",
            parser=_trackers,
            help="Also log training to these trackers, separated by commas: tensorboard (in DIR/logs), wandb, mlflow, "
            "trackio.",
        ),
    ] = None
    executor: Annotated[
        str,
        choice(
            "local",
            "ray",
            meaning="Where the stages run: in this process, or on the workers of the Ray cluster at RAY_ADDRESS "
            "(default: a new cluster on this machine). All workers must have access to DIR. Ray needs the extra `ray`.",
        ),
    ] = "local"


@command(
    app,
    "run",
    summary="Run a study: from its YAML file to an answer and a report.",
    description="Run a study. A stopped run resumes where it stopped; stages whose inputs did not change are not "
    "repeated. Needs the extra `models`.",
    example="tarazu run demo --out runs/demo --set seed=8",
)
def run_study(options: RunOptions) -> int:
    from tarazu.study import load_study

    loaded = with_plan(load_study(options.study, options.overrides), signed_plan(options.plan))
    need_models()
    if options.executor == "ray":
        from tarazu.run._ray import need_ray

        need_ray()
    import_models()
    from tarazu.align.processes import is_leader
    from tarazu.progress import Progress
    from tarazu.run.pipeline import run, take_part

    out = options.out or Path("runs") / loaded.study.name
    if not is_leader():
        take_part(loaded, out)
        return 0
    with Progress() as progress:
        if loaded.study.caution:
            progress.line(loaded.study.caution)
        results = run(
            loaded,
            out,
            fresh=options.fresh,
            progress=progress,
            report_to=options.report_to or (),
            executor=options.executor,
        )
    print_results(results, as_json=options.json)
    progress.line(f"\nReport: {(out / 'report.html').resolve()}")
    return 0


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    study: Annotated[str, typer.Argument(metavar="STUDY", help=f"The study: {SHIPPED_STUDY}.")]
    out: RunFolder = None
    overrides: Overrides = field(default_factory=list)
    pilot: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A finished run whose variance the power analysis uses.")
    ] = None
    json: Annotated[bool, prints_json("the plan as JSON")] = False


@command(
    app,
    "plan",
    summary="Show what a run would do, what is already done, and the power of its design.",
    description="List a study's stages, which of them are done in the run folder, how much work remains, and the power "
    "of the design: which differences the study can detect, and how more prompts, languages or seeds would help.",
    example="tarazu plan xtreme-r --set data.root=/data",
)
def plan_study(options: PlanOptions) -> int:
    from tarazu.study import load_study

    loaded = load_study(options.study, options.overrides)
    need_models()
    import_models()
    from tarazu.files import to_json
    from tarazu.run.plan import plan, plan_text

    planned = plan(loaded, options.out or Path("runs") / loaded.study.name, options.pilot)
    if options.json:
        print_json(to_json(planned))
    else:
        print(plan_text(planned), end="")
    return 0
