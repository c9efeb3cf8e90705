"""The templates' environment: everything that a record says is escaped, and invisible characters are named."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup, escape

import tarazu
from tarazu.report import text
from tarazu.site.summary import STATUSES, VERDICTS, clip

MENU: Final = (
    ("Index", "index.html"),
    ("Research", "research.html"),
    ("Verification", "verification.html"),
    ("Benchmarks", "benchmarks.html"),
    ("About", "about.html"),
)


@cache
def environment() -> jinja2.Environment:
    """Made once a process."""
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=text.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "clip": lambda value, most: clip(str(value), most),
        "number": text.number,
        "signed": text.signed,
        "count": text.count,
        "tier": tier_words,
        "version_list": version_list,
        "as_sentence": as_sentence,
    }
    made.globals |= {
        "version": tarazu.__version__,
        "menu": MENU,
        "interval": text.interval,
        "verdicts": VERDICTS,
        "statuses": STATUSES,
        "standalone": False,
    }
    return made


def render(name: str, **context: Any) -> str:
    """A page. `root` leads from it to the site's root, `here` is its place in the menu."""
    return environment().get_template(name).render({"root": "", "here": "", **context})


@cache
def asset(name: str) -> str:
    return files("tarazu.site").joinpath("page", name).read_text(encoding="utf-8")


@cache
def style() -> str:
    """The report's style, which is also the site's, and what the site adds."""
    base = files("tarazu.report").joinpath("page", "report.css").read_text(encoding="utf-8")
    return base + asset("site.css")


def inline_style() -> dict[str, Any]:
    """The style and its hash, for a page that stands alone."""
    found = style()
    return {"style": Markup(found), "style_hash": base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()}


def tier_words(tier: str) -> str:
    words = {"DOI_GRADE": "DOI grade"}
    return words.get(tier, tier.replace("_", " ").capitalize())


def version_list(values: dict[str, Any]) -> str:
    """A mapping of names to versions in a line."""
    shown = [f"{name} {value}" for name, value in sorted(values.items()) if isinstance(value, str | int | float)]
    return ", ".join(shown) or "none"


def as_sentence(words: str) -> Markup:
    """A finding or what to do about it as a sentence; what stands in backticks as code."""
    said = text.visible(words[:1].upper() + words[1:] + ("" if words.endswith((".", "?", "!")) or not words else "."))
    if "`" not in said:
        return escape(said)
    pieces = said.split("`")
    marked = [Markup("<code>{}</code>").format(piece) if at % 2 else escape(piece) for at, piece in enumerate(pieces)]
    return Markup("").join(marked)


def web_address(link: str) -> str | None:
    """The link if a browser goes to a web page by it, and does nothing else."""
    return link if re.fullmatch(r"https?://[^\s<>\"'\\]+", link) else None
