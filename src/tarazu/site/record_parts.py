"""Parts of a record's page: drawings of intervals, the evidence for each claim, and citations.

The drawings are SVG made from numbers only, without any text from a record. Evidence is a file, a place in the file and
the lines around it. Citations are BibTeX and CSL JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from markupsafe import Markup

from tarazu.assessment.facts import Facts, arm_rates
from tarazu.errors import visible
from tarazu.files import Json, to_json
from tarazu.pool.model import Pool
from tarazu.pool.recorded import POOL, can_be_drawn
from tarazu.record.claims.findings import Finding
from tarazu.record.claims.pointers import Undefined, steps, value_at
from tarazu.record.contracts import Dimension
from tarazu.record.manifest import Work
from tarazu.record.model import Claim, EmpiricalClaim, Expression, MathematicalClaim
from tarazu.report.text import LATEX_ESCAPES
from tarazu.results.model import EstimateEntry, RateEntry

_AROUND: Final = 3
"""Lines shown before and after the relevant one."""
_WIDEST: Final = 200
_BRACES = {"{": r"\textbraceleft{}", "}": r"\textbraceright{}"}
_PDF: Final = (
    "Whether a reader of this PDF sees the passage was not checked: in a PDF, text can be covered, clipped or drawn as "
    "other letters. Open the document."
)
_NO_LEAN: Final = (
    "Lean has not checked this source: the gate ran without it. The claim rests on other evidence, if any."
)
_DOI = re.compile(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]+")


@dataclass(frozen=True)
class Bar:
    """A value with its interval, and its drawing."""

    name: str
    entry: RateEntry | EstimateEntry
    drawing: Markup


def interval_svg(
    value: float | None,
    low: float | None,
    high: float | None,
    least: float,
    most: float,
    band: tuple[float, float] | None,
) -> Markup:
    """A dot with its interval on a line from `least` to `most`, and optionally a band behind it. Without a value, the
    interval alone."""

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
    if value is not None:
        parts.append(f'<circle class="dot" cx="{x(value)}%" cy="9" r="4"/>')
    return Markup(f'<svg class="bar" height="18" aria-hidden="true" focusable="false">{"".join(parts)}</svg>')


def rate_bars(facts: Facts) -> list[tuple[str, list[Bar]]]:
    """Each arm's rates on a line from 0 to 100. The base arm comes first."""
    bars: dict[str, list[Bar]] = {}
    for arm, rate, entry in arm_rates(facts.results):
        if entry.value is not None:
            drawing = interval_svg(entry.value, entry.ci_low, entry.ci_high, 0, 100, None)
            bars.setdefault(arm, []).append(Bar(rate, entry, drawing))
    base = facts.results.base_arm
    return sorted(bars.items(), key=lambda item: (item[0] != base, item[0]))


def answer_bar(facts: Facts) -> Bar | None:
    """The primary estimate with its interval, and the margin as a band. None if the estimate is undefined."""
    primary = facts.results.primary
    value, low, high, margin = primary.estimate, primary.ci_low, primary.ci_high, primary.margin
    if value is None:
        return None
    reach = 1.08 * max(abs(one) for one in (value, low, high, margin, 1.0) if one is not None)
    if not math.isfinite(reach):
        return None
    band = (-margin, margin) if margin is not None and margin > 0 else None
    return Bar("answer", primary, interval_svg(value, low, high, -reach, reach, band))


def score_svg(dimension: Dimension) -> Markup:
    """A score out of ten as a bar. Empty without a score."""
    if dimension.score is None:
        return Markup("")
    return Markup(
        '<svg class="bar score" height="8" aria-hidden="true" focusable="false"><rect class="track" width="100%" '
        f'height="8"/><rect class="fill" width="{10 * dimension.score:.1f}%" height="8"/></svg>'
    )


# --- evidence for claims -------------------------------------------------------------------------


@dataclass(frozen=True)
class ClaimEvidence:
    """Evidence for a claim: a path in the record, a description of the place, its line and the lines around it; for a
    quotation, the passage between the texts before and behind it, and what was not checked."""

    path: str
    place: str
    line: int | None = None
    excerpt: tuple[tuple[int, str], ...] = ()
    context: tuple[str, str, str] | None = None
    caution: str = ""


class Lines:
    """The lines of results.json, and the line on which each value begins."""

    def __init__(self, results: Mapping[str, Any], text: str) -> None:
        self._results = results
        self._text = text
        self._lines = text.split("\n")
        self._heights: dict[int, int] = {}

    @cached_property
    def _counted(self) -> bool:
        """Whether the file has the layout for which lines are counted. In another, a line could show another value."""
        return self._text == to_json(self._results)

    def evidence(self, pointer: str) -> ClaimEvidence:
        """The value at a JSON Pointer with the lines around it, or the value alone if the file is not written as
        Tarazu writes it. Only the pointer if there is no such value."""
        try:
            value = value_at(self._results, pointer)
        except Undefined:
            return ClaimEvidence(POOL if pointer.startswith("/pool/") else "results.json", pointer)
        if not self._counted:
            alone = (
                json.dumps(value, ensure_ascii=False) if not isinstance(value, dict | list) else "an object or a list"
            )
            return ClaimEvidence("results.json", pointer, None, ((0, alone[:_WIDEST]),))
        line = self.line_of(pointer)
        first, last = max(1, line - _AROUND), min(len(self._lines), line + _AROUND)
        shown = tuple((number, self._lines[number - 1][:_WIDEST]) for number in range(first, last + 1))
        return ClaimEvidence("results.json", pointer, line, shown)

    def line_of(self, pointer: str) -> int:
        """The line, counted from 1, on which the value at `pointer` begins. The value must exist.

        The JSON must have sorted keys and a line for every value, as `files.to_json` writes it.
        """
        line = 1
        value: Any = self._results
        for step in steps(pointer):
            line += 1
            if isinstance(value, dict):
                line += sum(self._height(value[key]) for key in value if key < step)
                value = value[step]
            else:
                line += sum(self._height(item) for item in value[: int(step)])
                value = value[int(step)]
        return line

    def _height(self, value: Any) -> int:
        """The number of lines of a value. Containers are counted only once."""
        if not isinstance(value, dict | list) or not value:
            return 1
        known = self._heights.get(id(value))
        if known is None:
            inner = value.values() if isinstance(value, dict) else value
            known = self._heights[id(value)] = 2 + sum(map(self._height, inner))
        return known


def evidence_of(claim: Claim, lines: Lines | None, finding: Finding | None = None) -> list[ClaimEvidence]:
    """The evidence for `claim`. `lines` are those of results.json; None if they are not shown. `finding` is the gate's,
    if it has run."""
    if isinstance(claim, EmpiricalClaim):
        if isinstance(claim.check, Expression):
            return [ClaimEvidence("results.json", claim.check.expression)]
        return [lines.evidence(claim.check.pointer) if lines else ClaimEvidence("results.json", claim.check.pointer)]
    if isinstance(claim, MathematicalClaim):
        evidence = []
        if claim.lean is not None:
            checked = finding is not None and "lean" in finding.by
            place = f"theorem {claim.lean.theorem} : {claim.lean.type}"
            evidence.append(ClaimEvidence(claim.lean.source, place, caution="" if checked else _NO_LEAN))
        if claim.smt is not None:
            values = "; ".join(f"{one.name} = {one.value:.12g}, {one.pointer}" for one in claim.smt.values)
            given = f" where {values}" if values else ""
            evidence.append(ClaimEvidence(claim.smt.source, f"unsatisfiable: {claim.smt.negation}{given}"))
        return evidence
    section = f"section “{claim.section}”" if claim.section else "the document"
    score = f", similarity {claim.score:g} % at the build" if claim.score is not None else ""
    context = finding.context if finding is not None else None
    caution = _PDF if claim.source.lower().endswith(".pdf") else ""
    return [ClaimEvidence(claim.source, section + score, None, ((0, claim.quote),), context, caution)]


def check_of(claim: Claim) -> str:
    """What the gate checks of `claim`, to be read beside its words; empty where the evidence shows it."""
    if not isinstance(claim, EmpiricalClaim):
        return ""
    if isinstance(claim.check, Expression):
        return claim.check.expression
    value = claim.check.value
    shown = f"{value:.12g}" if isinstance(value, float) and not isinstance(value, bool) else str(value)
    return f"{claim.check.pointer} = {shown}{f' {claim.check.unit}' if claim.check.unit else ''}"


# --- citations -----------------------------------------------------------------------------------


def known_doi(doi: str | None) -> str | None:
    """The DOI, if it is valid."""
    return doi if doi is not None and _DOI.fullmatch(doi) else None


def bibtex(work: Work, doi: str | None, url: str | None) -> str:
    """A BibTeX entry in UTF-8, with TeX's special characters escaped."""
    authors = " and ".join(map(_tex_author, work.authors))
    fields = {
        "author": authors or "{anonymous}",
        "title": f"{{{_tex(work.title)}}}",
        "year": work.submitted[:4],
        "month": str(int(work.submitted[5:7])),
        "note": _tex(f"Record SRCH {work.srch_id}, urn:uuid:{work.id}"),
        "doi": known_doi(doi),
        "url": url,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{srch{work.srch_id.lower()},", *lines, "}"]) + "\n"


def csl(work: Work, doi: str | None, url: str | None) -> Mapping[str, Json]:
    """A CSL JSON item."""
    year, month, day = (int(part) for part in work.submitted.split("-"))
    item: dict[str, Json] = {
        "id": f"srch{work.srch_id.lower()}",
        "type": "dataset",
        "title": visible(work.title),
        "author": [_person(name) for name in work.authors] or [{"literal": "anonymous"}],
        "issued": {"date-parts": [[year, month, day]]},
        "abstract": visible(work.abstract),
        "number": f"SRCH {work.srch_id}",
    }
    if known_doi(doi):
        item["DOI"] = doi
    if url:
        item["URL"] = url
    return item


def citation_sentence(work: Work, doi: str | None) -> str:
    """A citation as a sentence."""
    end = f" https://doi.org/{known_doi(doi)}" if known_doi(doi) else f" urn:uuid:{work.id}"
    title = work.title.rstrip(".")
    return f"{'; '.join(work.authors) or 'Anonymous'} ({work.submitted[:4]}). {title}. Record SRCH {work.srch_id}.{end}"


def _person(name: str) -> dict[str, str]:
    family, comma, given = visible(name).partition(",")
    return {"family": family.strip(), "given": given.strip()} if comma else {"literal": family.strip()}


def _tex_author(name: str) -> str:
    """A name as BibTeX reads it: 'Family, Given', or one name in braces. BibTeX separates names at the word `and`."""
    parts = [re.sub(r"(?i)(?<!\S)and(?!\S)", r"{\g<0>}", _tex(part)) for part in name.split(",")]
    return ", ".join(parts) if len(parts) == 2 and all(parts) else f"{{{_tex(name)}}}"


def _tex(text: str) -> str:
    """Text for a BibTeX field in braces. Whatever it holds, the field ends where it should."""
    shown = " ".join(visible(text).split())
    # BibTeX counts braces even where a backslash stands before them.
    special = LATEX_ESCAPES if _is_balanced(shown) else LATEX_ESCAPES | _BRACES
    return "".join(special.get(letter, letter) for letter in shown)


def _is_balanced(text: str) -> bool:
    depth = 0
    for letter in text:
        depth += (letter == "{") - (letter == "}")
        if depth < 0:
            return False
    return depth == 0


@dataclass(frozen=True)
class ForestRow:
    """A line of the forest plot: D of a run with its weight in percent, the pooled D, or that of a further model."""

    name: str
    estimate: float | None
    low: float
    high: float
    weight: float | None
    drawing: Markup


def forest_of(pool: Pool | None) -> list[ForestRow]:
    """The forest plot of a record's pooled runs; empty if it has none, or a plot cannot show its numbers."""
    if pool is None or not can_be_drawn(pool):
        return []
    mean, spread = pool.pooled, pool.heterogeneity
    rows = [(run.name, run.estimate, run.ci_low, run.ci_high, run.weight) for run in pool.runs]
    lines: list[tuple[str, float | None, float, float, float | None]] = [
        *rows,
        ("pooled", mean.estimate, mean.ci_low, mean.ci_high, None),
    ]
    if spread.prediction_low is not None and spread.prediction_high is not None:
        lines.append(("a further model", None, spread.prediction_low, spread.prediction_high, None))
    reach = 1.08 * max(1.0, abs(mean.margin), *(max(abs(low), abs(high)) for _, _, low, high, _ in lines))
    band = (-mean.margin, mean.margin) if mean.margin > 0 else None
    return [
        ForestRow(name, value, low, high, weight, interval_svg(value, low, high, -reach, reach, band))
        for name, value, low, high, weight in lines
    ]
