"""What Tarazu writes of the form Every Eval Ever: the results of an arm (`Log`) and its responses (`Sample`).

The form is published as two JSON Schemas (github.com/evaleval/every_eval_ever). Keys that Tarazu has no value for are
not declared; a key whose value is None is not written.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

VERSION: Final = "0.3.0"
"""Of both schemas."""


class Part(BaseModel):
    """The base of every part: values never change, unknown keys are refused, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SourceMetadata(Part):
    source_name: str
    source_type: Literal["evaluation_run"] = "evaluation_run"
    source_organization_name: str
    evaluator_relationship: Literal["other"] = "other"
    additional_details: dict[str, str]


class Library(Part):
    name: Literal["tarazu"] = "tarazu"
    version: str


class Engine(Part):
    name: str
    version: str | None


class DeploymentDetails(Part):
    """Required. A table of scores does not say who ran the model and whether its weights are public."""

    deployment_type: Literal["unknown"] = "unknown"
    model_availability: Literal["unknown"] = "unknown"


class ModelInfo(Part):
    name: str
    id: str
    inference_engine: Engine | None
    additional_details: DeploymentDetails = DeploymentDetails()


class SourceData(Part):
    dataset_name: str
    source_type: Literal["other"] = "other"


class MetricConfig(Part):
    evaluation_description: str
    metric_id: str
    metric_name: str
    metric_kind: Literal["pass_rate"] | None
    metric_unit: Literal["percent"] = "percent"
    metric_parameters: dict[str, str | float] | None
    lower_is_better: Literal[False] = False
    score_type: Literal["continuous"] = "continuous"
    min_score: float = 0.0
    max_score: float = 100.0
    additional_details: dict[str, str] | None


class ConfidenceInterval(Part):
    lower: float
    upper: float
    confidence_level: float
    method: str


class Uncertainty(Part):
    confidence_interval: ConfidenceInterval | None
    num_samples: int


class ScoreDetails(Part):
    score: float
    details: dict[str, str]
    uncertainty: Uncertainty


class EvaluationResult(Part):
    evaluation_result_id: str
    evaluation_name: str
    source_data: SourceData
    metric_config: MetricConfig
    score_details: ScoreDetails


class SamplesFile(Part):
    format: Literal["jsonl"] = "jsonl"
    file_path: str
    hash_algorithm: Literal["sha256"] = "sha256"
    checksum: str
    total_rows: int


class Log(Part):
    """The aggregate file of one arm."""

    schema_version: str = VERSION
    evaluation_id: str
    retrieved_timestamp: str
    source_metadata: SourceMetadata
    eval_library: Library
    model_info: ModelInfo
    evaluation_results: tuple[EvaluationResult, ...]
    detailed_evaluation_results: SamplesFile | None


class Input(Part):
    raw: str
    reference: tuple[str, ...] = ()


class Output(Part):
    raw: tuple[str]
    reasoning_trace: tuple[str] | None


class Evaluation(Part):
    score: float
    is_correct: bool


class Sample(Part):
    """One response, a line of the companion file."""

    schema_version: str = VERSION
    evaluation_id: str
    model_id: str
    evaluation_name: str
    evaluation_result_id: str
    sample_id: str
    sample_hash: str
    interaction_type: Literal["single_turn"] = "single_turn"
    input: Input
    output: Output
    answer_attribution: tuple[()] = ()
    """Nothing is extracted: the complete response is judged."""
    evaluation: Evaluation
    metadata: dict[str, str]
