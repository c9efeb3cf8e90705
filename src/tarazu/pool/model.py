"""The results of several runs pooled: pool.json."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from tarazu.results.model import Count, DegreesOfFreedom, Deviation, Frozen, Percent, Probability, Verdict

POOL_SCHEMA: Final = "tarazu/pool/v1"


class PooledRun(Frozen):
    """D of one run, and the pooled D without it."""

    name: str
    study: str = Field(description="The study's name, as its results.json has it.")
    arm: str
    estimate: float
    se: Deviation = Field(description="Standard error, from the interval and its degrees of freedom.")
    ci_low: float
    ci_high: float
    verdict: Verdict
    ruler: Literal["comparable", "not_comparable", "unassessed"]
    n_high: Count
    n_low: Count
    weight: Percent = Field(description="Its weight in the pooled estimate.")
    estimate_without: float | None = Field(description="The pooled D of the other runs; null if only one is left.")
    verdict_without: Verdict | None


class ExcludedRun(Frozen):
    """A run that could not be pooled."""

    name: str
    reason: str


class PooledEstimate(Frozen):
    """The mean of the runs' true D, in points."""

    estimate: float
    se: Deviation
    ci_low: float
    ci_high: float
    p: Probability
    df: DegreesOfFreedom
    margin: float
    verdict: Verdict
    within_margin: bool | None
    smallest_margin: float
    mde: float


class Heterogeneity(Frozen):
    """How much the true D varies from run to run."""

    tau: Deviation = Field(description="Standard deviation between runs, in points (REML).")
    tau_low: Deviation | None = Field(
        description="95 % interval of tau by the Q profile; null where it is empty: the runs agree more closely than "
        "their errors explain."
    )
    tau_high: Deviation | None
    q: float = Field(description="Cochran's Q.")
    q_df: Count
    p: Probability
    i2: Percent = Field(description="Share of the observed variance that is not sampling error.")
    prediction_low: float | None = Field(description="95 % prediction interval of D in a further run; null for two.")
    prediction_high: float | None


class Pool(Frozen):
    """pool.json: no times, no paths."""

    schema_: Literal["tarazu/pool/v1"] = Field(alias="schema")
    quantity: str
    runs: tuple[PooledRun, ...]
    excluded: tuple[ExcludedRun, ...]
    pooled: PooledEstimate
    heterogeneity: Heterogeneity
    rests_on: tuple[str, ...] | None = Field(
        description="Runs without which the pooled verdict would be another; null with fewer than four, since two or "
        "one of them can show nothing."
    )
    remarks: tuple[str, ...] = Field(description="How the runs differ, other than in their models.")
    sentence: str
