"""`tarazu bench analyze`: the analysis of a large table, and a mixed-effects model fitted to the same responses."""

from __future__ import annotations

import importlib
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np

from tarazu.analysis.analyze import AnalysisInputs, analyze
from tarazu.analysis.cells import Cells, Pairs, group_rows, paired, to_cells
from tarazu.analysis.contrast import contrast
from tarazu.analysis.mixed import need_statsmodels, trials
from tarazu.analysis.rates import arms_section
from tarazu.analysis.ruler import known_answers
from tarazu.analysis.selection import Selection, answered, select
from tarazu.analysis.thresholds import Rethresholder
from tarazu.analysis.tradeoff import TradeoffInputs, tradeoff_section
from tarazu.bench.results import (
    AnalysisContenders,
    AnalysisFacts,
    AnalysisReport,
    AnalysisTime,
    MixedModelTime,
    Seconds,
    Skipped,
    this_machine,
)
from tarazu.bench.subprocesses import peak_memory
from tarazu.data.rows import KINDS
from tarazu.errors import BadInput, MissingExtra
from tarazu.languages import LANGUAGES
from tarazu.progress import Progress
from tarazu.results.model import StudyFacts, Tradeoff
from tarazu.scores import ScoreTable
from tarazu.stats.contrast import Estimate
from tarazu.stats.mixed import mixed_difference
from tarazu.stats.resampling import crossed_bootstrap, label_permutation
from tarazu.study.schema import Analysis, AnalysisSettings, Groups, Thresholds

ARMS = ("base", "dpo", "sft", "sft_dpo")
SEED = 0
REPEATS = 3

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Size:
    """The size of the table: each of four arms answers `prompts` prompts of each kind in each language."""

    languages: int = 50
    prompts: int = 200
    draws: int = 10_000


def made_up_table(size: Size) -> ScoreTable:
    """Normal rewards with effects of language, prompt, and language by arm: 8 x languages x prompts rows."""
    random = np.random.default_rng(SEED)
    shape = (len(ARMS), size.languages, len(KINDS), size.prompts)
    arm, language, kind, prompt = (axis.ravel() for axis in np.indices(shape))
    reward = (
        random.normal(0, 1, (size.languages, 2))[language, kind]
        + random.normal(0, 1, (2, size.prompts))[kind, prompt]
        + random.normal(0, 0.4, shape[:3])[arm, language, kind]
        + random.normal(-2.5, 1.5, len(arm))
    )

    def names(values: list[str], index: np.ndarray) -> np.ndarray:
        return np.array(values, dtype=object)[index]

    ids = [f"{name}-{number}" for name in KINDS for number in range(size.prompts)]
    same = np.zeros(len(arm), dtype=int)
    return ScoreTable(
        arm=names(list(ARMS), arm),
        language=names(list(LANGUAGES), language),
        kind=names(list(KINDS), kind),
        prompt_id=names(ids, kind * size.prompts + prompt),
        source=names(["made up"], same),
        seed=np.zeros(len(arm), dtype=np.int64),
        reward_model=names(["default"], same),
        reward=reward,
        label=np.full(len(arm), np.nan),
        prompt=np.full(len(arm), None),
        response=np.full(len(arm), None),
        finish=np.full(len(arm), None),
        tokens=np.full(len(arm), np.nan),
        shortened=np.full(len(arm), np.nan),
        reward_shortened=np.full(len(arm), np.nan),
        unfinished_reasoning=np.full(len(arm), np.nan),
        sample=np.zeros(len(arm), dtype=np.int64),
        outcome=np.full(len(arm), None),
        category=np.full(len(arm), None),
        translation_quality=np.full(len(arm), np.nan),
        people=np.full(len(arm), np.nan),
    )


def bench_analyze(size: Size, progress: Progress) -> AnalysisReport:
    """Run both contenders in turn, each in a separate process.

    Raises BadInput for more languages than there are, or too few draws for an interval.
    """
    if size.languages > len(LANGUAGES):
        raise BadInput(f"--languages {size.languages}: there are {len(LANGUAGES)}")
    if size.draws < 100:
        raise BadInput(f"--draws {size.draws}: at least 100 are needed")
    progress.stage("tarazu")
    ours = _in_own_process(_tarazu, size)
    progress.done(f"{ours.seconds:.2f} s")
    progress.stage("mixed_model")
    theirs = _in_own_process(_mixed_model, size)
    progress.done(theirs.skipped if isinstance(theirs, Skipped) else f"{theirs.seconds:.2f} s")
    return AnalysisReport(
        machine=this_machine(),
        work=AnalysisFacts(
            **asdict(size),
            arms=len(ARMS),
            rows=8 * size.languages * size.prompts,
            seed=SEED,
            ratio=None if isinstance(theirs, Skipped) else theirs.seconds / ours.seconds,
        ),
        contenders=AnalysisContenders(tarazu=ours, mixed_model=theirs),
    )


def _in_own_process(contender: Callable[[Size], R], size: Size) -> R:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(contender, size).result()


def _tarazu(size: Size) -> AnalysisTime:
    """The median of several runs of the complete analysis, and of its parts."""
    table, settings = made_up_table(size), Analysis(draws=size.draws)
    study = StudyFacts(name="bench", title="", caution="", seed=SEED)
    groups, thresholds = Groups(), Thresholds()
    inputs = AnalysisInputs(table=table, facts=study, settings=AnalysisSettings(analysis=settings))
    total = _timed(lambda: analyze(inputs))
    memory = _peak_memory_mib()
    rows = group_rows(table)
    cells, rethresholder = to_cells(table, rows, thresholds), Rethresholder(table, rows)
    chosen = contrast(*_primary(cells, groups), groups)
    random = np.random.default_rng(SEED)

    def tradeoff(draws: int) -> Tradeoff:
        return tradeoff_section(
            TradeoffInputs(
                cells=cells,
                settings=AnalysisSettings(analysis=Analysis(draws=draws)),
                known=known_answers((), thresholds),
                rethresholder=rethresholder,
                parts={},
                seed=SEED,
            )
        )

    parts = {
        "cells": _seconds(lambda: to_cells(table, group_rows(table), thresholds)),
        "rates": _seconds(lambda: arms_section(cells, ARMS, "base")),
        "trade-off, 100 draws": _seconds(lambda: tradeoff(100)),
        "bootstrap": _seconds(lambda: crossed_bootstrap(chosen.parts, chosen.low, size.draws, random)),
        "permutation": _seconds(lambda: label_permutation(chosen.parts, chosen.low, size.draws, random)),
    }
    return AnalysisTime(**total.model_dump(), parts=parts, peak_memory_mib=memory)


def _mixed_model(size: Size) -> MixedModelTime | Skipped:
    """One fit to the responses of base and dpo."""
    try:
        need_statsmodels()
        importlib.import_module("statsmodels.genmod.bayes_mixed_glm")  # do not time the import
    except MissingExtra as missing:
        return Skipped(skipped=str(missing))
    groups = Groups()
    table = made_up_table(size)
    pairs, chosen = _primary(to_cells(table, group_rows(table), Thresholds()), groups)
    responses = trials(pairs, chosen, groups)
    fits: list[Estimate] = []
    taken = _timed(lambda: fits.append(mixed_difference(responses)), repeats=1)
    return MixedModelTime(
        **taken.model_dump(),
        trials=len(responses.passed),
        converged=fits[0].estimate is not None,
        peak_memory_mib=_peak_memory_mib(),
    )


def _primary(cells: Cells, groups: Groups) -> tuple[Pairs, Selection]:
    """The pairs of base and dpo, and the selection that is compared."""
    pairs = paired(cells, "dpo", "base")
    return pairs, select(answered(pairs), sorted(set(cells.language)), groups)


def _seconds(work: Callable[[], object]) -> float:
    return _timed(work).seconds


def _timed(work: Callable[[], object], repeats: int = REPEATS) -> Seconds:
    clocks = time.perf_counter, time.process_time
    taken = []
    for _ in range(repeats):
        start = [clock() for clock in clocks]
        work()
        taken.append([clock() - began for clock, began in zip(clocks, start, strict=True)])
    wall, processor = (sorted(seconds)[repeats // 2] for seconds in zip(*taken, strict=True))
    return Seconds(seconds=wall, processor_seconds=processor)


def _peak_memory_mib() -> float:
    """The peak memory of this process so far, including its packages."""
    return peak_memory() / 2**20


def bench_text(report: AnalysisReport) -> str:
    """The result for a terminal."""
    machine, work = report.machine, report.work
    ours, theirs = report.contenders.tarazu, report.contenders.mixed_model
    lines = [
        f"{machine.processor}, {machine.cores} cores",
        f"{work.rows:,} scores: {work.languages} languages, {work.arms} arms, {work.prompts} prompts a kind; "
        f"{work.draws:,} draws",
        "",
        f"{'':<28}{'seconds':>9}{'processor':>11}{'MiB':>8}",
        f"{'tarazu, the whole analysis':<28}{_clocks(ours)}{ours.peak_memory_mib:>8,.0f}",
        *(f"  {name:<26}{seconds:>9.2f}" for name, seconds in ours.parts.items()),
    ]
    if isinstance(theirs, Skipped):
        lines.append(f"mixed model skipped: {theirs.skipped}")
    else:
        lines += [
            f"{'mixed model, one fit':<28}{_clocks(theirs)}{theirs.peak_memory_mib:>8,.0f}",
            "",
            f"the fit (two arms, {theirs.trials:,} responses) takes {work.ratio:.1f} times as long as the analysis",
        ]
    return "\n".join(lines) + "\n"


def _clocks(taken: Seconds) -> str:
    return f"{taken.seconds:>9.2f}{taken.processor_seconds:>11.2f}"
