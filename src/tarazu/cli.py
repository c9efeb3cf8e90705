"""The commands: arguments in, one call, exit code out. 0 done, 1 a check said no, 2 bad input."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tarazu
from tarazu.commands.record import add_record, run_record
from tarazu.commands.site import add_site, run_site
from tarazu.errors import MissingExtra, TarazuError
from tarazu.seeds import repeatable_on_cuda

_EXAMPLES = """examples:
  tarazu run                                     the demo: fifty languages, about two minutes on two cores
  tarazu run hh-local --set data.root=/data      real HH-RLHF pairs, MultiJail and XTREME-R files on a small model
  tarazu run pant2025 --set arms.dpo.beta=0.05   the source study's protocol with one setting changed
  tarazu analyze scores.csv --out runs/mine      the answer and a report from scores made elsewhere
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line; docs/cli.md is written from it."""
    parser = argparse.ArgumentParser(
        prog="tarazu",
        description="Weigh what alignment gives in helpfulness against what it gives in harmlessness, by language.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tarazu {tarazu.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="carry out a study, from its YAML to an answer and a report",
        description="Carry out a study. A run that was stopped goes on where it was; stages whose inputs did not "
        "change are not done again. Needs the extra `models`.",
        epilog="example: tarazu run demo --out runs/demo --set seed=8",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("study", nargs="?", default="demo", metavar="STUDY", help=_STUDY_HELP + " (default: demo)")
    run.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/<study>)")
    _add_set(run)
    run.add_argument("--fresh", action="store_true", help="remove what an earlier run of this study left in DIR")
    run.add_argument("--json", action="store_true", help="print results.json on standard output")
    run.add_argument(
        "--report-to",
        type=_trackers,
        default=(),
        metavar="NAMES",
        help="also log training to these, separated by commas: tensorboard (in DIR/logs), wandb, mlflow, trackio",
    )
    run.add_argument(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="who carries out the stages: this process, or the workers of the Ray cluster at RAY_ADDRESS (without it, "
        "one of this machine), which must all see DIR; needs the extra `ray` (default: local)",
    )

    plan = commands.add_parser(
        "plan",
        help="say what a run would do, and what of it is done, before anything is spent",
        description="List a study's stages, which of them are done in the run folder, how much there is to do, and "
        "what the study will be able to see: the power of its design, and what more prompts, languages or seeds would "
        "buy.",
        epilog="example: tarazu plan xtreme-r --set data.root=/data",
    )
    plan.add_argument("study", metavar="STUDY", help=_STUDY_HELP)
    plan.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/<study>)")
    _add_set(plan)
    plan.add_argument("--pilot", type=Path, metavar="RUN", help="a finished run whose variance the power is told from")
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")

    analyze = commands.add_parser(
        "analyze",
        help="rates, answer and report from scores made elsewhere",
        description="Rates and answer from a table of scores: csv, jsonl (also .gz) or parquet with the columns arm, "
        "language, kind (harmful, benign), prompt_id and reward, or label (0 or 1) in its place; optionally seed, "
        "sample, reward_model, source, prompt, and response, finish and tokens, from which it says what responses are "
        "like. Needs no torch.",
        epilog="example: tarazu analyze scores.csv --primary my_dpo --set thresholds.harmless=-2 --out runs/mine",
    )
    analyze.add_argument("scores", type=Path, metavar="SCORES", help="table of scores")
    analyze.add_argument("--study", metavar="STUDY", help="take thresholds, groups, arms and analysis from this study")
    _add_set(analyze)
    analyze.add_argument("--base", metavar="ARM", help="the arm that the others are compared with (default: base)")
    analyze.add_argument("--primary", metavar="ARM", help="the arm of the primary question (default: dpo)")
    analyze.add_argument(
        "--known-answers",
        type=Path,
        metavar="FILE",
        help="rewards of known good and known bad answers, which say whether the reward model can be trusted: a table "
        "with language, kind, reward_good, reward_bad",
    )
    analyze.add_argument(
        "--out", type=Path, metavar="DIR", help="write results.json, report.html, the table and a lock file there"
    )
    analyze.add_argument("--json", action="store_true", help="print results.json on standard output")

    score = commands.add_parser(
        "score",
        help="a study's reward models on responses made elsewhere",
        description="Score responses with the reward models of a study. RESPONSES is csv, jsonl (also .gz) or parquet "
        "with the columns arm, language, kind, prompt_id, prompt and response. Needs the extra `models`.",
        epilog="example: tarazu score responses.jsonl --study pant2025 --out scores.parquet",
    )
    score.add_argument("responses", type=Path, metavar="RESPONSES", help="table of responses")
    score.add_argument("--study", metavar="STUDY", required=True, help="take the reward models from this study")
    _add_set(score)
    score.add_argument("--out", type=Path, metavar="FILE", required=True, help="scores table to write (.parquet)")

    languages = commands.add_parser(
        "languages",
        help="the 50 languages, their groups and the data that each has; checks prompt files",
        description="List XTREME-R's 50 languages with Joshi class, resource group, tasks and the data that each has: "
        "prompts by source and known answers, of the shipped set and of the files below TARAZU_DATA. Or check prompt "
        "files.",
        epilog="example: TARAZU_DATA=/data tarazu languages --run runs/hh-local",
    )
    languages.add_argument(
        "--check",
        type=Path,
        metavar="FILE|DIR",
        help="check one prompt file, or a folder of them: errors, which give exit code 1, and warnings",
    )
    languages.add_argument("--run", type=Path, metavar="DIR", help="also say how its reward models did per language")
    languages.add_argument("--json", action="store_true", help="print as JSON")

    bench = commands.add_parser(
        "bench",
        help="side by side with what a user would pick instead, on this machine",
        description="Measure Tarazu and what a user would pick instead, on the same work.",
    )
    benches = bench.add_subparsers(dest="bench", required=True, metavar="WHAT")
    training = benches.add_parser(
        "train",
        help="DPO and SFT against TRL's trainers",
        description="Train a model (a shape with random weights, or a checkpoint) by DPO, by SFT and as a reward "
        "model, with Tarazu and with TRL (at its defaults, and at the best of a sweep), each in its own process: same "
        "weights, pairs, steps of 8 pairs, float32 on a CPU (bfloat16 on CUDA), no dropout, no gradient checkpointing. "
        "Prints pairs a second, share of this machine's matrix-product peak, memory, and how far the losses are apart; "
        "on CUDA also what each "
        "kernel of attention takes. Needs the extra `bench`.",
        epilog="example: tarazu bench train --pairs harmless-base.test.jsonl.gz --steps 20 --json bench.json",
    )
    training.add_argument(
        "--shape", choices=("45m", "opt-350m", "smollm2"), default="45m", help="model shape (default: 45m)"
    )
    training.add_argument(
        "--model", metavar="FOLDER", help="a checkpoint (a folder or a Hub name) in place of random weights of a shape"
    )
    training.add_argument(
        "--pairs", type=Path, metavar="FILE", help="pairs in HH-RLHF's format (default: the shipped parallel set)"
    )
    training.add_argument("--steps", type=_positive, default=10, metavar="N", help="optimizer steps (default: 10)")
    training.add_argument(
        "--max-length", type=_positive, default=512, metavar="N", help="tokens kept of prompt and answer (default: 512)"
    )
    training.add_argument(
        "--prompt-tokens", type=_range, metavar="LOW-HIGH", help="only pairs whose prompts have so many tokens"
    )
    training.add_argument(
        "--rounds",
        type=_positive,
        default=3,
        metavar="N",
        help="how many times each contender runs, all in turn; medians are compared (default: 3)",
    )
    training.add_argument("--lora", action="store_true", help="train low-rank adapters (rank 8 on q_proj and v_proj)")
    training.add_argument("--only", metavar="NAMES", default="", help="these contenders only, separated by commas")
    training.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    generation = benches.add_parser(
        "generate",
        help="responses against transformers' generate and CTranslate2",
        description="Generate with a model (a shape with random weights, or a checkpoint), with Tarazu, with "
        "transformers' generate (at batch 1, as the source study did, and at the best of a sweep of batches) and with "
        "CTranslate2, each in its own process and in turn: same weights, prompts in ten languages, greedy, "
        "float32 on a CPU "
        "(bfloat16 on CUDA). Prints responses and tokens a second, share of the matrix-product peak, memory, "
        "and how many responses are those of generate at batch 1, near-ties of its logits apart. CTranslate2 needs the "
        "extra `ctranslate2`.",
        epilog="example: tarazu bench generate --multijail multijail.csv --json bench.json",
    )
    generation.add_argument(
        "--shape", choices=("45m", "opt-350m", "smollm2"), default="45m", help="model shape (default: 45m)"
    )
    generation.add_argument(
        "--model", metavar="FOLDER", help="a checkpoint (a folder or a Hub name) in place of random weights of a shape"
    )
    generation.add_argument(
        "--multijail", type=Path, metavar="FILE", help="MultiJail's prompts (default: the shipped parallel set)"
    )
    generation.add_argument(
        "--prompts", type=_positive, default=256, metavar="N", help="prompts, shuffled over languages (default: 256)"
    )
    generation.add_argument(
        "--new-tokens", type=_positive, default=50, metavar="N", help="tokens of a response (default: 50)"
    )
    generation.add_argument(
        "--alone", type=_positive, default=32, metavar="N", help="prompts that batch 1 is timed on (default: 32)"
    )
    generation.add_argument(
        "--rounds", type=_positive, default=2, metavar="N", help="rounds in turn; the best counts (default: 2)"
    )
    generation.add_argument("--only", metavar="NAMES", default="", help="these contenders only, separated by commas")
    generation.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    analysis = benches.add_parser(
        "analyze",
        help="the analysis beside a mixed-effects model's fit",
        description="Analyze made-up scores of four arms (a table in memory to results.json as a dictionary), and fit "
        "a mixed-effects logistic model to the two arms of the primary question, each in its own process. Prints "
        "seconds, those of the parts, memory, and the ratio. Needs no torch; the model needs the extra `mixed`.",
        epilog="example: tarazu bench analyze --draws 10000 --json bench.json",
    )
    analysis.add_argument(
        "--languages",
        type=_positive,
        default=50,
        metavar="N",
        help="languages, in the order of their codes (default: 50)",
    )
    analysis.add_argument(
        "--prompts", type=_positive, default=200, metavar="N", help="prompts per language and kind (default: 200)"
    )
    analysis.add_argument(
        "--draws", type=_positive, default=10_000, metavar="N", help="bootstrap and permutation draws (default: 10000)"
    )
    analysis.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    add_record(commands)
    add_site(commands)
    return parser


_TRACKERS = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
}
"""Packages of which any one serves a tracker."""


def _trackers(text: str) -> tuple[str, ...]:
    from importlib.util import find_spec

    names = tuple(name for name in text.split(",") if name)
    for name in names:
        if name not in _TRACKERS:
            raise argparse.ArgumentTypeError(f"no tracker {name!r}; there are {', '.join(_TRACKERS)}")
        if not any(find_spec(package) for package in _TRACKERS[name]):
            raise argparse.ArgumentTypeError(f"{name} is not installed: pip install {_TRACKERS[name][0]}")
    return names


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
    return int(text)


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    if not (low.isdigit() and high.isdigit() and int(low) < int(high)):
        raise argparse.ArgumentTypeError(f"must be LOW-HIGH, for example 0-64, not {text!r}")
    return int(low), int(high)


_STUDY_HELP = "a shipped study (demo, hh-local, pant2025, xtreme-r) or a YAML file"


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the study, for example --set thresholds.harmless=-2; repeatable",
    )


def _run(arguments: argparse.Namespace) -> int:
    from tarazu.study import load_study

    loaded = load_study(arguments.study, arguments.set)
    _need_models()
    if arguments.executor == "ray":
        from tarazu.run._ray import need_ray

        need_ray()
    from tarazu.align.processes import is_leader
    from tarazu.run.pipeline import run, take_part
    from tarazu.run.progress import Progress

    study = loaded.study
    if not is_leader():
        take_part(loaded, arguments.out or Path("runs") / study.name)
        return 0
    progress = Progress()
    if study.caution:
        progress.line(study.caution)
    out = arguments.out or Path("runs") / study.name
    results = run(
        loaded,
        out,
        fresh=arguments.fresh,
        progress=progress,
        report_to=arguments.report_to,
        executor=arguments.executor,
    )
    _show(results, arguments.json)
    progress.line(f"\nReport: {(out / 'report.html').resolve()}")
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    from tarazu.study import load_study

    loaded = load_study(arguments.study, arguments.set)
    _need_models()
    from tarazu.files import to_json
    from tarazu.run.plan import plan, plan_text

    found = plan(loaded, arguments.out or Path("runs") / loaded.study.name, arguments.pilot)
    print(to_json(found) if arguments.json else plan_text(found), end="")
    return 0


def _analyze(arguments: argparse.Namespace) -> int:
    from tarazu.run.analyze import analyze_file

    results = analyze_file(
        arguments.scores,
        study=arguments.study,
        overrides=arguments.set,
        base=arguments.base,
        primary=arguments.primary,
        out=arguments.out,
        known=arguments.known_answers,
    )
    _show(results, arguments.json)
    if arguments.out is not None:
        print(f"\nReport: {(arguments.out / 'report.html').resolve()}", file=sys.stderr)
    return 0


def _score(arguments: argparse.Namespace) -> int:
    from tarazu.study import load_study

    loaded = load_study(arguments.study, arguments.set)
    _need_models()
    from tarazu.run.progress import Progress
    from tarazu.run.score import score_file

    progress = Progress()
    rows = score_file(arguments.responses, loaded.study, arguments.out, progress)
    progress.line(f"{rows} rows: {arguments.out}")
    return 0


def _languages(arguments: argparse.Namespace) -> int:
    from tarazu.coverage import coverage
    from tarazu.study.loader import DATA_ROOT_VARIABLE
    from tarazu.summary import languages_json, languages_text

    if arguments.check is not None:
        return _check_languages(arguments.check, arguments.json)
    root = os.environ.get(DATA_ROOT_VARIABLE)
    sources, found = coverage(Path(root).expanduser() if root else None, arguments.run)
    print(languages_json(found) if arguments.json else languages_text(sources, found), end="")
    return 0


def _check_languages(path: Path, as_json: bool) -> int:
    from tarazu.data._parallel_checks import check_parallel, count_levels, report_json
    from tarazu.files import to_json

    reports = check_parallel(path)
    counts = count_levels(reports)
    if as_json:
        print(to_json(report_json(reports)), end="")
        return 1 if counts["error"] else 0
    for report in reports:
        for problem in report.problems:
            print(problem)
        for check, reason in report.skipped.items():
            print(f"{report.path}: not checked ({check}): {reason}")
    told = [f"{counts[level] or 'no'} {level}{'' if counts[level] == 1 else 's'}" for level in ("error", "warning")]
    print(f"{path}: {' and '.join(told)}")
    return 1 if counts["error"] else 0


def _bench(arguments: argparse.Namespace) -> int:
    benches = {"train": _bench_train, "generate": _bench_generate, "analyze": _bench_analyze}
    return benches[arguments.bench](arguments)


def _bench_generate(arguments: argparse.Namespace) -> int:
    _need_models()
    from tarazu.bench.generate import GenerationBench, bench_generate, bench_text
    from tarazu.files import write_json
    from tarazu.run.progress import Progress

    bench = GenerationBench(
        shape=arguments.shape,
        checkpoint=arguments.model,
        multijail=arguments.multijail,
        prompts=arguments.prompts,
        new_tokens=arguments.new_tokens,
        alone=arguments.alone,
        rounds=arguments.rounds,
        only=[name for name in arguments.only.split(",") if name],
    )
    found = bench_generate(bench, Progress())
    if arguments.json is not None:
        write_json(arguments.json, found)
    print(bench_text(found), end="")
    return 0


def _bench_analyze(arguments: argparse.Namespace) -> int:
    from tarazu.bench.analyze import Size, bench_analyze, bench_text
    from tarazu.files import write_json
    from tarazu.run.progress import Progress

    size = Size(languages=arguments.languages, prompts=arguments.prompts, draws=arguments.draws)
    found = bench_analyze(size, Progress())
    if arguments.json is not None:
        write_json(arguments.json, found)
    print(bench_text(found), end="")
    return 0


def _bench_train(arguments: argparse.Namespace) -> int:
    _need_models()
    from tarazu.bench.train import TrainingBench, bench_train
    from tarazu.bench.train_text import bench_text
    from tarazu.files import write_json
    from tarazu.run.progress import Progress

    bench = TrainingBench(
        shape=arguments.shape,
        checkpoint=arguments.model,
        pairs=arguments.pairs,
        steps=arguments.steps,
        max_length=arguments.max_length,
        prompt_tokens=arguments.prompt_tokens,
        lora=arguments.lora,
        only=[name for name in arguments.only.split(",") if name],
        rounds=arguments.rounds,
    )
    found = bench_train(bench, Progress())
    if arguments.json is not None:
        write_json(arguments.json, found)
    print(bench_text(found), end="")
    return 0


def _show(results: dict[str, Any], as_json: bool) -> None:
    from tarazu.files import to_json
    from tarazu.summary import summary

    print(to_json(results) if as_json else summary(results), end="")


def _need_models() -> None:
    """Refuse early, by the name of the extra, where torch or transformers is not installed."""
    from importlib.util import find_spec

    for package in ("torch", "transformers", "accelerate", "peft"):
        if find_spec(package) is None:
            raise MissingExtra("models", package)
    repeatable_on_cuda()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = build_parser().parse_args(argv)
    command = {
        "run": _run,
        "plan": _plan,
        "analyze": _analyze,
        "score": _score,
        "languages": _languages,
        "bench": _bench,
        "record": run_record,
        "site": run_site,
    }
    try:
        return command[arguments.command](arguments)
    except TarazuError as error:
        print(f"tarazu: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ntarazu: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe (head, less) went away: that is its right, and no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
