"""The templates' environment. All text from records is escaped, and invisible characters are spelled out."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup, escape
from pydantic import JsonValue

import tarazu
from tarazu.errors import visible
from tarazu.report.templates import environment as page_environment
from tarazu.site.summary import STATUSES, VERDICTS, clip

MENU: Final = (
    ("Index", "index.html"),
    ("Research", "research.html"),
    ("Verification", "verification.html"),
    ("Benchmarks", "benchmarks.html"),
    ("Compare", "compare.html"),
    ("About", "about.html"),
)


@cache
def environment() -> jinja2.Environment:
    """The environment. It is created once per process."""
    templates = page_environment(jinja2.FunctionLoader(asset))
    templates.filters |= {
        "clip": lambda value, most: clip(str(value), most),
        "tier": tier_words,
        "version_list": version_list,
        "as_sentence": as_sentence,
        "with_code": with_code,
    }
    templates.globals |= {
        "version": tarazu.__version__,
        "menu": MENU,
        "verdicts": VERDICTS,
        "statuses": STATUSES,
        "standalone": False,
    }
    return templates


def render(name: str, **context: Any) -> str:
    """Render a page. `root` is the path from it to the site's root, and `current` is its entry in the menu."""
    return environment().get_template(name).render({"root": "", "current": "", **context})


@cache
def asset(name: str) -> str:
    return files("tarazu.site").joinpath("page", name).read_text(encoding="utf-8")


@cache
def api_description() -> str:
    """The query API's description (OpenAPI). `make docs` writes it from the API, so that a build needs no server."""
    return files("tarazu").joinpath("schemas", "openapi.json").read_text(encoding="utf-8")


@cache
def style() -> str:
    """The report's style sheet, which the site shares, and the site's additions."""
    base = files("tarazu.report").joinpath("page", "report.css").read_text(encoding="utf-8")
    return base + asset("site.css")


def inline_style() -> dict[str, str]:
    """The style sheet and its hash, for a self-contained page."""
    sheet = style()
    return {"style": Markup(sheet), "style_hash": base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()}


def tier_words(tier: str) -> str:
    words = {"DOI_GRADE": "DOI grade"}
    return words.get(tier, tier.replace("_", " ").capitalize())


def version_list(values: Mapping[str, JsonValue]) -> str:
    """A mapping from names to versions, as one line."""
    shown = [f"{name} {value}" for name, value in sorted(values.items()) if isinstance(value, str | int | float)]
    return ", ".join(shown) or "none"


def as_sentence(words: str) -> Markup:
    """Format a finding or a fix as a sentence, with text in backticks as code."""
    return with_code(words[:1].upper() + words[1:] + ("" if words.endswith((".", "?", "!")) or not words else "."))


def with_code(words: str) -> Markup:
    """Format text in backticks as code. The words stay as they are: they may begin with the name of a file."""
    shown = visible(words)
    if "`" not in shown:
        return escape(shown)
    pieces = shown.split("`")
    marked = [Markup("<code>{}</code>").format(piece) if i % 2 else escape(piece) for i, piece in enumerate(pieces)]
    return Markup("").join(marked)


def web_address(link: str) -> str | None:
    """The link, if it only leads to a web page. None if a browser could do anything else with it."""
    return link if re.fullmatch(r"https?://[^\s<>\"'\\]+", link) else None
