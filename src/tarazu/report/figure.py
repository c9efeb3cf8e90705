"""Matplotlib figures in the report's style, and those figures as inline SVG that follows the page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from tarazu.errors import visible
from tarazu.results.words import short_names

# Colours are placeholders that become the page's variables, which differ in light, dark and print.
# The groups' two are of the palette of Okabe and Ito, which colour-blind readers tell apart.
INK = "#111111"
MUTED = "#6a6a6a"
GRID = "#dcdcdc"
PAPER = "#fefefe"
HIGH = "#0072b2"
LOW = "#d55e00"
GOOD = "#009e73"
_VARIABLES = {
    INK: "--ink", MUTED: "--muted", GRID: "--line", PAPER: "--paper", HIGH: "--high", LOW: "--low", GOOD: "--good"
}  # fmt: skip

GROUP_COLOUR = {"high": HIGH, "low": LOW, "neither": MUTED}
GROUP_MARKER = {"high": "o", "low": "^", "neither": "s"}
GROUP_LINE = {"high": "-", "low": (0, (4, 1.5))}
GROUP_NAME = {"high": "high-resource", "low": "low-resource"}

WIDTH = 4.2
"""Inches, at 100 pixels each: what a phone shows without scaling, and three of which stand side by side on a desk."""

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the layout is the same on every machine
    "font.size": 9,
    "text.parse_math": False,  # a name with a $ in it is a name
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


class Chart(Figure):
    """A matplotlib figure that knows its name and its text alternative, and that notebooks show by itself."""

    name = ""
    """Unique on a page: it keeps the ids of one figure's SVG apart from those of the next."""
    alt = ""

    def described(self, *, name: str, alt: str) -> Chart:
        """The same chart with its name and text alternative."""
        self.name, self.alt = name, alt
        return self

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        with _style():
            self.savefig(stream, format="png", dpi=2 * self.dpi, facecolor="white")
        return stream.getvalue()


@contextmanager
def _style() -> Iterator[None]:
    """The report's style, regardless of the reader's settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


@contextmanager
def figure(rows: int = 1, columns: int = 1, *, height: float, **keywords: Any) -> Iterator[tuple[Chart, Any]]:
    """A figure of the report's width in the report's style, and its axes as a two-dimensional array."""
    with _style():
        made = Chart(figsize=(WIDTH, height), dpi=100, layout="constrained")
        yield made, made.subplots(rows, columns, squeeze=False, **keywords)


LABEL = 22
"""Characters of a name beside a chart: more leave no room for the chart itself."""
TITLE = 34
"""Characters of a name above a chart."""


def labels(names: Iterable[str], most: int = LABEL) -> dict[str, str]:
    """Names as a chart writes them: short, all different, without invisible characters. Tables have the full ones."""
    shown = {name: visible(name) for name in names}
    short = short_names(shown.values(), most)
    return {name: short[text] for name, text in shown.items()}


def drawn(chart: Chart, form: Literal["svg", "pdf"]) -> bytes:
    """The chart as a file of its own. Equal charts give equal bytes: no dates, ids that follow from its name."""
    stream = io.BytesIO()
    undated: dict[str, Any] = {"Date": None} if form == "svg" else {"CreationDate": None, "Producer": None}
    with _style():
        matplotlib.rcParams["svg.hashsalt"] = chart.name
        chart.savefig(stream, format=form, metadata={"Creator": None, **undated})
    return stream.getvalue()


def svg(chart: Chart) -> Markup:
    """The chart as an inline SVG element with a text alternative. Equal charts give equal bytes."""
    stream = io.StringIO()
    with _style():
        matplotlib.rcParams["svg.hashsalt"] = chart.name
        chart.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = text.replace("xlink:href", "href")
    referenced = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda match: match.group() if match.group(1) in referenced else "", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    view_box = re.search(r'viewBox="([^"]+)"', text)
    assert view_box is not None  # matplotlib always writes one
    body = text[text.index(">") + 1 :].rstrip()
    opening = f'<svg class="chart" role="img" viewBox="{view_box.group(1)}" aria-label="{escape(visible(chart.alt))}">'
    return Markup(re.sub(r"\s*\n\s*", "\n", opening + body))
