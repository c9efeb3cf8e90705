"""The results of the benchmarks. Each is {machine, work, contenders} in JSON, without the fields that are None."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from tarazu.files import to_json
from tarazu.respond.agreement import Agreement


class Part(BaseModel):
    """A part of a result."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Skipped(Part):
    """A contender that does not run on this machine, and why."""

    skipped: str


class Machine(Part):
    """The machine that measured. Without torch there are no `threads`."""

    machine: str
    processor: str
    cores: int | None
    memory_gib: float
    accelerators: tuple[str, ...]
    threads: int | None = None
    versions: dict[str, str]
    matmul_gflops: float | None = None
    memory_gb_per_s: float | None = None

    @property
    def text(self) -> str:
        """The hardware for a terminal."""
        return f"{self.processor}, {self.cores} cores, accelerators: {', '.join(self.accelerators) or 'none'}"


def this_machine(*, matmul_gflops: float | None = None, memory_gb_per_s: float | None = None) -> Machine:
    """This machine, with the limits that the contenders measured."""
    from tarazu.run.lock import hardware, versions

    return Machine(**hardware(), versions=versions(), matmul_gflops=matmul_gflops, memory_gb_per_s=memory_gb_per_s)


class Report(Part):
    """The result of a benchmark."""

    machine: Machine

    def json_text(self) -> str:
        """The text of the file that `--json` names."""
        return to_json(self.model_dump(exclude_none=True))


class ModelFacts(Part):
    """The model that all contenders use."""

    shape: str
    weights: str
    parameters: int


class KernelTime(Part):
    """Seconds of a kernel (median, lowest and highest round), and its largest difference from calls per tree."""

    largest_difference: float
    seconds: float
    lowest: float
    highest: float


class AttentionTimes(Part):
    """The time of each attention kernel for one packed row."""

    row_tokens: int
    trees: int
    heads: int
    key_heads: int
    width: int
    layers: int
    rounds: int
    used: str
    fastest: str
    kernels: dict[str, KernelTime | Skipped]


class TrainingRound(Part):
    """The speed of a contender in one round: pairs per second of a method that trains on pairs, else sequences."""

    pairs_per_s: float | None = None
    sequences_per_s: float | None = None
    seconds: float
    matmul_gflops: float

    @property
    def rate(self) -> float:
        """Pairs or sequences per second."""
        rate = self.sequences_per_s if self.pairs_per_s is None else self.pairs_per_s
        assert rate is not None
        return rate


class TrainingMeasurement(TrainingRound):
    """What the process of a contender measures."""

    peak_memory_mib: float
    losses: tuple[float, ...]


class BestSettings(Part):
    """The fastest settings of TRL's DPO, and the rates of all that were tried."""

    batch_size: int
    precompute: bool
    swept: dict[str, float]


class TrainingResult(TrainingMeasurement):
    """All rounds of a contender: the median time, the highest memory, and the losses of the first round."""

    lowest: float
    highest: float
    rounds: tuple[TrainingRound, ...]
    tokens_per_s: float
    share_of_peak: float
    batch_size: int | None = None
    precompute: bool | None = None
    swept: dict[str, float] | None = None
    largest_loss_difference: float | None = None
    mean_loss_difference: float | None = None


class TrainingFacts(ModelFacts):
    """The work of the training benchmark."""

    data: str
    pairs: int
    steps: int
    pairs_per_step: int
    max_length: int
    precision: str
    lora: bool
    tokens_per_pair: float
    prompt_tokens: float
    flops: str
    flops_per_pair: float
    flops_per_reward_pair: float
    flops_per_sequence: float
    tokens_per_sequence: float
    source_study_hours: float | None = None


class TrainingReport(Report):
    """The result of `tarazu bench train`. `attention` is measured on CUDA only."""

    work: TrainingFacts
    contenders: dict[str, TrainingResult | Skipped]
    attention: AttentionTimes | Skipped | None = None


class GenerationMeasurement(Part):
    """What the process of a contender measures, and the tokens of its responses. `leads` has the lead of the logit of
    each token over the next best; only hf_batch1 has them."""

    responses_per_s: float
    tokens_per_s: float
    seconds: float
    responses: int
    peak_memory_mib: float
    tokens: tuple[tuple[int, ...], ...]
    leads: tuple[tuple[float, ...], ...] = ()
    peak_flops: float
    peak_bytes: float


class Trial(Part):
    """The rate of a contender at one batch size; of hf_best, with prompts sorted by length or in random order."""

    batch_size: int
    sort: bool | None = None
    rate: float

    @property
    def text(self) -> str:
        """The settings for the reader."""
        return batch_text(self.batch_size, self.sort)


def batch_text(size: int, sort: bool | None) -> str:
    """A batch size, and the order of prompts where there is a choice."""
    order = {None: "", True: ", sorted by length", False: ", as they come"}
    return f"batch {size}{order[sort]}"


class Sweep(Part):
    """All trials of a contender."""

    trials: tuple[Trial, ...]


class GenerationSettings(Part):
    """How a contender runs: the best batch size of a sweep, and the precision where it is not that of the work."""

    batch_size: int | None = None
    sorted: bool | None = None
    swept: dict[str, float] | None = None
    precision: str | None = None

    @property
    def notes(self) -> list[str]:
        """The settings for a terminal."""
        batch = [] if self.batch_size is None else [batch_text(self.batch_size, self.sorted)]
        return [*batch, *([self.precision] if self.precision else [])]


class GenerationResult(GenerationSettings):
    """The best round of a contender, and the rates of all rounds. `times_X` is the ratio of the rate to X's."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float]

    responses_per_s: float
    tokens_per_s: float
    seconds: float
    responses: int
    peak_memory_mib: float
    rounds: tuple[float, ...]
    share_of_peak: float
    token_agreement: float | None = None
    agreement: Agreement | None = None

    @property
    def times(self) -> dict[str, float]:
        """How many times as fast it is as each of the other contenders."""
        return {name.removeprefix("times_"): ratio for name, ratio in self.__pydantic_extra__.items()}


class GenerationTask(ModelFacts):
    """What all contenders of the generation benchmark do."""

    data: str
    prompts: int
    prompt_tokens: float
    new_tokens: int
    precision: str
    flops: str
    flops_per_response: float
    bytes_per_step: int


class GenerationFacts(GenerationTask):
    """The work of the generation benchmark, and how fast this machine could do it at most."""

    limit_responses_per_s: float
    limit_alone_responses_per_s: float


class GenerationReport(Report):
    """The result of `tarazu bench generate`."""

    work: GenerationFacts
    contenders: dict[str, GenerationResult | Skipped]


class Seconds(Part):
    """Medians of wall-clock and of processor seconds. Only the latter do not depend on the machine's load."""

    seconds: float
    processor_seconds: float


class AnalysisTime(Seconds):
    """The complete analysis, and the seconds of its parts."""

    parts: dict[str, float]
    peak_memory_mib: float


class MixedModelTime(Seconds):
    """One fit of the mixed-effects model."""

    trials: int
    converged: bool
    peak_memory_mib: float


class AnalysisContenders(Part):
    """Both contenders of the analysis benchmark."""

    tarazu: AnalysisTime
    mixed_model: MixedModelTime | Skipped


class AnalysisFacts(Part):
    """The work of the analysis benchmark. `ratio`: the seconds of the mixed-effects model over those of the
    analysis."""

    languages: int
    prompts: int
    draws: int
    arms: int
    rows: int
    seed: int
    ratio: float | None = None


class AnalysisReport(Report):
    """The result of `tarazu bench analyze`."""

    work: AnalysisFacts
    contenders: AnalysisContenders
