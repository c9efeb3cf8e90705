"""`tarazu site build`: turn a folder of records into static files, for any web server or none."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from glob import escape
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

from tarazu.errors import BadInput, one_line
from tarazu.files import naming_refused_writes, to_json
from tarazu.record.attestation.collected import TrustedSigner
from tarazu.record.ceilings import LARGEST_MIB
from tarazu.record.extra import require_records_extra
from tarazu.record.schemas import check_schema
from tarazu.site import pages
from tarazu.site.benchmarks import benchmark_evidence
from tarazu.site.database import DATABASE, write_database
from tarazu.site.feeds import feeds
from tarazu.site.incremental.refresh import Outcome, Settings, refresh
from tarazu.site.incremental.replace import replace_site
from tarazu.site.incremental.state import Known, Rebuilt, State, open_state
from tarazu.site.pools import pool_pages, pooled_in, pools_of, with_pooled_in
from tarazu.site.publish import RECORDS
from tarazu.site.summary import Entry
from tarazu.site.templates import api_description, asset, environment, style

MARK: Final = "site.json"
_SCHEMA: Final = "tarazu/site/v2"
_FEW: Final = 20
"""Number of records from which several processes are faster than one."""
_NAMED: Final = 3
"""Number of other records with the same id that a message names."""
_BATCH: Final = 512
"""Number of records that wait for their turn, so that memory does not grow with the number of all."""
Task: TypeAlias = tuple[Path, Known | None]


@dataclass(frozen=True)
class Built:
    """The number of records of the site and of those that were built now, the number of other files that were written,
    and one line for each folder that was skipped."""

    records: int
    rebuilt: int
    written: int
    skipped: tuple[str, ...]


def build_site(
    records: Path,
    out: Path,
    *,
    url: str | None = None,
    size_mib: int = LARGEST_MIB,
    trusted: Sequence[TrustedSigner] = (),
) -> Built:
    """Write a site of all records below `records` to `out`, or bring the site there up to date.

    Only records that changed since the last build are built, and only files that differ are written. The site is the
    one that a build from nothing gives: the same records give the same bytes. A folder that is not a readable record,
    or whose files have more than `size_mib`, is skipped and named. `url` is the address of the future site, for the
    feed and the citations. `trusted` are the signers of attestations that the site's owner knows. Raises BadInput,
    MissingExtra.
    """
    require_records_extra()
    folders = _folders(records, out)
    _check_output_folder(out)
    settings = Settings(url, size_mib, tuple(trusted))
    with naming_refused_writes(out), open_state(out, settings.digest()) as state, _scratch(out) as scratch:
        new = scratch / "site"
        new.mkdir()
        new.chmod(0o755)
        rebuilt, messages = _refresh_all(folders, state, partial(refresh, site=out, new=new, settings=settings))
        skipped = tuple(one_line(message) for message in messages)
        entries = list(state.entries())
        pools = pools_of([(one.summary, two) for one, two in zip(entries, state.poolings(), strict=True) if two])
        _link_members(pooled_in(pools), state, out, new)
        for path, text in chain(_files(entries, state, skipped, url), pool_pages(pools)):
            place = new / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8", newline="\n")
        write_database(new / DATABASE, zip(entries, state.words(), strict=True))
        written = replace_site(new, out, state.places(), scratch / "old")
        state.placed()
    return Built(records=len(entries), rebuilt=rebuilt, written=written, skipped=skipped)


def _link_members(texts: Mapping[str, str], state: State, out: Path, new: Path) -> None:
    """Say on the page of each record what it is pooled in. A page changes only if that has changed."""
    places = state.places()
    for srch_id, said in state.pooled().items():
        text = texts.get(srch_id, "")
        if text == said:
            continue
        name = places[srch_id]
        place = new / RECORDS / (name or f"linked-{srch_id}")
        if name is None:
            shutil.copytree(out / RECORDS / srch_id, place)
        page = place / "index.html"
        linked = with_pooled_in(page.read_text(encoding="utf-8"), text)
        page.write_text(linked, encoding="utf-8", newline="\n")
        state.link(srch_id, text, place)


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A new folder beside the site. What a killed build left is removed."""
    for left in out.parent.glob(f".{escape(out.name)}.*.partial"):
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refresh_all(
    folders: Sequence[Path], state: State, refresh_one: Callable[[Task], Outcome]
) -> tuple[int, list[str]]:
    """Bring the state up to date with all folders. Returns the number of records that were built, and a message for
    each that is skipped.

    No record takes the page of another: of several records with the same SRCH id, none has a page, and all are named.
    """
    known = state.known()
    by_name = {folder.name: folder for folder in folders}
    messages, rebuilt = [], set()
    tasks = [(folder, known.get(folder.name)) for folder in folders]
    for folder, outcome in zip(folders, _outcomes(tasks, refresh_one), strict=True):
        if isinstance(outcome, str):
            messages.append(outcome)
            state.drop([folder.name])
        elif isinstance(outcome, Rebuilt):
            state.put(folder.name, outcome)
            rebuilt.add(folder.name)
        else:
            state.keep(folder.name, outcome.source)
    state.drop(known.keys() - by_name.keys())
    for srch_id, names in state.clashes():
        for name in names:
            alike = [str(by_name[other]) for other in names if other != name]
            more = f" and {len(alike) - _NAMED} more" if len(alike) > _NAMED else ""
            others = ", ".join(alike[:_NAMED]) + more
            messages.append(f"{by_name[name]}: another record has the SRCH id {srch_id}: {others}; keep one of them")
        state.drop(names)
        rebuilt -= set(names)
    return len(rebuilt), messages


def _folders(records: Path, out: Path) -> list[Path]:
    if not records.is_dir():
        raise BadInput(f"{records}: no such folder; name a folder that contains records, each in its own folder")
    resolved = out.resolve()
    folders = [
        folder
        for folder in sorted(records.iterdir())
        if folder.is_dir() and not folder.name.startswith(".") and folder.resolve() != resolved
    ]
    if not folders:
        raise BadInput(f"{records}: contains no folders; name a folder that contains records, each in its own folder")
    if any(resolved.is_relative_to(folder.resolve()) for folder in folders) or records.resolve().is_relative_to(
        resolved
    ):
        raise BadInput(f"--out {out}: is inside a record or contains the records; choose another folder")
    return folders


def _check_output_folder(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadInput(f"--out {out}: is a file or a link; choose another")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise BadInput(
            f"--out {out}: contains files that are not a Tarazu site; choose another folder, or empty it first"
        )


def _outcomes(tasks: Sequence[Task], refresh_one: Callable[[Task], Outcome]) -> Iterator[Outcome]:
    """The outcome of each task, in their order."""
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    done = 0
    if len(tasks) >= _FEW and processes > 1:
        environment().get_template("record.html.j2")  # compile it once, before the processes start
        # Records create many small objects and hardly any cycles. Collecting those took an eighth of the time.
        try:
            with ProcessPoolExecutor(processes, initializer=gc.set_threshold, initargs=(100_000,)) as pool:
                for start in range(0, len(tasks), _BATCH):
                    for outcome in pool.map(refresh_one, tasks[start : start + _BATCH], chunksize=8):
                        yield outcome
                        done += 1
            return
        except BrokenProcessPool:
            # The system ended a process, as it does where memory is short. With one for each, the record is known.
            for task in tasks[done:]:
                yield _alone(task, refresh_one)
            return
    yield from map(refresh_one, tasks)


def _alone(task: Task, refresh_one: Callable[[Task], Outcome]) -> Outcome:
    try:
        with ProcessPoolExecutor(1) as pool:
            return pool.submit(refresh_one, task).result()
    except BrokenProcessPool:
        return f"{task[0]}: cannot be published: the system ended the process that read it"


def _files(
    records: Sequence[Entry], state: State, skipped: Sequence[str], url: str | None
) -> Iterator[tuple[str, str]]:
    """Every file of the site except the records' own files and the database."""
    listings = pages.facets(records)
    evidence = benchmark_evidence(state.reported())
    dumped = [one.model_dump(mode="json") for one in evidence]
    for one in dumped:
        check_schema(one, "benchmark-evidence-v1", "benchmarks.json")
    codes = sorted({code for one in records for code in one.summary.languages})
    yield from pages.index_pages(records)
    yield from pages.facet_pages(listings)
    yield "research.html", pages.research_page(listings, records)
    yield "verification.html", pages.verification_page(listings, skipped)
    yield "benchmarks.html", pages.benchmarks_page(evidence)
    yield "about.html", pages.about_page(len(records))
    yield "search.html", pages.search_page(None, len(records), (), codes)
    yield "404.html", pages.missing_page()
    yield from feeds(records, listings, url)
    yield "benchmarks.json", to_json(dumped)
    summaries = [one.summary.model_dump(mode="json") for one in records]
    yield "index.json", to_json({"count": len(records), "records": summaries})
    yield "openapi.json", api_description()
    yield "api.html", pages.api_page(json.loads(api_description()))
    yield "style.css", style()
    yield "compare.html", pages.compare_page()
    yield "site.js", asset("site.js")
    yield "compare.js", asset("compare.js")
    yield "records.js", pages.index_script(records)
    yield MARK, to_json({"schema": _SCHEMA, "records": len(records), "skipped": list(skipped)})
