"""How the results relate to their plan, in a sentence."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

from tarazu.results.model import Departure, Preregistration

MOST_NAMED: Final = 2
"""Departures that the sentence names."""
_LONGEST = 40
"""Characters of a value."""


def preregistration_words(section: Preregistration | None) -> str:
    """One or two sentences; empty without a plan."""
    if section is None:
        return ""
    dated = f"the plan dated {section.date}"
    if section.status == "confirmatory":
        return f"Confirmatory: {dated} was there before the first response, and nothing departs from it."
    parts = []
    if section.order == "after_responses":
        parts.append(f"{dated} was not there before the first response")
    elif section.order == "not_shown":
        parts.append(f"nothing shows that {dated} came before the responses")
    if section.departures:
        named = "; ".join(departure_words(one) for one in section.departures[:MOST_NAMED])
        more = len(section.departures) - MOST_NAMED
        others = f", and {more} more" if more > 0 else ""
        plan = "it" if parts else dated
        parts.append(f"what was done departs from {plan}: {named}{others}")
    elif section.order == "before_responses":
        parts.append(f"{dated} could not be compared with {', '.join(section.unchecked)}")
    return f"Exploratory: {', and '.join(parts)}."


def departure_words(departure: Departure) -> str:
    """A departure in words."""
    return f"{departure.key} (planned {_value(departure.planned)}, done {_value(departure.done)})"


def _value(value: JsonValue) -> str:
    if value is None:
        return "none"
    text = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
