"""Sources of preference pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tarazu.data._hh import hh_pairs
from tarazu.data._mix import AGAIN, mixed
from tarazu.data._own_pairs import own_pairs
from tarazu.data._parallel_set import read_parallel
from tarazu.data._sources import OVER_LIMIT, content_id, counted, drawn, resolve, user_turns
from tarazu.data.prompts import load_known_answers
from tarazu.data.rows import Loaded, PreferencePair, Turn, as_transcript, turns_of
from tarazu.languages import LANGUAGES
from tarazu.study.sources import HHPairs, KnownAnswerPairs, MixPairs, OnePairSource, PairSource, ParallelPairs


def load_pairs(settings: PairSource, *, root: Path | None, seed: int) -> Loaded[PreferencePair]:
    """The preference pairs of a source, or of a mix of several.

    Relative paths start from `root`. `limit` keeps a sample drawn by (seed, source), in the source's order. Raises
    BadInput if the source cannot be read, and MissingExtra if it needs the Hub and `datasets` is not installed. Defects
    of single pairs are counted in `dropped`.
    """
    dropped: Counter[str] = Counter()
    if not isinstance(settings, MixPairs):
        rows = _one(settings, root, seed, dropped)
        return _loaded(settings.source, rows, dropped, again=0)
    parts = [pair for part in settings.parts for pair in _one(part, root, seed, dropped)]
    # A pair that occurs in two parts is used once.
    rows, again = mixed(list(_usable(parts, dropped)), settings, seed, dropped)
    return _loaded(settings.source, rows, dropped, again)


def _loaded(source: str, rows: list[PreferencePair], dropped: Counter[str], again: int) -> Loaded[PreferencePair]:
    further = len(rows) - again - len({pair.prompt for pair in rows})
    return Loaded(
        source=source,
        rows=tuple(rows),
        read=len(rows) - again + sum(dropped.values()),
        dropped=counted(dropped),
        notes=counted(Counter({"more pairs of the same prompt": further, AGAIN: again})),
    )


def _one(settings: OnePairSource, root: Path | None, seed: int, dropped: Counter[str]) -> list[PreferencePair]:
    """The usable pairs of one source, within its limit. Others are counted in `dropped`."""
    candidates: Iterable[PreferencePair]
    if isinstance(settings, ParallelPairs):
        candidates = _parallel(settings, root)
    elif isinstance(settings, HHPairs):
        candidates = (pair for _, pair in hh_pairs(settings, root, dropped))
    elif isinstance(settings, KnownAnswerPairs):
        candidates = _known_answers(settings, root, seed, dropped)
    else:
        candidates = own_pairs(settings, root, dropped)
    usable = list(_usable(candidates, dropped))
    rows = [usable[index] for index in drawn(len(usable), settings.limit, seed, "pairs", settings.source)]
    dropped[OVER_LIMIT] += len(usable) - len(rows)
    return rows


def _usable(pairs: Iterable[PreferencePair], dropped: Counter[str]) -> Iterator[PreferencePair]:
    """The pairs that can be trained on. Others are counted by reason."""
    seen: set[tuple[str, str, str, str | None]] = set()
    for pair in pairs:
        # Rows may be many and long, so only their digests are remembered.
        key = (
            content_id("", pair.prompt),
            content_id("", pair.chosen),
            content_id("", pair.rejected),
            pair.language,
        )
        if not user_turns(pair.prompt, pair.turns)[-1]:
            dropped["empty prompt"] += 1
        elif not pair.chosen.strip():
            dropped["empty chosen"] += 1
        elif not pair.rejected.strip():
            dropped["empty rejected"] += 1
        elif pair.chosen.strip() == pair.rejected.strip():
            dropped["chosen equals rejected"] += 1
        elif key in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(key)
            yield pair


def _parallel(settings: ParallelPairs, root: Path | None) -> Iterator[PreferencePair]:
    folder = None if settings.path is None else resolve(settings.path, root)
    for code, rows in read_parallel(folder).items():
        for row in rows:
            if row.split == "train":
                yield PreferencePair(
                    prompt_id=row.id,
                    language=code,
                    source=settings.source,
                    prompt=as_transcript(row.prompt),
                    chosen=f" {row.good}",
                    rejected=f" {row.bad}",
                    turns=(Turn("user", row.prompt),),
                )


def _known_answers(
    settings: KnownAnswerPairs, root: Path | None, seed: int, dropped: Counter[str]
) -> Iterator[PreferencePair]:
    known = load_known_answers(settings.answers, settings.kind, languages=LANGUAGES, root=root, seed=seed)
    dropped.update(known.dropped)
    for row in known.rows:
        # Keep the prompts' own source, so that evaluated prompts of it are recognised by their id.
        yield PreferencePair(
            prompt_id=row.prompt_id,
            language=row.language,
            source=row.source,
            prompt=as_transcript(row.prompt),
            chosen=f" {row.good.strip()}",
            rejected=f" {row.bad.strip()}",
            turns=turns_of(row.prompt),
        )
