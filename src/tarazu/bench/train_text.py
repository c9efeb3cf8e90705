"""The output of `tarazu bench train`."""

from __future__ import annotations

from tarazu.bench.attention import attention_text
from tarazu.bench.results import Skipped, TrainingReport, TrainingResult
from tarazu.bench.train import CONTENDERS


def bench_text(report: TrainingReport) -> str:
    """The result for a terminal."""
    machine, work = report.machine, report.work
    lines = [
        machine.text,
        f"matrix products reach {machine.matmul_gflops:,.0f} GFLOP/s ({work.precision})",
        f"{work.shape} ({work.parameters:,} weights: {work.weights}), "
        f"{work.pairs} pairs of {work.data}, {work.tokens_per_pair:.0f} tokens a pair, "
        f"{work.flops_per_pair / 1e9:.1f} GFLOP a pair",
        "",
        f"{'contender':<18}{'a second':>10}{'tokens/s':>10}{'of peak':>9}{'MiB':>8}{'seconds':>9}  notes",
    ]
    for name, contender in report.contenders.items():
        if isinstance(contender, Skipped):
            lines.append(f"{name:<18}skipped: {contender.skipped}")
            continue
        notes = [f"{contender.lowest:.2f} to {contender.highest:.2f}"] if len(contender.rounds) > 1 else []
        if contender.batch_size is not None:
            notes.append(f"batch {contender.batch_size}{', reference precomputed' if contender.precompute else ''}")
        if contender.largest_loss_difference is not None:
            notes.append(f"losses within {contender.largest_loss_difference:.1e} of TRL's")
        lines.append(
            f"{name:<18}{contender.rate:>10.2f}{contender.tokens_per_s:>10,.0f}{contender.share_of_peak:>9.0%}"
            f"{contender.peak_memory_mib:>8,.0f}{contender.seconds:>9.1f}  {'; '.join(notes)}"
        )
    lines += ["", *_ratios(report)]
    if work.source_study_hours is not None:
        lines.append(
            f"at these rates SFT for two epochs and DPO twice over HH-RLHF's 160,800 pairs take "
            f"{work.source_study_hours:.2f} hours, for a model like {work.shape} and texts as long as these"
        )
    if report.attention is not None:
        lines += ["", *attention_text(report.attention)]
    return "\n".join(lines).rstrip() + "\n"


def _ratios(report: TrainingReport) -> list[str]:
    """Ratios of the medians and, for several rounds, the lowest and highest ratio within a round."""
    lines = []
    results = {name: result for name, result in report.contenders.items() if isinstance(result, TrainingResult)}
    for ours in ("tarazu_dpo", "tarazu_sft", "tarazu_reward"):
        rivals = [name for name in CONTENDERS if name.startswith(ours.replace("tarazu", "trl"))]
        for theirs in rivals:
            if ours in results and theirs in results:
                pairs = zip(results[ours].rounds, results[theirs].rounds, strict=True)
                each = [mine.rate / other.rate for mine, other in pairs]
                between = f" ({min(each):.2f} to {max(each):.2f} by round)" if len(each) > 1 else ""
                ratio = results[ours].rate / results[theirs].rate
                lines.append(f"{ours} is {ratio:.2f} times as fast as {theirs}{between}")
    return lines
