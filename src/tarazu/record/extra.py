"""Check that the packages of the extra `records` are installed."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from tarazu.errors import MissingExtra

_PACKAGES = {
    "rfc8785": "rfc8785",
    "jsonschema": "jsonschema",
    "prov": "prov",
    "pypdf": "pypdf",
    "rapidfuzz": "rapidfuzz",
    "bs4": "beautifulsoup4",
    "markdown_it": "markdown-it-py",
}
"""Package of each module."""


@cache
def require_records_extra() -> None:
    """Raise MissingExtra, with the package's name, if a package of the extra is not installed."""
    for module, package in _PACKAGES.items():
        if find_spec(module) is None:
            raise MissingExtra("records", package)
