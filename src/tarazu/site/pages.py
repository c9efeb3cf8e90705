"""The site's pages other than record pages: lists, Research, Verification, Benchmarks, About, search."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from markupsafe import Markup

from tarazu.assessment.assess import MONITORED
from tarazu.assessment.caps import CAPS
from tarazu.assessment.dimensions import DIMENSIONS
from tarazu.assessment.levels import LEVELS
from tarazu.assessment.review import REVIEWERS
from tarazu.errors import visible
from tarazu.languages import name_of
from tarazu.record.contracts import BenchmarkEvidence
from tarazu.site.database import Query
from tarazu.site.summary import STATUSES, TIERS, VERDICTS, Entry, Summary
from tarazu.site.templates import inline_style, render, tier_words

PER_PAGE: Final = 50
_MOST_ENTRIES: Final = 20
"""Largest number of values that the page shows for one benchmark. benchmarks.json has all of them."""
_MOST_EVIDENCE: Final = 200


@dataclass(frozen=True)
class Listing:
    """A list of records under one heading. Its pages are `name`.html, `name`-2.html and so on; its feed is
    `name`.xml."""

    name: str
    heading: str
    records: Sequence[Entry]

    @property
    def feed(self) -> str:
        return f"{self.name}.xml"

    def page(self, number: int) -> str:
        return f"{self.name}.html" if number == 1 else f"{self.name}-{number}.html"


def index_pages(records: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """The Index: the path and HTML of each of its pages."""
    yield from _listing(Listing("index", "Index", records), "index.html.j2", root="", languages=_languages(records))


def facets(records: Sequence[Entry]) -> dict[str, list[Listing]]:
    """Lists by answer, language, gate, level and tier. Empty lists are omitted."""

    def choose(name: str, heading: str, key: Callable[[Summary], object], value: object) -> Listing:
        return Listing(name, heading, [one for one in records if key(one.summary) == value])

    by_language: dict[str, list[Entry]] = {}
    for one in records:
        for code in one.summary.languages:
            by_language.setdefault(code, []).append(one)
    lists = {
        "answer": [choose(f"answer-{word}", f"Answer: {word}", attrgetter("verdict"), word) for word in VERDICTS],
        "language": [Listing(f"language-{code}", name, by_language[code]) for code, name in _languages(records)],
        "gate": [
            choose(f"gate-{status.lower()}", f"Gate: {status.lower()}", attrgetter("gate_status"), status)
            for status in STATUSES
        ],
        "level": [
            choose(f"level-{level}", f"L{level} {label}", attrgetter("verification_level"), level)
            for level, (_, label, _) in enumerate(LEVELS)
        ],
        "tier": [
            choose(f"tier-{tier.lower().replace('_', '-')}", tier_words(tier), attrgetter("quality_tier"), tier)
            for tier in TIERS
        ],
        "corrected": [choose("corrected", "Corrected records", lambda summary: summary.corrections > 0, True)],
    }
    return {kind: [one for one in listings if one.records] for kind, listings in lists.items()}


def facet_pages(listings: dict[str, list[Listing]]) -> Iterator[tuple[str, str]]:
    """The pages of all lists, in the folder by/."""
    for kind in listings.values():
        for listing in kind:
            for path, page in _listing(listing, "list.html.j2", root="../", feed=listing.feed):
                yield f"by/{path}", page


def _listing(listing: Listing, template: str, *, root: str, **more: Any) -> Iterator[tuple[str, str]]:
    count = max(1, -(-len(listing.records) // PER_PAGE))
    for number in range(1, count + 1):
        shown = listing.records[PER_PAGE * (number - 1) : PER_PAGE * number]
        page = render(
            template,
            root=root,
            current="index.html" if listing.name == "index" else "",
            heading=listing.heading,
            total=len(listing.records),
            rows=rows(shown, root),
            number=number,
            count=count,
            page_name=listing.page,
            **more,
        )
        yield listing.page(number), page


def rows(records: Sequence[Entry], root: str) -> Markup:
    """Entries of a list. They were rendered for the site's root, and their only link leads to the record's page."""
    text = "".join(one.row for one in records)
    return Markup(text.replace('<h3><a href="records/', f'<h3><a href="{root}records/') if root else text)


def research_page(listings: dict[str, list[Listing]], records: Sequence[Entry]) -> str:
    studies = Counter(one.summary.study for one in records)
    return render(
        "research.html.j2",
        current="research.html",
        facets=listings,
        studies=studies.most_common(50),
        total=len(records),
    )


def verification_page(listings: dict[str, list[Listing]], skipped: Sequence[str]) -> str:
    return render(
        "verification.html.j2",
        current="verification.html",
        facets=listings,
        skipped=skipped,
        ladder=list(enumerate(LEVELS)),
        definitions={name: definition for name, (definition, _) in DIMENSIONS.items()},
        reviewers=REVIEWERS,
        caps=CAPS,
        monitored=MONITORED,
    )


def benchmarks_page(evidence: Sequence[BenchmarkEvidence]) -> str:
    several = [one for one in evidence if one.source_coverage > 1]
    return render(
        "benchmarks.html.j2",
        current="benchmarks.html",
        several=several[:_MOST_EVIDENCE],
        more=max(0, len(several) - _MOST_EVIDENCE),
        single=len(evidence) - len(several),
        most=_MOST_ENTRIES,
    )


def about_page(total: int) -> str:
    return render("about.html.j2", current="about.html", total=total)


def compare_page() -> str:
    """The page on which a script shows two records side by side, from the data beside each record's page."""
    return render("compare.html.j2", current="compare.html")


def api_page(description: Mapping[str, Any]) -> str:
    """The query API's description (OpenAPI) for readers. It needs no script, so that it works offline."""
    operations = [
        (path, method, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    return render(
        "api.html.j2", operations=operations, schemas=description["components"]["schemas"], about=description["info"]
    )


def missing_page() -> str:
    """A page for servers that show 404.html. It can appear at any path, so it has no relative links."""
    return render("not_found.html.j2", standalone=True, **inline_style())


def search_page(query: Query | None, total: int, entries: Sequence[str], codes: Sequence[str]) -> str:
    """The search page. A server fills it with results. Otherwise a script does, and a note explains what to do
    without."""
    values = {
        "q": query.q if query else "",
        **{key: (getattr(query, key) or "") if query else "" for key in ("language", "verdict", "gate")},
    }
    return render(
        "search.html.j2",
        values=values,
        answered=query is not None,
        total=total,
        rows=Markup("".join(entries)),
        languages=[(code, name_of(code)) for code in codes],
        shown=len(entries),
    )


def index_script(records: Sequence[Entry]) -> str:
    """The data of the search in the browser. It is a script, because a page opened from a file may not fetch data."""
    entries = [
        {
            "row": one.row,
            "title": visible(one.summary.title),
            "text": " ".join(
                (
                    one.summary.srch_id,
                    one.summary.id,
                    one.summary.title,
                    one.summary.research_question,
                    one.summary.abstract[:600],
                    *one.summary.authors,
                    *one.summary.language_names,
                    one.summary.study,
                )
            ),
            "languages": one.summary.languages,
            "verdict": one.summary.verdict,
            "gate": one.summary.gate_status,
        }
        for one in records
    ]
    # Escape the text so that no parser can take it for anything but text.
    text = json.dumps(entries, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return f'"use strict";\nwindow.tarazuRecords = {text};\n'


def _languages(records: Sequence[Entry]) -> list[tuple[str, str]]:
    codes = {code for one in records for code in one.summary.languages}
    return sorted(((code, name_of(code)) for code in codes), key=lambda item: item[1])
