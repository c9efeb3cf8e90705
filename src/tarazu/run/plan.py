"""`tarazu plan`: the stages of a study, which of them are done, and the cost of the others, before any computation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tarazu.run.context import read_context
from tarazu.run.graph import stage_graph
from tarazu.run.lengths import check_lengths
from tarazu.run.power import power_analysis, power_text
from tarazu.run.stages import Stage, up_to_date
from tarazu.study import LoadedStudy
from tarazu.summary import sources_read


def plan(loaded: LoadedStudy, out: Path, pilot: Path | None = None) -> dict[str, Any]:
    """What `tarazu run` would do in `out`.

    `stages` is a list of {name, state, work, gflop}: `state` is `done`, `to do`, or `later` if it depends on responses
    that do not exist yet; `work` is in words; `gflop`, in 1e9 floating-point operations, is null if unknown.
    `parameters` is the number of the model's weights, null if they are not on this machine. `power` is the output of
    `power_analysis`, with the components of variance of the run `pilot`. `shortened` counts the prompts that are too
    long for a model, by language and kind. Raises BadInput if a length of the study leaves a language no room.
    """
    study = loaded.study
    context = read_context(study, out)
    shortened = check_lengths(study, context.inputs)
    return {
        "study": study.name,
        "parameters": context.parameters,
        "languages": sorted({prompt.language for prompt in context.inputs.prompts}),
        "stages": _rows(out, stage_graph(context)),
        "shortened": [asdict(row) for row in shortened],
        "data": context.inputs.account,
        "power": power_analysis(study, context.inputs.prompts, pilot),
    }


def _rows(out: Path, graph: Mapping[str, Stage]) -> list[dict[str, Any]]:
    """The stages that have a cost."""
    states: dict[str, str] = {}
    rows = []
    for name, stage in graph.items():
        if stage.cost is None:
            continue
        known = all(states[one] == "done" for one in stage.inputs_from)
        states[name] = ("done" if up_to_date(out, stage) else "to do") if known else "later"
        cost = stage.cost()
        rows.append({"name": name, "state": states[name], "work": cost.work, "gflop": cost.gflop})
    return rows


def plan_text(planned: dict[str, Any]) -> str:
    """The plan for a terminal."""
    model = (
        f"{planned['parameters']:,} parameters" if planned["parameters"] else "a model that is not on this machine yet"
    )
    lines = [
        f"{planned['study']}: {model}, {len(planned['languages'])} languages: {' '.join(planned['languages'])}",
        "",
    ]
    width = max(22, *(len(row["name"]) + 2 for row in planned["stages"]))
    for row in planned["stages"]:
        cost = f"{row['gflop']:,.0f} GFLOP" if row["gflop"] else ""
        lines.append(f"{row['name']:<{width}}{row['state']:<8}{row['work']:<46}{cost}".rstrip())
    for row in planned["shortened"]:
        lines.append(
            f"{row['model']}: {row['shortened']} of {row['n']} {row['kind']} prompts in {row['language']} are too long "
            "and will be shortened"
        )
    for what, account in sources_read(planned["data"]):
        dropped = ", ".join(f"{count} {reason}" for reason, count in account["dropped"].items())
        lines.append(
            f"{what}: {account['source']}: {account['kept']} of {account['read']} rows"
            + (f"; dropped: {dropped}" if dropped else "")
        )
    return "\n".join(lines) + "\n" + power_text(planned["power"])
