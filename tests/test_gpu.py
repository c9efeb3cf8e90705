"""What a machine with a GPU shows and no other can: `make gpu-check` runs these, `make test` leaves them out."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import decoding
import gpu_training
import pytest
import small_study
import tiny
import torch
import torch.nn.attention.varlen
from attention_written_out import alone, layout_of
from gpu_training import STEPS

from tarazu.align import graphs
from tarazu.align.forward import branch_log_probs, to_device
from tarazu.align.kernels import KERNELS
from tarazu.align.reference import weights_sha256
from tarazu.align.rows.documents import Document
from tarazu.align.rows.layout import Layout
from tarazu.align.rows.packing import pack, pad
from tarazu.align.tokens import tokenize_pairs
from tarazu.align.train import train, train_reward_model
from tarazu.align.trainer import TrainingRun
from tarazu.conversation.formats import Format
from tarazu.judge.score import score
from tarazu.respond._continuous import ContinuousEngine
from tarazu.respond._plain import generate_alone
from tarazu.respond._transformers import TransformersEngine
from tarazu.respond.agreement import agreement
from tarazu.study.generation import Generation
from tarazu.study.judges import RewardModel
from tarazu.study.schema import DPOArm, RewardTraining, SFTArm

pytestmark = pytest.mark.gpu
HERE = Path(__file__).resolve().parent


def environment(**changes: str) -> dict[str, str]:
    path = os.pathsep.join([str(HERE.parent / "src"), str(HERE / "support"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **changes}


METHODS = ["dpo,opt", "dpo,llama", "sft,llama", "lora,opt", "reward,opt"]
IN_BFLOAT16 = ["dpo,llama,bfloat16", "sft,opt,bfloat16"]


@pytest.fixture(scope="module")
def trainings() -> dict[str, dict[str, Any]]:
    """Trainings on the GPU, again on the GPU, and on the CPU, by "METHOD,MODEL,PRECISION"."""
    exact = [f"{one},float32" for one in [*METHODS, "sft,opt"]]
    specs = {"gpu": [*exact, *IN_BFLOAT16], "again": IN_BFLOAT16, "cpu": exact}
    running = {}
    for name, chosen in specs.items():
        changes = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "4"} if name == "cpu" else {}
        command = [sys.executable, str(HERE / "support" / "gpu_training.py"), *chosen]
        running[name] = subprocess.Popen(
            command, env=environment(**changes), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    found = {}
    for name, process in running.items():
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-2000:]
        found[name] = json.loads(output.splitlines()[-1])
    return found


@pytest.mark.parametrize("spec", METHODS)
def test_training_has_the_losses_of_the_cpu(spec: str, trainings: dict[str, dict[str, Any]]) -> None:
    """In float32, to 1e-4 over 20 steps."""
    here, there = (trainings[name][f"{spec},float32"] for name in ("gpu", "cpu"))
    assert (here["device"], there["device"]) == ("cuda", "cpu")
    assert len(set(here["losses"])) == STEPS
    assert here["losses"] == pytest.approx(there["losses"], abs=1e-4)


@pytest.mark.parametrize("spec", IN_BFLOAT16)
def test_bfloat16_stays_near_float32_and_repeats_to_the_bit(spec: str, trainings: dict[str, dict[str, Any]]) -> None:
    here, again = (trainings[name][spec] for name in ("gpu", "again"))
    assert here["losses"] == again["losses"]
    assert here["weights"] == again["weights"]
    exact = trainings["gpu"][spec.replace("bfloat16", "float32")]
    assert here["losses"] != exact["losses"]
    # bfloat16 has 8 bits: 4e-3 of each product, of which a loss is a mean.
    assert here["losses"] == pytest.approx(exact["losses"], rel=0.03, abs=0.01)


def test_a_model_trained_before_is_trained_the_same_again() -> None:
    """What training in bfloat16 wraps around a model must neither stay there nor be missing the next time."""
    pairs, _ = tokenize_pairs(tiny.pairs(16), Format(tiny.tokenizer()), max_length=256)
    model, states, losses = tiny.opt().cuda(), list[str](), []
    start = {name: part.clone() for name, part in model.state_dict().items()}
    for _ in range(2):
        model.load_state_dict(start)
        run = TrainingRun(pad_id=1, seed=0, use_bf16=True, progress=lambda done, total, state: states.append(state))
        model, curve = train(model, pairs, SFTArm(method="sft"), run)
        losses.append([row["loss"] for row in curve])
    assert not [state for state in states if "cannot be packed" in state]
    assert losses[0] == losses[1]


def trained(method: str, name: str, **settings: Any) -> tuple[list[float], str, list[str]]:
    """Losses, a digest of the weights, and what was said, of a training of four epochs over rows of few shapes."""
    said: list[str] = []
    torch.manual_seed(0)
    pairs, _ = tokenize_pairs(tiny.pairs(64), Format(tiny.tokenizer()), max_length=256)
    run = TrainingRun(pad_id=1, seed=5, progress=lambda done, total, state: said.append(state))
    settings = {"learning_rate": 1e-4, "batch_size": 8, "epochs": 4, **settings}
    if method == "reward":
        training = RewardTraining(**{"from": "x"}, **settings)
        model, curve = train_reward_model(tiny.opt_reward().cuda(), pairs, training, run, centre=0.01)
    else:
        arm = {"sft": SFTArm, "dpo": DPOArm}[method](method=method, **settings)
        model, curve = train(gpu_training.MODELS[name]().cuda(), pairs, arm, run)
    return [row["loss"] for row in curve], weights_sha256(model), said


@pytest.mark.parametrize(
    ("method", "name", "settings"),
    [
        ("dpo", "opt", {"model_dropout": 0.0}),
        ("dpo", "llama", {"row_tokens": 512}),  # several rows per step: gradients add up
        ("sft", "opt", {"model_dropout": 0.1}),
        ("dpo", "opt", {"lora": {"r": 4}, "model_dropout": 0.0}),
        ("reward", "opt", {"model_dropout": 0.0}),
    ],
)
def test_recorded_rows_train_as_launched_ones(
    method: str, name: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[graphs.Shape] = []
    record = graphs.RowGraphs._record
    monkeypatch.setattr(
        graphs.RowGraphs,
        "_record",
        lambda self, model, batch: recorded.append(graphs.shape_of(batch)) or record(self, model, batch),
    )
    monkeypatch.setattr(graphs, "LEAST_ROWS", 1000)
    launched = trained(method, name, **settings)
    assert not recorded
    monkeypatch.setattr(graphs, "LEAST_ROWS", 4)
    found = trained(method, name, **settings)
    assert recorded
    assert not [state for state in found[2] if "one by one" in state]
    assert found[:2] == trained(method, name, **settings)[:2]
    if settings.get("model_dropout") != 0.1:  # which draws other random numbers
        assert found[0] == pytest.approx(launched[0], abs=1e-5)


def test_a_model_that_cannot_be_recorded_is_trained_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def reads_back(self: Any, inputs: Any, output: Any) -> None:
        assert float(output[0].detach().sum()) == float(output[0].detach().sum())

    build = gpu_training.opt

    def looked_at() -> Any:
        model = build()
        model.model.decoder.layers[1].register_forward_hook(reads_back)
        return model

    monkeypatch.setattr(graphs, "LEAST_ROWS", 1000)
    launched = trained("dpo", "opt", model_dropout=0.0)
    monkeypatch.setattr(graphs, "LEAST_ROWS", 4)
    monkeypatch.setitem(gpu_training.MODELS, "opt", looked_at)
    found = trained("dpo", "opt", model_dropout=0.0)
    assert [state for state in found[2] if "one by one" in state]
    assert found[:2] == launched[:2]


@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", KERNELS)
def test_compiled_attention_is_attention_written_out(name: str, dtype: torch.dtype, key_heads: int) -> None:
    """Outputs and gradients, over a row of several blocks; twice, for a compiled kernel meets a second shape."""
    if name == "varlen" and dtype == torch.float32:
        pytest.skip("FlashAttention computes in 16 bits")
    if name == "varlen" and "window_size" not in inspect.signature(torch.nn.attention.varlen.varlen_attn).parameters:
        pytest.skip(f"torch {torch.__version__} has no varlen_attn with the arguments that the kernel needs")
    for sizes in (
        [(3, [2, 4]), (0, [5]), (90, [60, 50]), (1, [2, 3]), (9, [])],
        [(0, [40]), (130, [7, 12]), (2, [1]), (5, [])],
    ):
        layout = layout_of(sizes, padded=True)
        generator = torch.Generator().manual_seed(0)
        parts = [
            torch.randn(1, heads, layout.trees[-1].end, 32, generator=generator).to(dtype)
            for heads in (4, key_heads, key_heads, 4)
        ]
        expected = attended(alone, layout, [part.float() for part in parts])
        found = attended(KERNELS[name], layout, [part.cuda() for part in parts], 0.0)
        for mine, exact in zip(found, expected, strict=True):
            off = (mine.float().cpu() - exact).abs().max() / exact.abs().max()
            assert off < (1e-5 if dtype == torch.float32 else 2e-2)


def attended(kernel: Any, layout: Layout, parts: list[torch.Tensor], *dropout: float) -> list[torch.Tensor]:
    """Output and gradients of query, key and value."""
    inputs = [part.detach().requires_grad_() for part in parts[:3]]
    output = kernel(*inputs, Layout(layout.trees, padded=layout.padded), None, *dropout)
    return [output.detach(), *torch.autograd.grad(output, inputs, parts[3].transpose(1, 2))]


@pytest.mark.parametrize("name", decoding.MODELS)
def test_greedy_tokens_are_those_of_plain_generate(name: str) -> None:
    model = decoding.likely_to_end(decoding.MODELS[name]()).cuda()
    counted = decoding.compared(model, decoding.requests(70, seed=2), batch_tokens=700)
    assert counted.differing == 0
    assert counted.equal >= 0.97 * 70


def test_responses_are_the_same_again_and_in_bfloat16_mostly() -> None:
    model = decoding.likely_to_end(tiny.llama()).cuda().to(torch.bfloat16)
    requests = decoding.requests(70, seed=2)
    engine = TransformersEngine(model, tiny.tokenizer(), Generation(cut_at_next_turn=False))
    first, in_slots = engine.tokens(requests, tiny.silent)
    assert in_slots
    assert engine.tokens(requests, tiny.silent)[0] == first
    plain = [generate_alone(model, one.ids, one.budget, [2], 1) for one in requests]
    assert agreement(first, [tokens for tokens, _ in plain], [leads for _, leads in plain]).share > 0.8


def test_continuous_batching_answers_as_generate_does() -> None:
    model = decoding.likely_to_end(tiny.llama()).cuda()
    requests = decoding.requests(40, seed=4)
    plain = [generate_alone(model, one.ids, one.budget, [2], 1) for one in requests]
    found = ContinuousEngine(model, tiny.tokenizer(), Generation(engine="continuous", cut_at_next_turn=False)).tokens(
        requests, tiny.silent
    )
    assert [len(row) > 0 for row in found] == [True] * 40
    # The engine promises no more than this: its kernels round in another order.
    assert agreement(found, [tokens for tokens, _ in plain], [leads for _, leads in plain]).share > 0.9


@pytest.mark.parametrize("make", [tiny.opt_reward, tiny.pair_reward], ids=["transcript", "pair"])
def test_rewards_are_those_of_the_cpu(make: Any) -> None:
    rows = [(pair.prompt, pair.chosen) for pair in tiny.pairs(40)]
    settings = RewardModel(model="x", input="pair" if make is tiny.pair_reward else "transcript", batch_size=16)
    here, _ = score(make().cuda(), tiny.tokenizer(), rows, settings, progress=tiny.silent)
    there, _ = score(make(), tiny.tokenizer(), rows, settings, progress=tiny.silent)
    assert here == pytest.approx(there, abs=1e-4)


def test_a_packed_step_takes_less_memory_than_a_padded_one() -> None:
    """A vocabulary of 50,000 words, pairs of unequal length: logits are made only where a token is predicted."""
    torch.manual_seed(0)
    config = tiny.llama().config
    config.vocab_size, config.max_position_embeddings = 50_000, 2048
    model = type(tiny.llama())(config).cuda().to(torch.bfloat16).train()
    documents = [Document([5] * stem, [[6] * first, [7] * second]) for stem, first, second in
                 [(400, 80, 120), (100, 30, 60), (800, 200, 20), (250, 10, 50)]]  # fmt: skip
    peaks = {}
    for form, batch in (("packed", pack(documents)), ("padded", pad(documents, 1))):
        model.zero_grad(set_to_none=True)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        if form == "packed":
            from tarazu.align.attention import use_tree_attention

            with use_tree_attention(model):
                branch_log_probs(model, to_device(batch, model.device))[0].sum().backward()
        else:
            tensors = to_device(batch, model.device)
            model(
                tensors["input_ids"], attention_mask=tensors["attention_mask"], labels=tensors["labels"]
            ).loss.backward()
        peaks[form] = torch.cuda.max_memory_allocated() - before
    assert peaks["packed"] < 0.5 * peaks["padded"], peaks


def study_command(study: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "tarazu", "run", str(study), "--out", str(out), *more]


def run(command: list[str]) -> None:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_killed_run_ends_with_the_same_results(tmp_path: Path) -> None:
    study = small_study.write_small_study(tmp_path)
    run(study_command(study, tmp_path / "undisturbed"))
    process = subprocess.Popen(
        study_command(study, tmp_path / "killed"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (tmp_path / "killed" / "arms" / "sft").exists():
        assert process.poll() is None
        time.sleep(0.2)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "results.json").exists()
    run(study_command(study, tmp_path / "killed"))
    first, second = ((tmp_path / name / "results.json").read_bytes() for name in ("undisturbed", "killed"))
    assert first == second


def test_ray_carries_out_a_study_on_a_gpu(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    study = small_study.write_small_study(tmp_path)
    run(study_command(study, tmp_path / "here"))
    run(study_command(study, tmp_path / "ray", "--executor", "ray"))
    first, second = ((tmp_path / name / "results.json").read_bytes() for name in ("here", "ray"))
    assert first == second
