"""Records that pool several runs: a page for each pool, and on the page of each member what it is pooled in.

A record is a member if its results.json is, byte for byte, that of a pooled run. Only records whose files are as their
manifests list them take part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup
from pydantic import BaseModel, ConfigDict

from tarazu.assessment.facts import Facts
from tarazu.pool.model import Pool, PooledRun
from tarazu.pool.recorded import other_runs, run_folder
from tarazu.record.reading import RESULTS
from tarazu.site.record_parts import forest_of
from tarazu.site.summary import Summary
from tarazu.site.templates import environment, render

BEGIN: Final = "<!-- pooled in: -->"
END: Final = "<!-- end -->"
"""Text of a record is escaped, so its page has each of these once."""
_MOST_POOLS: Final = 20
"""Number of pools that a member's page lists."""
_MOST_MEMBERS: Final = 10
"""Number of records that a pool's page lists for one run."""


class Pooling(BaseModel):
    """What connects a record with pools: the digest of its results, and if it has a pool, those of the pooled runs."""

    model_config = ConfigDict(frozen=True)

    results: str
    pool: Pool | None
    runs: tuple[str, ...]


def pooling_of(facts: Facts) -> Pooling | None:
    """None if the record's files are not as its manifest lists them, or a re-run did not give its results."""
    if facts.defects or facts.unmade:
        return None
    digests = {artifact.path: artifact.sha256 for artifact in facts.record.manifest.artifacts}
    own, pool = digests.get(RESULTS), facts.record.pool
    if own is None:
        return None
    others = [] if pool is None else [digests.get(f"{run_folder(one)}/{RESULTS}", "") for one in other_runs(pool)]
    return Pooling(results=own, pool=pool, runs=() if pool is None else (own, *others))


@dataclass(frozen=True)
class Member:
    """A pooled run, with the records of the site that have its results."""

    run: PooledRun
    records: Sequence[Summary]


@dataclass(frozen=True)
class PoolPage:
    """A record with a pool, and its members."""

    summary: Summary
    pool: Pool
    members: Sequence[Member]

    @property
    def path(self) -> str:
        return f"pools/{self.summary.srch_id}.html"


def pools_of(records: Sequence[tuple[Summary, Pooling]]) -> list[PoolPage]:
    """The pools among the records, in their order."""
    by_results: dict[str, list[Summary]] = {}
    for summary, pooling in records:
        if pooling.pool is None:
            by_results.setdefault(pooling.results, []).append(summary)
    return [
        PoolPage(
            summary,
            pooling.pool,
            [
                Member(run, by_results.get(results, [])[:_MOST_MEMBERS])
                for run, results in zip(pooling.pool.runs, pooling.runs, strict=True)
            ],
        )
        for summary, pooling in records
        if pooling.pool is not None
    ]


def pool_pages(pools: Sequence[PoolPage]) -> Iterator[tuple[str, str]]:
    """The list of pools, and a page for each."""
    yield "pools.html", render("pools.html.j2", pools=pools)
    for one in pools:
        page = render(
            "pool.html.j2",
            root="../",
            one=one,
            pool=one.pool,
            forest=forest_of(one.pool),
            mean=one.pool.pooled,
            spread=one.pool.heterogeneity,
        )
        yield one.path, page


def pooled_in(pools: Sequence[PoolPage]) -> dict[str, str]:
    """By SRCH id, what the page of each member says of the pools that it is in, as HTML."""
    by_record: dict[str, list[tuple[PoolPage, PooledRun]]] = {}
    for one in pools:
        for member in one.members:
            for summary in member.records:
                by_record.setdefault(summary.srch_id, []).append((one, member.run))
    template = environment().get_template("pooled_in.html.j2")
    return {srch_id: template.render(pools=some[:_MOST_POOLS]) for srch_id, some in by_record.items()}


def with_pooled_in(page: str, text: str) -> str:
    """The page of a record with `text` as what it is pooled in."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{Markup(text)}{END}{after}"
