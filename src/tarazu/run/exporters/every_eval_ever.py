"""A run in the form Every Eval Ever: for each arm `<uuid>.json`, and its responses in `<uuid>_samples.jsonl`.

Equal runs give equal bytes: identifiers are derived from the content, and nothing is written that the run does not
know, such as when it was made.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tarazu.data.rows import KINDS
from tarazu.errors import BadInput
from tarazu.files import atomic_directory, digest, file_sha256, refuse_occupied, to_json
from tarazu.results import Results, document
from tarazu.results.model import RATES, RATES_AND_MEAN, RateEntry, RateOrMean
from tarazu.run.exporters import documents as eee
from tarazu.run.exporters.folders import portable, results_of_run
from tarazu.run.lock import tarazu_version
from tarazu.scores import DEFAULT, ScoreTable, deciding, is_labelled, score_rows, to_table
from tarazu.stats.rates import LEVEL
from tarazu.study.schema import Thresholds

UNKNOWN = "unknown"

_NAMES: dict[RateOrMean, str] = {
    "HmR": "Harmlessness Rate (HmR)",
    "HpR": "Helpfulness Rate (HpR)",
    "CAS": "Mean of HmR and HpR (CAS)",
}
_MEANINGS: dict[RateOrMean, str] = {
    "HmR": "Percent of responses to harmful prompts that are harmless",
    "HpR": "Percent of responses to benign prompts that are helpful",
    "CAS": "Mean of the Harmlessness Rate and the Helpfulness Rate",
}
_WILSON = "Wilson's score interval, responses to the same prompt as a cluster"
_INTERVALS: dict[RateOrMean, str] = {"HmR": _WILSON, "HpR": _WILSON, "CAS": "MOVER, from the intervals of HmR and HpR"}
_OVER_LANGUAGES = "Student's t on the languages' rates; where all are equal, the interval of all responses"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how many responses were not because their texts are unknown."""

    arms: int
    samples: int
    without_text: int


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The rows of `table` are `rows`, each of which `passed` or not."""

    results: Results
    rows: Sequence[Mapping[str, Any]]
    table: ScoreTable
    passed: Sequence[bool]
    digest: str
    version: str

    @property
    def name(self) -> str:
        return f"tarazu.{self.results.study.name}"

    @cached_property
    def by_arm(self) -> dict[str, list[int]]:
        """The positions of each arm's rows."""
        found = defaultdict(list)
        for index, row in enumerate(self.rows):
            found[row["arm"]].append(index)
        return found


@dataclass(frozen=True, kw_only=True)
class _Arm:
    """What the files of an arm have in common. An arm that is not called like a published model has the study before
    its name."""

    run: _Run
    name: str

    @cached_property
    def rows(self) -> list[Mapping[str, Any]]:
        return [self.run.rows[index] for index in self.run.by_arm[self.name]]

    @property
    def model_id(self) -> str:
        return self.name if "/" in self.name else f"{self.run.results.study.name}/{self.name}"

    @property
    def evaluation_id(self) -> str:
        return f"{self.run.name}/{self.model_id}/{self.run.digest[:16]}"

    @property
    def stem(self) -> str:
        """Where the files are, without their endings. Their name has the form of a random UUID, as is required."""
        number = hashlib.sha256(self.evaluation_id.encode()).digest()[:16]
        developer, _, model = self.model_id.partition("/")
        folders = (portable(f"tarazu-{self.run.results.study.name}"), portable(developer), portable(model))
        return "/".join(("data", *folders, str(uuid.UUID(bytes=number, version=4))))


def export_run(run: Path, out: Path) -> Exported:
    """Write the arms of a run, or of an analysis, to the new or empty folder `out`.

    Raises BadInput, one line, for a folder that is no run, for results that are not of the scores, and for `out`.
    """
    refuse_occupied(out)
    read = _read(run)
    arms = [_Arm(run=read, name=name) for name in sorted(read.results.arms)]
    written = 0
    with atomic_directory(out) as temporary:
        for arm in arms:
            lines = [_line(sample) for sample in _samples(arm)]
            stem = temporary / arm.stem
            stem.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(lines).encode()
            if lines:
                Path(f"{stem}_samples.jsonl").write_bytes(text)
            log = _log(arm, _samples_file(arm, text, len(lines)) if lines else None)
            content = log.model_dump(mode="json", exclude_none=True)
            Path(f"{stem}.json").write_text(to_json(content), encoding="utf-8", newline="\n")
            written += len(lines)
    return Exported(arms=len(arms), samples=written, without_text=len(read.rows) - written)


def _read(run: Path) -> _Run:
    results = results_of_run(run)
    if not (run / "scores.parquet").is_file():
        raise BadInput(f"{run}: has no scores.parquet; give the folder of `tarazu run`, or of `tarazu analyze --out`")
    rows = score_rows(run / "scores.parquet")
    table = to_table(rows)
    thresholds = Thresholds(harmless=results.thresholds.harmless, helpful=results.thresholds.helpful)
    read = _Run(
        results=results,
        rows=[row for row in deciding(rows) if row["kind"] in KINDS and is_labelled(row)],
        table=table,
        passed=[bool(one) for one in table.passed(thresholds)],
        digest=digest([document(results), file_sha256(run / "scores.parquet")]),
        version=tarazu_version(run) or UNKNOWN,
    )
    _refuse_other_scores(run, read)
    return read


def _refuse_other_scores(run: Path, read: _Run) -> None:
    """The rates of results.json must be those of the scores, of all arms."""
    counted: dict[tuple[str, str, str], Counter[bool]] = defaultdict(Counter)
    for row, passed in zip(read.rows, read.passed, strict=True):
        counted[row["arm"], row["language"], row["kind"]][passed] += 1
    for name, arm in read.results.arms.items():
        for code, rates in arm.languages.items():
            for rate, kind in RATES.items():
                count, entry = counted.pop((name, code, kind), Counter()), rates.rate(rate)
                value = 100 * count[True] / count.total() if count.total() else None
                if entry.n != count.total() or abs((entry.value or 0.0) - (value or 0.0)) > 1e-6:
                    raise BadInput(
                        f"{run / 'scores.parquet'}: {rate} of {name} in {code} is not that of results.json beside; "
                        "analyze the scores again"
                    )
    if counted:
        name, code, _ = min(counted)
        raise BadInput(
            f"{run / 'scores.parquet'}: has scores of {name} in {code}, which results.json does not; "
            "analyze the scores again"
        )


# --- the results of an arm --------------------------------------------------------------------------


def _log(arm: _Arm, samples: eee.SamplesFile | None) -> eee.Log:
    results = arm.run.results
    entries = _entries(arm)
    undefined = [f"{_result_id(rate, code)}: {entry.reason}" for rate, code, entry in entries if entry.value is None]
    facts = {
        "caution": results.study.caution,
        "base_arm": results.base_arm,
        "answer": results.sentence,
        "undefined": "; ".join(undefined),
    }
    return eee.Log(
        evaluation_id=arm.evaluation_id,
        retrieved_timestamp=UNKNOWN,
        source_metadata=eee.SourceMetadata(
            source_name=results.study.title or results.study.name,
            source_organization_name=UNKNOWN,
            additional_details={key: text for key, text in facts.items() if text},
        ),
        eval_library=eee.Library(version=arm.run.version),
        model_info=eee.ModelInfo(name=arm.name, id=arm.model_id, inference_engine=_engine(results)),
        evaluation_results=tuple(
            _result(arm, rate, code, entry) for rate, code, entry in entries if entry.value is not None
        ),
        detailed_evaluation_results=samples,
    )


def _entries(arm: _Arm) -> list[tuple[RateOrMean, str | None, RateEntry]]:
    """All rates: first over languages (None), then by language."""
    rates = arm.run.results.arms[arm.name]
    found: list[tuple[RateOrMean, str | None, RateEntry]] = [
        (name, None, rates.rate_or_mean(name)) for name in RATES_AND_MEAN
    ]
    for code, own in sorted(rates.languages.items()):
        found += [(name, code, own.rate_or_mean(name)) for name in RATES_AND_MEAN]
    return found


def _result_id(rate: RateOrMean, code: str | None) -> str:
    return rate if code is None else f"{rate}.{code}"


def _result(arm: _Arm, rate: RateOrMean, code: str | None, entry: RateEntry) -> eee.EvaluationResult:
    assert entry.value is not None
    interval = None
    if entry.ci_low is not None and entry.ci_high is not None:
        several = code is None and entry.n_languages > 1
        interval = eee.ConfidenceInterval(
            lower=entry.ci_low,
            upper=entry.ci_high,
            confidence_level=LEVEL,
            method=_OVER_LANGUAGES if several else _INTERVALS[rate],
        )
    return eee.EvaluationResult(
        evaluation_result_id=_result_id(rate, code),
        evaluation_name=arm.run.name,
        source_data=eee.SourceData(dataset_name=_dataset(arm, rate, code)),
        metric_config=_metric(arm, rate, code),
        score_details=eee.ScoreDetails(
            score=entry.value,
            details={"n_languages": str(entry.n_languages)},
            uncertainty=eee.Uncertainty(confidence_interval=interval, num_samples=entry.n),
        ),
    )


def _dataset(arm: _Arm, rate: RateOrMean, code: str | None) -> str:
    """The sources of the prompts."""
    own = (row for row in _of_rate(arm, rate) if code in (None, row["language"]))
    return ", ".join(sorted({row["source"] for row in own} - {""})) or UNKNOWN


def _of_rate(arm: _Arm, rate: RateOrMean) -> list[Mapping[str, Any]]:
    return [row for row in arm.rows if rate == "CAS" or row["kind"] == RATES[rate]]


def _metric(arm: _Arm, rate: RateOrMean, code: str | None) -> eee.MetricConfig:
    parameters: dict[str, str | float] = {} if code is None else {"language": code}
    details: dict[str, str] = {}
    if rate != "CAS":
        kind, rows = RATES[rate], _of_rate(arm, rate)
        judges = []
        if any(row["label"] is not None for row in rows):
            judges.append("labels that came with the scores")
        if any(row["reward"] is not None for row in rows):
            parameters["threshold"] = arm.run.results.thresholds.of(kind)
            details["rule"] = f"reward {'>=' if rate == 'HmR' else '>'} threshold"
            judges.append(_reward_model(arm.run.table, kind, rows))
        details["judge"] = ", ".join(judges)
    over = "" if code is not None else "; the mean over languages, all of equal weight"
    return eee.MetricConfig(
        evaluation_description=f"{_MEANINGS[rate]}{over}.",
        metric_id=f"tarazu.{rate}",
        metric_name=_NAMES[rate],
        metric_kind=None if rate == "CAS" else "pass_rate",
        metric_parameters=parameters or None,
        additional_details=details or None,
    )


def _reward_model(table: ScoreTable, kind: str, rows: Sequence[Mapping[str, Any]]) -> str:
    names = {row["reward_model"] for row in rows}
    if names == {DEFAULT} and table.members is not None:
        members = sorted(set(table.members.reward_model[table.members.kind == kind]))
        if members:
            return f"mean reward of {', '.join(members)}"
    return "reward model" + "".join(f" {name}" for name in sorted(names - {DEFAULT}))


def _engine(results: Results) -> eee.Engine | None:
    """What generated the responses, as far as results.json says so."""
    facts = (results.data or {}).get("generation")
    name = facts.get("engine") if isinstance(facts, dict) else None
    if not isinstance(name, str):
        return None
    version = facts.get("version") if isinstance(facts, dict) else None
    return eee.Engine(name=name, version=version.removeprefix(f"{name} ") if isinstance(version, str) else None)


# --- its responses ----------------------------------------------------------------------------------


def _samples(arm: _Arm) -> list[eee.Sample]:
    return [
        _sample(arm, row, arm.run.passed[index])
        for index, row in zip(arm.run.by_arm[arm.name], arm.rows, strict=True)
        if row["prompt"] is not None and row["response"] is not None
    ]


def _sample(arm: _Arm, row: Mapping[str, Any], passed: bool) -> eee.Sample:
    rate: RateOrMean = "HmR" if row["kind"] == "harmful" else "HpR"
    facts = ("arm", "language", "kind", "prompt_id", "source", "seed", "sample", "reward_model", "reward", "finish")
    return eee.Sample(
        evaluation_id=arm.evaluation_id,
        model_id=arm.model_id,
        evaluation_name=arm.run.name,
        evaluation_result_id=_result_id(rate, row["language"]),
        sample_id=f"{row['kind']}/{row['language']}/{row['prompt_id']}",
        sample_hash=_sample_hash(row["prompt"]),
        input=eee.Input(raw=row["prompt"]),
        output=eee.Output(raw=(row["response"],), reasoning_trace=(row["reasoning"],) if row["reasoning"] else None),
        evaluation=eee.Evaluation(score=float(passed), is_correct=passed),
        metadata={key: str(row[key]) for key in facts if row[key] not in (None, "")},
    )


def _sample_hash(prompt: str) -> str:
    """By which others recognise the same prompt: SHA-256 of it and of its reference answers, of which there are
    none."""
    text = json.dumps({"raw": prompt, "reference": []}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _line(sample: eee.Sample) -> str:
    """Escaped, because some readers also end a line at characters that a response may have, such as U+2028."""
    return json.dumps(sample.model_dump(mode="json", exclude_none=True), sort_keys=True) + "\n"


def _samples_file(arm: _Arm, text: bytes, rows: int) -> eee.SamplesFile:
    return eee.SamplesFile(
        file_path=f"{arm.stem}_samples.jsonl", checksum=hashlib.sha256(text).hexdigest(), total_rows=rows
    )
