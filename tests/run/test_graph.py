"""The graph of stages: the stages of a study are the same in plan and run, and each names everything that it reads."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_study import write_small_study
from test_pipeline import run_study

from tarazu.files import file_sha256
from tarazu.progress import Progress
from tarazu.run import pipeline
from tarazu.run.context import RunContext, read_context
from tarazu.run.graph import stage_graph
from tarazu.run.plan import plan
from tarazu.run.stages import Done, Stage, run_stage, up_to_date
from tarazu.study import load_study

SETTINGS = ("seeds=2", "analysis.frontier={alphas: [0.5]}")
MODELS = ["base", "sft", "dpo", "sft_dpo", "sft@1", "dpo@1", "sft_dpo@1"]
"""Written by hand, like the four below: the stages of a study that has every kind except the tasks of the harness."""
ANSWERS = [*(f"responses:{name}" for name in MODELS), "frontier:responses:0.5"]
SCORED = [*(f"rewards:{name}" for name in MODELS), "frontier:rewards:0.5", "known_answers"]
COSTLY = [*(f"arm:{name}" for name in MODELS), *ANSWERS, "reward_model", *SCORED]
CHEAP = ["scores", "frontier:scores", "results"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that trains its own reward model, with a frontier between base and dpo."""
    folder = tmp_path_factory.mktemp("graph")
    path = write_small_study(folder)
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    tree["reward"]["train"] = {"from": str(folder / "model"), "learning_rate": 1e-3, "batch_size": 4}
    tree["reward"]["harmful"]["model"] = "trained"
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("done") / "run"
    run_study(study, out, *SETTINGS)
    return out


def graph_of(study: Path, out: Path) -> dict[str, Stage]:
    return stage_graph(read_context(load_study(str(study), SETTINGS).study, out))


def test_the_graph_has_every_stage_of_a_study(study: Path, tmp_path: Path) -> None:
    graph = graph_of(study, tmp_path / "run")
    assert list(graph) == [*COSTLY, *CHEAP]
    assert [name for name, stage in graph.items() if stage.cost is None] == CHEAP
    assert graph["arm:sft_dpo@1"].after == ["arm:sft@1"]
    assert graph["responses:dpo"].after == ["arm:dpo"]
    assert graph["frontier:responses:0.5"].after == ["arm:base", "arm:dpo"]
    # What an earlier stage has scored is not scored again, so its responses are read too; no later ones are.
    assert graph["rewards:sft"].inputs_from == ["responses:base", "responses:sft"]
    assert graph["rewards:sft"].after == ["responses:base", "responses:sft", "reward_model"]
    assert graph["known_answers"].after == ["reward_model"]
    assert set(graph["results"].after) == {*graph} - {"results"}


def test_plan_is_the_dry_run(study: Path, done: Path, tmp_path: Path) -> None:
    loaded = load_study(str(study), SETTINGS)
    states = {row["name"]: row["state"] for row in plan(loaded, tmp_path / "run")["stages"]}
    assert list(states) == COSTLY
    later = {name for name, state in states.items() if state == "later"}
    assert later == set(SCORED) - {"known_answers"}
    assert set(states.values()) == {"later", "to do"}
    assert not (tmp_path / "run").exists()
    assert {row["state"] for row in plan(loaded, done)["stages"]} == {"done"}
    records = {path.stem for path in (done / ".stages").iterdir()}
    assert records == {name.replace(":", "-") for name in (*COSTLY, *CHEAP)}


def test_finished_stages_are_up_to_date_in_a_new_graph(study: Path, done: Path) -> None:
    """A worker of a cluster builds the graph in this way, and uses one stage of it by name."""
    for name in (*COSTLY, *CHEAP):
        stage = graph_of(study, done)[name]
        assert up_to_date(done, stage), name


class AnyOrder:
    """Runs stages in a random order, each after those that it depends on."""

    def __init__(self, context: RunContext, seed: int) -> None:
        self.context, self.random = context, random.Random(seed)

    def execute(self, graph: Mapping[str, Stage]) -> dict[str, Done]:
        done: dict[str, Done] = {}
        while len(done) < len(graph):
            ready = [one for one in graph.values() if one.name not in done and set(one.after) <= done.keys()]
            stage = self.random.choice(ready)
            done[stage.name] = run_stage(self.context.out, stage, self.context.progress)
        return done


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.proof), pytest.param(3, marks=pytest.mark.proof)]
)
def test_any_order_that_the_graph_allows_gives_the_same_files(
    study: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    @contextmanager
    def open_any(name: str, context: RunContext) -> Iterator[Any]:
        yield AnyOrder(context, seed)

    monkeypatch.setattr(pipeline, "open_executor", open_any)
    monkeypatch.setattr(pipeline, "write_report", lambda *_: None)
    out = tmp_path / "run"
    pipeline.run(load_study(str(study), SETTINGS), out, fresh=False, progress=Progress(io.StringIO()))

    def files(folder: Path) -> dict[str, str]:
        paths = [path for path in folder.rglob("*") if path.suffix in (".parquet", ".safetensors", ".jsonl")]
        return {str(path.relative_to(folder)): file_sha256(path) for path in (*paths, folder / "results.json")}

    assert files(out) == files(done)
    for record in (done / ".stages").iterdir():
        own, first = (json.loads((run / ".stages" / record.name).read_text()) for run in (out, done))
        assert {**own, "seconds": 0} == {**first, "seconds": 0}
