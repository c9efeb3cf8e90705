"""Sensitivity checks: does the primary estimate depend on a choice? A file each.

A module here that has a `CHECK` is a check: results, report, sentence and docs follow it.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Final

from tarazu.analysis.check import Check


def find_checks() -> tuple[Check, ...]:
    """The checks of this folder, by place."""
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    checks: list[Check] = [module.CHECK for module in modules]
    return tuple(sorted(checks, key=lambda check: check.place))


CHECKS: Final = find_checks()
"""In the order of results.json."""
