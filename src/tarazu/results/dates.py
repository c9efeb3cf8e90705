"""Dates in records and plans: ASCII, in the calendar, and not in the future."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

_WRITTEN: Final = date(2026, 11, 26)
"""The day on which this was written. A clock that shows an earlier one is wrong."""


def latest_day() -> date:
    """The last day that is not in the future. It is tomorrow, because in some time zones that has begun."""
    return max(datetime.now(UTC).date(), _WRITTEN) + timedelta(days=1)


def _day(text: str) -> str:
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        raise ValueError(f"no such day: {text[:10]}") from None
    if day > latest_day():
        raise ValueError(f"{text[:10]} is in the future; give the day on which it happened")
    return text


def _moment(text: str) -> str:
    if re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z", text[11:]) is None:
        raise ValueError(f"no such time: {text[11:]}")
    return _day(text)


# In these patterns, \d would also match digits of other scripts.
Day = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_day)]
"""A day, ISO 8601."""
Moment = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    AfterValidator(_moment),
]
"""Date and time, ISO 8601 in UTC."""
