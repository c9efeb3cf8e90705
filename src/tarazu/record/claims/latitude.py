"""How much a true expression leaves open: no statement passes that nearly any result would have made true.

Each value that the expression read is varied alone, far beyond its range, and the ends of the interval in which the
expression stays true are searched. The expression is vacuous where

- a value does not matter: the expression stays true for every other one (`A or B` is true for any B where A holds, so
  claim the side that holds);
- a side of `or` makes no difference for any of the values, or a comparison is the same for all of them;
- it also holds for a few values apart from those around the actual one, as `or` in other words would:
  `(x - 62.5) * (x - 99) == 0`. What follows another value may do so, and so may the amount of a change;
- a band is wide: the interval has two ends, and neither is simply another value that was read. It is at most as wide as
  BAND allows, or DIFFERENCE around another value that was read or around no change;
- it excludes next to nothing, such as `HpR('dpo') != 0`: less than EXCLUDED of the scale.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from tarazu.record.claims.expressions import Evaluation, Scalar, evaluate, parse
from tarazu.record.claims.pointers import Undefined, is_setting, scale, span, within_interval, words_at
from tarazu.record.claims.sides import SHIFT, Probe, constant_part, constants, deciding_numbers, idle_side
from tarazu.record.model import Depth

BAND: Final[dict[Depth, float]] = {"analysis": 0.01, "responses": 0.02, "training": 0.10}
"""Half the widest band around a number, as a share of the quantity's scale, such as one point of a rate."""
DIFFERENCE: Final = 0.10
"""Half the widest band around another value, or around no change."""
EXCLUDED: Final = 0.01
"""The least share of the scale that a claim must exclude."""
_DISTANCES: Final = (10.0, 1.0, 0.1, 0.01, 1e-6, 2.5, 0.5, 1e-3, 0.05, 0.2, 0.02, 0.35, 0.005, 0.7, 1.5, 5.0)
"""In shares of the scale; the most telling first, since an expression that reads many values is tried with fewer."""
_MOST_TRIED = 1500
_CLOSE = 1e-6


@dataclass(frozen=True)
class Latitude:
    """Changes tried and refused, why the expression is vacuous (empty if it is not), and the numbers in it that
    decide."""

    tried: int
    refused: int
    reason: str
    numbers: tuple[float, ...] = ()


def latitude(text: str, results: Any, depth: Depth) -> Latitude:
    """What a true expression leaves open. Settings that it reads stay as they are."""
    tree = parse(text)
    actual = evaluate(tree, results)
    if not actual.truth:
        return Latitude(1, 0, "the expression does not hold")
    if not actual.reads:
        return Latitude(1, 1, "the expression reads no result")
    reads = {pointer: value for pointer, value in actual.reads.items() if not is_setting(pointer)}
    axes = [_Axis(tree, results, pointer, value, actual, len(reads)) for pointer, value in reads.items()]
    for number, axis in enumerate(axes):
        if reason := axis.objection(depth) or axis.elsewhere():
            return Latitude(len(axes) + 1, number + 1, reason)
    probes = [probe for axis in axes for probe in axis.probes()]
    if reason := idle_side(tree, results, probes[:_MOST_TRIED]) or constant_part(tree, results, probes[:_MOST_TRIED]):
        return Latitude(len(axes) + 2, len(axes) + 1, reason)
    ends = [probe for axis in axes for probe in axis.ends()]
    return Latitude(len(axes) + 1, len(axes) + 1, "", tuple(deciding_numbers(tree, results, ends, _MOST_TRIED // 4)))


class _Axis:
    """One value that an expression reads, varied alone."""

    def __init__(
        self, tree: ast.expr, results: Any, pointer: str, value: Scalar, actual: Evaluation, axes: int
    ) -> None:
        self.tree, self.results, self.pointer, self.value = tree, results, pointer, value
        self.others: dict[str, float] = {
            one: float(other) for one, other in actual.reads.items() if one != pointer and _is_number(other)
        }
        self.truths: dict[Scalar, bool | None] = {}
        self.known_scale = scale(results, pointer)
        self.low_end: float | None = None
        self.high_end: float | None = None
        if isinstance(value, bool):
            self._try([not value])
        elif isinstance(value, str):
            self._try([word for word in (words_at(pointer) or ("no such word",)) if word != value])
        else:
            self._explore(float(value), max(12, _MOST_TRIED // axes))

    def probes(self) -> Iterator[Probe]:
        return ({self.pointer: value} for value in self.truths)

    def ends(self) -> Iterator[Probe]:
        """Just inside and just outside the interval in which the expression stays true."""
        for end in (self.low_end, self.high_end):
            if end is not None:
                yield {self.pointer: end - _CLOSE * self.size}
                yield {self.pointer: end + _CLOSE * self.size}
        yield {self.pointer: self.value}

    def objection(self, depth: Depth) -> str:
        """Why the expression says too little about this value, or nothing."""
        ignored = f"the expression holds for all values at {self.pointer}"
        if not isinstance(self.value, float) or isinstance(self.value, bool):
            return "" if False in self.truths.values() else ignored
        low, high = self._possible_ends()
        relative = [end for end in (low, high) if end is not None and self._moves(end)]
        if low is not None and high is not None and not self._is_pole(low) and not self._is_pole(high):
            return self._band(low, high, depth)
        inside = [x for x, truth in self.truths.items() if truth is False and self._is_possible(x)]
        if not inside and not relative:
            return ignored
        if not relative and self._excluded() < EXCLUDED * self.size * (1 - _CLOSE):
            return f"the expression holds for nearly all values at {self.pointer}"
        return ""

    # --- exploring -------------------------------------------------------------------------------

    @property
    def size(self) -> float:
        assert isinstance(self.value, float)
        return self.known_scale or abs(self.value) or 1.0

    @property
    def limits(self) -> tuple[float, float]:
        """The range of the value, within its own confidence interval if the ends were read; where it has none, what
        was explored."""
        low, high = span(self.pointer)
        assert isinstance(self.value, float)
        far = max(_DISTANCES) * self.size
        least, most = within_interval(self.pointer, self.others)
        return max(least, self.value - far if low is None else low), min(
            most, self.value + far if high is None else high
        )

    def _is_possible(self, x: Scalar) -> bool:
        low, high = self.limits
        return isinstance(x, float) and low <= x <= high

    def _explore(self, value: float, most: int) -> None:
        low, high = self.limits
        numbers = constants(self.tree)
        pairs = [one + sign * other for one in numbers[:8] for other in numbers[:8] for sign in (-1, 1)]
        marks = [*self.others.values(), *numbers, 0.0, -value, value / 2, low, high, *pairs]
        near = [mark + sign * _CLOSE * self.size for mark in marks for sign in (-1, 0, 1)]
        grid = [low + (high - low) * step / 40 for step in range(41)]
        distant = [value + sign * distance * self.size for distance in _DISTANCES for sign in (-1, 1)]
        self._try([*distant, *near[: most // 2], *grid][:most])
        self.truths[value] = True
        self.low_end, self.high_end = self._end(-1), self._end(1)

    def _try(self, values: Sequence[Scalar]) -> None:
        for value in dict.fromkeys(values):
            self.truths[value] = self._truth({self.pointer: value})

    def _truth(self, probe: Probe) -> bool | None:
        """Whether the expression holds; None if it is undefined."""
        try:
            return evaluate(self.tree, self.results, probe).truth
        except Undefined:
            return None

    def _end(self, sign: int) -> float | None:
        """The end of the interval around the value, below (sign -1) or above it. None if there is none."""
        assert isinstance(self.value, float)
        inner = self.value
        for x in sorted((x for x in self.truths if isinstance(x, float)), key=lambda x: sign * x):
            if sign * x <= sign * self.value:
                continue
            if self.truths[x]:
                inner = x
                continue
            return self._boundary(inner, x)
        return None

    def _boundary(self, inner: float, outer: float) -> float:
        """Where the expression ceases to hold between `inner`, where it holds, and `outer`, where it does not."""
        for _ in range(44):
            middle = (inner + outer) / 2
            if middle in (inner, outer):
                break
            inner, outer = (middle, outer) if self._truth({self.pointer: middle}) else (inner, middle)
        return outer

    def _excluded(self) -> float:
        """The length of the possible values for which the expression does not hold."""
        low, high = self.limits
        points = sorted(x for x in {*self.truths, low, high} if isinstance(x, float) and low <= x <= high)
        total = 0.0
        for one, other in pairwise(points):
            here, there = bool(self.truths.get(one, True)), bool(self.truths.get(other, True))
            if not here and not there:
                total += other - one
            elif here != there:
                edge = self._boundary(one, other) if here else self._boundary(other, one)
                total += abs((other if here else one) - edge)
        return total

    def elsewhere(self) -> str:
        """A place where the expression also holds, with values on both sides of it for which it does not."""
        for end, sign in ((self.low_end, -1), (self.high_end, 1)):
            points = sorted((x for x in self.truths if isinstance(x, float)), key=lambda x: sign * x)
            outside = [x for x in points if end is not None and sign * x >= sign * end and self.truths[x] is not None]
            for before, x in pairwise(outside):
                if self.truths[before] or not self.truths[x]:
                    continue
                is_bounded = any(not self.truths[other] for other in outside[outside.index(x) :])
                if is_bounded and self._is_possible(x) and not self._is_explained(self._boundary(x, before)):
                    return f"the expression also holds for {x:.6g} at {self.pointer}, apart from the actual value"
        return ""

    def _is_explained(self, edge: float) -> bool:
        """Whether a second place where the expression holds follows another value, or is the opposite change."""
        ends = [end for end in (self.low_end, self.high_end) if end is not None]
        is_mirrored = any(abs(edge + end) <= 2 * _CLOSE * self.size for end in ends)
        return (span(self.pointer) == (None, None) and is_mirrored) or bool(self._moves(edge))

    def _possible_ends(self) -> tuple[float | None, float | None]:
        """The ends of the interval, except those where a value would leave its own confidence interval."""
        least, most = within_interval(self.pointer, self.others)
        low, high = self.low_end, self.high_end
        return (
            None if low is not None and low <= least + self._close else low,
            None if high is not None and high >= most - self._close else high,
        )

    # --- ends and bands --------------------------------------------------------------------------

    def _is_pole(self, end: float) -> bool:
        """Whether the interval ends where the possible values do, and the expression is undefined there (1 / 0)."""
        at = next(
            (limit for limit in span(self.pointer) if limit is not None and abs(limit - end) <= self._close), None
        )
        return at is not None and self._truth({self.pointer: at}) is None

    @property
    def _close(self) -> float:
        return 1e-9 * self.size

    def _moves(self, end: float) -> list[str]:
        """The other values that the end depends on."""
        return [other for other in self.others if self._moves_with(end, other)]

    def _moves_with(self, end: float, other: str) -> bool:
        step = _CLOSE * self.size
        places = [{self.pointer: end - step}, {self.pointer: end + step}]
        before = [self._truth(place) for place in places]
        shift = SHIFT * (scale(self.results, other) or abs(self.others[other]) or 1.0)
        shifted = [{other: self.others[other] + sign * shift} for sign in (-1, 1)]
        return any([self._truth({**place, **one}) for place in places] != before for one in shifted)

    def _follows(self, end: float, other: str) -> bool:
        """Whether the end moves with another value by the same amount."""
        step, shift = _CLOSE * self.size, SHIFT * self.size
        before = [self._truth({self.pointer: end + sign * step}) for sign in (-1, 1)]
        value = self.others[other]
        return all(
            [self._truth({self.pointer: end + move + sign * step, other: value + move}) for sign in (-1, 1)] == before
            for move in (-shift, shift)
        ) and self._moves_with(end, other)

    def _band(self, low: float, high: float, depth: Depth) -> str:
        if any(self._is_value(end) for end in (low, high)):
            return ""
        middle, half = (low + high) / 2, (high - low) / 2
        around_nothing = span(self.pointer) == (None, None) and abs(middle) <= _CLOSE * self.size
        around_other = any(
            abs(middle - value) <= _CLOSE * self.size and self._follows(low, other) and self._follows(high, other)
            for other, value in self.others.items()
        )
        most = (DIFFERENCE if around_nothing or around_other else BAND[depth]) * self.size
        if half <= most * (1 + _CLOSE) + self._close:
            return ""
        return (
            f"the expression holds for all values at {self.pointer} from {low:.6g} to {high:.6g}; a band of more than "
            f"{most:.6g} on each side says too little at depth {depth}"
        )

    def _is_value(self, end: float) -> bool:
        """Whether the end is simply another value that was read, as in the order of three arms."""
        return any(
            abs(end - value) <= self._close and self._follows(end, other) for other, value in self.others.items()
        )


def _is_number(value: Scalar) -> bool:
    return isinstance(value, float) and not isinstance(value, bool)
