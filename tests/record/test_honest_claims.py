"""No false alarm: every number of an honest record may be claimed, and true expressions over them hold."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gate_records import drafted_record, share_sealed_work

from tarazu.record.claims.findings import Finding
from tarazu.record.claims.pointers import escaped, value_at
from tarazu.record.model import EmpiricalClaim
from tarazu.record.reading import read_record
from tarazu.record.verify import rerun
from tarazu.record.verify.judgement import Runs, compare_claim, perturb_claim


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    share_sealed_work(monkeypatch)
    record = read_record(drafted_record(tmp_path))
    return Runs(record.manifest.environment, rerun.rerun_analysis(record, at_once=2), "analysis")


def results_of(runs: Runs) -> Any:
    assert runs.analysis.script.results is not None
    return runs.analysis.script.results


def judged(runs: Runs, check: dict[str, Any]) -> Finding:
    claim = EmpiricalClaim.model_validate({"kind": "empirical", "id": "c", "statement": "s", "check": check})
    return perturb_claim(claim, compare_claim(claim, runs), runs)


def scalars(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from scalars(inner, f"{place}/{escaped(key)}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from scalars(inner, f"{place}/{index}")
    elif value is not None:
        yield place, value


def test_every_value_of_results_json_may_be_claimed(runs: Runs) -> None:
    verdicts = Counter[str]()
    for pointer, value in scalars(results_of(runs)):
        finding = judged(runs, {"pointer": pointer, "value": value})
        verdicts[finding.verdict] += 1
        assert finding.verdict in ("verified", "context"), (pointer, finding.reason)
        if (pointer.startswith("/arms/") and pointer.endswith("/value")) or pointer.startswith("/tradeoff/primary/ci"):
            assert finding.verdict == "verified"
    assert verdicts["verified"] > 500 and verdicts["context"] > 500


def test_true_expressions_over_rates_hold(runs: Runs) -> None:
    results, rng = results_of(runs), random.Random(5)
    rates = [place for place, _ in scalars(results["arms"], "/arms") if place.endswith("/value")]
    for _ in range(200):
        place, other = rng.sample([one for one in rates if "/languages/" not in one or rng.random() < 0.3], 2)
        value, another = value_at(results, place), value_at(results, other)
        texts = [f"within(value('{place}'), {value:.1f}, 0.05)", f"abs(value('{place}') - ({value:.1f})) <= 0.05"]
        if abs(value - another) > 1:
            texts.append(f"value('{place}') {'>' if value > another else '<'} value('{other}')")
        if "/dH" not in place and "/tilt/" not in place:
            texts += [f"value('{place}') > {value - 2:.1f}"] if value > 5 else [f"value('{place}') < {value + 2:.1f}"]
        text = rng.choice(texts)
        finding = judged(runs, {"expression": text})
        assert finding.verdict == "verified", (text, value, another, finding.reason)
