"""Small drawings of intervals beside the numbers they show: SVG of numbers alone, no text of a record in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tarazu.assessment.facts import Facts, arm_rates, mapping, number, text
from tarazu.record.contracts import Dimension


@dataclass(frozen=True)
class Bar:
    """A value with its interval, and its drawing."""

    name: str
    entry: dict[str, Any]
    drawing: Markup


def interval_svg(
    value: float, low: float | None, high: float | None, least: float, most: float, band: tuple[float, float] | None
) -> Markup:
    """A dot on a line from `least` to `most`, with its interval, and a band behind it."""

    def x(place: float) -> str:
        return f"{100 * (min(max(place, least), most) - least) / (most - least):.2f}"

    def line(start: float, end: float, kind: str) -> str:
        return f'<line class="{kind}" x1="{x(start)}%" x2="{x(end)}%" y1="9" y2="9"/>'

    parts = []
    if band is not None:
        width = float(x(band[1])) - float(x(band[0]))
        parts.append(f'<rect class="band" x="{x(band[0])}%" y="1" width="{width:.2f}%" height="16"/>')
    parts.append(line(least, most, "axis"))
    if least < 0 < most:
        parts.append(f'<line class="zero" x1="{x(0)}%" x2="{x(0)}%" y1="1" y2="17"/>')
    if low is not None and high is not None:
        parts.append(line(low, high, "range"))
    parts.append(f'<circle class="dot" cx="{x(value)}%" cy="9" r="4"/>')
    return Markup(f'<svg class="bar" height="18" aria-hidden="true" focusable="false">{"".join(parts)}</svg>')


def rate_bars(facts: Facts) -> list[tuple[str, list[Bar]]]:
    """For each arm, base first, its rates on a line from 0 to 100."""
    found: dict[str, list[Bar]] = {}
    for arm, rate, entry in arm_rates(facts.results):
        value, low, high = (number(entry, key) for key in ("value", "ci_low", "ci_high"))
        if value is not None:
            checked = {"value": value, "ci_low": low, "ci_high": high, "n": number(entry, "n")}
            found.setdefault(arm, []).append(Bar(rate, checked, interval_svg(value, low, high, 0, 100, None)))
    base = text(facts.results, "base_arm")
    return sorted(found.items(), key=lambda item: (item[0] != base, item[0]))


def answer_bar(facts: Facts) -> Bar | None:
    """The primary estimate with its interval and the margin as a band; None where it is not defined."""
    primary = mapping(facts.results, "tradeoff", "primary")
    value, low, high, margin = (number(primary, key) for key in ("estimate", "ci_low", "ci_high", "margin"))
    if value is None:
        return None
    reach = 1.08 * max(abs(one) for one in (value, low, high, margin, 1.0) if one is not None)
    band = (-margin, margin) if margin is not None and margin > 0 else None
    keys = ("estimate", "ci_low", "ci_high", "margin", "p", "mde", "n_high", "n_low")
    entry: dict[str, Any] = {key: number(primary, key) for key in keys}
    entry |= {key: text(primary, key) for key in ("unit", "verdict", "quantity", "arm")}
    return Bar("answer", entry, interval_svg(value, low, high, -reach, reach, band))


def score_svg(dimension: Dimension) -> Markup:
    """A score out of ten as a bar; nothing where there is none."""
    if dimension.score is None:
        return Markup("")
    return Markup(
        '<svg class="bar score" height="8" aria-hidden="true" focusable="false"><rect class="track" width="100%" '
        f'height="8"/><rect class="fill" width="{10 * dimension.score:.1f}%" height="8"/></svg>'
    )
