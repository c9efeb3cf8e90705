"""What `tarazu bench train` prints."""

from __future__ import annotations

from typing import Any

from tarazu.bench.attention import attention_text
from tarazu.bench.train import CONTENDERS


def bench_text(result: dict[str, Any]) -> str:
    """The result for a terminal."""
    machine, work = result["machine"], result["work"]
    accelerators = ", ".join(machine["accelerators"]) or "none"
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, accelerators: {accelerators}",
        f"matrix products reach {machine['matmul_gflops']:,.0f} GFLOP/s ({work['precision']})",
        f"{work['shape']} ({work['parameters']:,} weights: {work['weights']}), "
        f"{work['pairs']} pairs of {work['data']}, {work['tokens_per_pair']:.0f} tokens a pair, "
        f"{work['flops_per_pair'] / 1e9:.1f} GFLOP a pair",
        "",
        f"{'contender':<18}{'a second':>10}{'tokens/s':>10}{'of peak':>9}{'MiB':>8}{'seconds':>9}  notes",
    ]
    for name, found in result["contenders"].items():
        if "skipped" in found:
            lines.append(f"{name:<18}skipped: {found['skipped']}")
            continue
        rate = found.get("pairs_per_s") or found.get("sequences_per_s")
        notes = [f"{found['lowest']:.2f} to {found['highest']:.2f}"] if len(found["rounds"]) > 1 else []
        if "batch_size" in found:
            notes.append(f"batch {found['batch_size']}{', reference precomputed' if found['precompute'] else ''}")
        if "largest_loss_difference" in found:
            notes.append(f"losses within {found['largest_loss_difference']:.1e} of TRL's")
        lines.append(
            f"{name:<18}{rate:>10.2f}{found['tokens_per_s']:>10,.0f}{found['share_of_peak']:>9.0%}"
            f"{found['peak_memory_mib']:>8,.0f}{found['seconds']:>9.1f}  {'; '.join(notes)}"
        )
    lines += ["", *_ratios(result["contenders"])]
    if "source_study_hours" in work:
        lines.append(
            f"at these rates SFT for two epochs and DPO twice over HH-RLHF's 160,800 pairs take "
            f"{work['source_study_hours']:.2f} hours, were they {work['shape']} and as long as these"
        )
    if "attention" in result:
        lines += ["", *attention_text(result["attention"])]
    return "\n".join(lines).rstrip() + "\n"


def _ratios(found: dict[str, Any]) -> list[str]:
    """Ratios of the medians and, over several rounds, the lowest and highest of those within a round."""
    lines = []
    for ours, key in (
        ("tarazu_dpo", "pairs_per_s"),
        ("tarazu_sft", "sequences_per_s"),
        ("tarazu_reward", "pairs_per_s"),
    ):
        rivals = [name for name in CONTENDERS if name.startswith(ours.replace("tarazu", "trl"))]
        for theirs in rivals:
            if key in found.get(ours, {}) and key in found.get(theirs, {}):
                pairs = zip(found[ours]["rounds"], found[theirs]["rounds"], strict=True)
                each = [mine[key] / other[key] for mine, other in pairs]
                between = f" ({min(each):.2f} to {max(each):.2f} by round)" if len(each) > 1 else ""
                ratio = found[ours][key] / found[theirs][key]
                lines.append(f"{ours} is {ratio:.2f} times as fast as {theirs}{between}")
    return lines
