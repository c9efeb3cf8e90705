"""The output of `tarazu bench generate`."""

from __future__ import annotations

from tarazu.bench.results import GenerationReport, GenerationResult, Skipped


def bench_text(report: GenerationReport) -> str:
    """The result for a terminal."""
    machine, work = report.machine, report.work
    width = max(13, *(len(name) + 2 for name in report.contenders))
    lines = [
        machine.text,
        f"matrix products reach {machine.matmul_gflops:,.0f} GFLOP/s ({work.precision}), memory is read at "
        f"{machine.memory_gb_per_s:.1f} GB/s",
        f"{work.shape} ({work.parameters:,} weights: {work.weights}), {work.prompts} prompts of {work.data}, "
        f"{work.prompt_tokens:.0f} tokens each, {work.new_tokens} new tokens",
        f"limits: {work.limit_responses_per_s:.1f} responses a second by arithmetic; "
        f"{work.limit_alone_responses_per_s:.1f} one at a time, by reading the weights for each token",
        "",
        f"{'contender':<{width}}{'a second':>10}{'tokens/s':>10}{'of peak':>9}{'MiB':>8}{'agreement':>11}  notes",
    ]
    for name, contender in report.contenders.items():
        if isinstance(contender, Skipped):
            lines.append(f"{name:<{width}}skipped: {contender.skipped}")
            continue
        notes = contender.notes
        counted = contender.agreement
        if counted is not None:
            notes.append(f"{counted.equal} equal, {counted.near_ties} near-ties, {counted.differing} differing")
        agreed = f"{counted.share:.1%}" if counted is not None else "-"
        lines.append(
            f"{name:<{width}}{contender.responses_per_s:>10.2f}{contender.tokens_per_s:>10,.0f}"
            f"{contender.share_of_peak:>9.0%}{contender.peak_memory_mib:>8,.0f}{agreed:>11}  {'; '.join(notes)}"
        )
    ours = report.contenders.get("tarazu")
    times = ours.times if isinstance(ours, GenerationResult) else {}
    lines += ["", *(f"tarazu is {ratio:.2f} times as fast as {name}" for name, ratio in times.items())]
    return "\n".join(lines).rstrip() + "\n"
