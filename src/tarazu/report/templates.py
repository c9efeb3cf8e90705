"""The environment of all pages: nothing undefined is shown as nothing, and no text acts as markup."""

from __future__ import annotations

import jinja2

from tarazu.report import text


def environment(loader: jinja2.BaseLoader) -> jinja2.Environment:
    """An environment with the filters and functions that all pages use."""
    templates = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=text.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"number": text.number, "signed": text.signed, "count": text.count, "p": text.p_value}
    templates.globals |= {"interval": text.interval, "pointer": text.pointer}
    return templates
