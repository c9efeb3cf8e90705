"""The values of cells: ids, whole numbers, booleans and numbers, as csv, JSON and parquet files have them.

Every function raises ValueError with the reason, to which the caller adds file and line.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

EXACT = 2**53
"""From here on, a 64-bit float may stand for several whole numbers."""
_TRUTH = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
_MISSING = {"na", "n/a", "nan", "null", "none"}
_WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?")


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: null, blank text, or the NaN that pandas writes for it."""
    return (
        value is None
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, float) and math.isnan(value))
    )


def is_missing_number(value: Any) -> bool:
    """Whether a cell of a column of numbers is empty. R writes NA, and other programs write NaN, NULL or None."""
    return is_missing(value) or (isinstance(value, str) and value.strip().lower() in _MISSING)


def identifier(value: Any) -> str:
    """A name or id as text. 1, 1.0 and "1" are the same id; empty if the cell is."""
    if is_missing(value):
        return ""
    if isinstance(value, float | Decimal):
        if not math.isfinite(value) or value != int(value):
            raise ValueError(f"must be text or a whole number, not {value}")
        if isinstance(value, float) and abs(value) >= EXACT:
            raise ValueError(f"is {value}, a float that has lost digits; write ids as whole numbers or as text")
        return str(int(value))
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"must be text or a whole number, not {_type_name(value)}")
    return str(value).strip()


def integer(value: Any) -> int:
    """A whole number: 3, 3.0, "3" or "3.0"."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return int(value)
    raise ValueError(f"must be a whole number, not {_shown(value)}")


def truth(value: Any) -> bool:
    """A boolean: true and false in any case, 1 and 0, 1.0 and 0.0."""
    known = _TRUTH.get(str(value).strip().lower())
    if known is None:
        raise ValueError(f"must be 0 or 1, or true or false, not {_shown(value)}")
    return known


def number(value: Any) -> float:
    """A finite number."""
    try:
        result = math.nan if isinstance(value, bool) or "_" in str(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise ValueError(f"must be a finite number, not {_shown(value)}")
    return result


def _type_name(value: Any) -> str:
    return {bool: "true or false", list: "a list", dict: "an object"}.get(type(value), type(value).__name__)


def _shown(value: Any) -> str:
    return repr(str(value)[:40])
