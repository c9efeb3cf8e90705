"""What D compares between the resource groups: the tilt or, with one kind of prompts alone, the change of its rate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from tarazu.data.rows import KINDS, Kind
from tarazu.results.model import RATES, ChangeName, EstimateEntry, RateName


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A quantity of an arm in a language, in points over base. `kinds` are the kinds of prompts that it needs.

    `title` names it in tables, `axis` on a chart, `phrase` in a sentence; `subject` is what a verdict is about.
    """

    name: ChangeName
    kinds: tuple[Kind, ...]
    title: str
    axis: str
    phrase: str
    subject: str

    @property
    def rates(self) -> dict[RateName, Kind]:
        """The rates that it is about, with their kinds."""
        return {rate: kind for rate, kind in RATES.items() if kind in self.kinds}

    @property
    def one_kind(self) -> Kind | None:
        """The kind of prompts that it is about, where that is one alone."""
        return self.kinds[0] if len(self.kinds) == 1 else None

    @property
    def heading(self) -> str:
        """Its title at the beginning of a sentence."""
        return self.title[0].upper() + self.title[1:]

    def part(self, name: str) -> str:
        """The name of an estimate that is derived from it, such as a sensitivity check."""
        return f"{self.name}_{name}"


TILT: Final = Quantity(
    name="tilt",
    kinds=KINDS,
    title="tilt",
    axis="tilt: dHp minus dHm (points)",
    phrase="the tilt (change in helpfulness minus change in harmlessness)",
    subject="trade-off",
)
DHM: Final = Quantity(
    name="dHm",
    kinds=("harmful",),
    title="change of HmR",
    axis="dHm: change of HmR (points)",
    phrase="the change of the Harmlessness Rate (dHm)",
    subject="change in harmlessness",
)
DHP: Final = Quantity(
    name="dHp",
    kinds=("benign",),
    title="change of HpR",
    axis="dHp: change of HpR (points)",
    phrase="the change of the Helpfulness Rate (dHp)",
    subject="change in helpfulness",
)
RATE_CHANGES: Final[Mapping[str, Quantity]] = {one.name: one for one in (DHM, DHP)}
QUANTITIES: Final[Mapping[str, Quantity]] = {TILT.name: TILT, **RATE_CHANGES}


def quantity_for(kinds: Collection[str]) -> Quantity:
    """The quantity that prompts of these kinds allow: the tilt, unless they are all harmful or all benign."""
    return next((one for one in RATE_CHANGES.values() if set(one.kinds) == set(kinds)), TILT)


def quantity_of(primary: EstimateEntry) -> Quantity:
    """The quantity of a primary estimate."""
    return QUANTITIES[primary.quantity]
