"""Sources of preference pairs, and the check that no evaluated prompt is trained on."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tarazu.data._parallel_set import read_parallel
from tarazu.data._sources import (
    OVER_LIMIT,
    NumberedRow,
    content_id,
    counted,
    drawn,
    hub_rows,
    human_turns,
    is_folder,
    normalised,
    resolve,
)
from tarazu.data.rows import TURN_ASSISTANT, TURN_HUMAN, Loaded, PreferencePair, Prompt, as_transcript
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES
from tarazu.readers import field, read_jsonl
from tarazu.study.schema import HHPairs, HHPrompts, JsonlPairs, PairSource, ParallelPairs

EVALUATED = "prompt is evaluated"
NEAR_EVALUATED = "near an evaluated prompt"
NEAR = 0.8
"""Texts are near-duplicates at this Jaccard similarity of their word 5-grams, or above."""


def load_pairs(settings: PairSource, *, root: Path | None, seed: int) -> Loaded[PreferencePair]:
    """The preference pairs of a source.

    Relative paths start from `root`. `limit` keeps that many, drawn by (seed, source), in the source's order.
    Raises BadInput where the source cannot be read, MissingExtra where the Hub is needed and `datasets` is not
    installed. Defects of single pairs are counted in `dropped`.
    """
    dropped: Counter[str] = Counter()
    candidates: Iterable[PreferencePair]
    if isinstance(settings, ParallelPairs):
        candidates = _parallel(settings, root)
    elif isinstance(settings, HHPairs):
        candidates = (pair for _, pair in hh_pairs(settings, root, dropped))
    else:
        candidates = _jsonl(settings, root)
    sound = list(_sound(candidates, dropped))
    rows = [sound[index] for index in drawn(len(sound), settings.limit, seed, "pairs", settings.source)]
    dropped[OVER_LIMIT] += len(sound) - len(rows)
    prompts = Counter(pair.prompt for pair in rows)
    return Loaded(
        source=settings.source,
        rows=tuple(rows),
        read=len(rows) + sum(dropped.values()),
        dropped=counted(dropped),
        notes=counted(Counter({"further pairs of a prompt": len(rows) - len(prompts)})),
    )


def _sound(pairs: Iterable[PreferencePair], dropped: Counter[str]) -> Iterator[PreferencePair]:
    """Pass on what can be learnt from; count the rest by reason."""
    seen: set[tuple[str, str, str, str | None]] = set()
    for pair in pairs:
        # Rows may be many and long: what was seen is remembered by digest.
        key = (
            content_id("", pair.prompt),
            content_id("", pair.chosen),
            content_id("", pair.rejected),
            pair.language,
        )
        if not human_turns(pair.prompt)[-1]:
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
                )


# --- HH-RLHF --------------------------------------------------------------------------------------


def hh_id(transcript: str) -> str:
    """The prompt_id of an HH-RLHF prompt: it depends on the text alone, so train and test splits agree on it."""
    return content_id("hh", transcript)


def hh_pairs(
    settings: HHPairs | HHPrompts, root: Path | None, dropped: Counter[str]
) -> Iterator[tuple[int, PreferencePair]]:
    """Numbered pairs of HH-RLHF, split at the last assistant turn; what cannot be split goes to `dropped`."""
    number = 0
    for label, rows in _hh_files(settings, root):
        for line, row in rows:
            number += 1
            chosen, rejected = (field(row, name, str, label, line) for name in ("chosen", "rejected"))
            cuts = [text.rfind(TURN_ASSISTANT) for text in (chosen, rejected)]
            if min(cuts) < 0:
                dropped["no assistant turn"] += 1
                continue
            ends = [cut + len(TURN_ASSISTANT) for cut in cuts]
            prompt = chosen[: ends[0]]
            if prompt != rejected[: ends[1]]:
                dropped["prompts differ"] += 1
            elif not prompt.startswith(TURN_HUMAN):
                dropped["no human turn first"] += 1
            else:
                yield (
                    number,
                    PreferencePair(
                        prompt_id=hh_id(prompt),
                        language="en",
                        source=settings.source,
                        prompt=prompt,
                        chosen=chosen[ends[0] :],
                        rejected=rejected[ends[1] :],
                    ),
                )


def _hh_files(settings: HHPairs | HHPrompts, root: Path | None) -> Iterator[tuple[Path | str, Iterator[NumberedRow]]]:
    if settings.path is None:
        rows = hub_rows(settings.hub, data_dir=settings.subset, split=settings.split)
        yield f"Hub dataset {settings.hub}", rows
        return
    path = resolve(settings.path, root)
    if not is_folder(path):
        yield path, read_jsonl(path)
        return
    names = [f"{joint}{settings.split}.jsonl{ending}" for joint in ("/", ".") for ending in ("", ".gz")]
    if settings.subset is None:
        files = sorted(file for name in names for file in path.glob(f"*{name}"))
    else:
        files = [file for name in names if (file := path / f"{settings.subset}{name}").is_file()]
    subset = settings.subset or "<subset>"
    if not files:
        raise BadInput(
            f"{path}: holds no {subset}/{settings.split}.jsonl.gz and no {subset}.{settings.split}.jsonl.gz; "
            "name the file, or a folder laid out as the dataset's repository"
        )
    for file in files:
        yield file, read_jsonl(file)


# --- your own -------------------------------------------------------------------------------------


def language_of(value: str, path: Path, line: int) -> str:
    """`value`, checked to be one of the 50 codes."""
    if value not in LANGUAGES:
        raise BadInput(f"{path}: line {line}: language '{value}' is not one of the 50 (`tarazu languages` lists them)")
    return value


def request_of(value: str, path: Path, line: int) -> str:
    """`value`, checked to end where the answer begins if it is a transcript."""
    if value.startswith(TURN_HUMAN) and not value.endswith(TURN_ASSISTANT):
        raise BadInput(
            f"{path}: line {line}: the prompt begins with \\n\\nHuman: and must then end with \\n\\nAssistant:; "
            "end it so, or give the request alone"
        )
    return value


def _jsonl(settings: JsonlPairs, root: Path | None) -> Iterator[PreferencePair]:
    path = resolve(settings.path, root)
    for line, row in read_jsonl(path):
        prompt = as_transcript(request_of(field(row, "prompt", str, path, line), path, line))
        given_id = field(row, "prompt_id", str, path, line) if row.get("prompt_id") is not None else None
        code = field(row, "language", str, path, line) if row.get("language") is not None else None
        chosen, rejected = (field(row, name, str, path, line) for name in ("chosen", "rejected"))
        yield PreferencePair(
            prompt_id=given_id or content_id("jsonl", prompt),
            language=None if code is None else language_of(code, path, line),
            source=settings.source,
            prompt=prompt,
            chosen=_after_colon(chosen),
            rejected=_after_colon(rejected),
        )


def _after_colon(answer: str) -> str:
    """An answer as a transcript has it: after a space."""
    return answer if answer[:1].isspace() else f" {answer}"


# --- evaluated prompts ----------------------------------------------------------------------------


def without_evaluated(
    pairs: Loaded[PreferencePair], prompts: Sequence[Prompt]
) -> tuple[Loaded[PreferencePair], dict[str, int]]:
    """`pairs` without those whose prompt is among the evaluated `prompts`, and counts of what was found.

    A pair goes where its prompt_id is that of an evaluated prompt of the same source (in any language), or where
    its prompt's text is an evaluated one's: the request, any human turn or the whole of a transcript, compared
    without case, space and punctuation. Texts at a Jaccard similarity of word 5-grams >= 0.8 (single characters
    where a script writes no spaces) stay and are counted as near.

    The counts: `evaluated` prompts compared with, pairs removed `by prompt_id` and else `by text`, pairs `near`.
    """
    ids = {(prompt.source, prompt.prompt_id) for prompt in prompts}
    texts, last_turns = _evaluated_texts(prompts)
    near = _NearTexts(texts | last_turns)
    kept: list[PreferencePair] = []
    found = Counter({"evaluated": len(prompts), "by prompt_id": 0, "by text": 0, "near": 0})
    for pair in pairs.rows:
        turns = [normalised(turn) for turn in human_turns(pair.prompt)]
        whole = normalised(_spoken(pair.prompt))
        if (pair.source, pair.prompt_id) in ids:
            found["by prompt_id"] += 1
        elif whole in texts or turns[-1] in last_turns or not texts.isdisjoint(turns):
            found["by text"] += 1
        else:
            found["near"] += near.has(whole) or (turns[-1] != whole and near.has(turns[-1]))
            kept.append(pair)
    removed = len(pairs.rows) - len(kept)
    return (
        dataclasses.replace(
            pairs,
            rows=tuple(kept),
            dropped=counted(Counter(pairs.dropped) + Counter({EVALUATED: removed})),
            notes=counted(Counter(pairs.notes) + Counter({NEAR_EVALUATED: found["near"]})),
        ),
        dict(found),
    )


def _spoken(transcript: str) -> str:
    """A transcript without the names of its turns."""
    return transcript.replace(TURN_HUMAN, "\n").replace(TURN_ASSISTANT, "\n")


def _evaluated_texts(prompts: Sequence[Prompt]) -> tuple[set[str], set[str]]:
    """Normalised texts of evaluated prompts, and the last human turns of those with several turns.

    The last turn of a longer conversation is kept apart: it is compared with last turns alone, since it may be
    a mere "yes" that many conversations contain.
    """
    texts: set[str] = set()
    last_turns: set[str] = set()
    for prompt in prompts:
        texts.add(normalised(_spoken(prompt.text)))
        turns = human_turns(prompt.text) if prompt.text.startswith(TURN_HUMAN) else []
        if len(turns) > 1:
            last_turns.add(normalised(turns[-1]))
    return texts - {""}, last_turns - {""}


# Thai and Lao, Burmese, kana, Han: written without spaces, so a character stands for a word.
_TOKENS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|"
                     r"[^\s\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")  # fmt: skip
_WORDS = 5


def _shingles(text: str) -> list[int]:
    """The word 5-grams of a normalised text as hashes, each once, ascending; a shorter text is one gram."""
    tokens = _TOKENS.findall(text)
    last = max(1, len(tokens) - _WORDS + 1)
    # Hashes order the grams and never leave the process, so that they differ between processes is no matter.
    return sorted({hash(tuple(tokens[start : start + _WORDS])) for start in range(last)})


class _NearTexts:
    """Texts indexed for "is one of them near this?".

    Sets of sizes a and b with a Jaccard similarity >= NEAR share at least ceil(NEAR * a) members, so in any fixed
    order one of the first a - ceil(NEAR * a) + 1 of either is shared: only those are looked up, and what they
    find is compared in full.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._sets: list[frozenset[int]] = []
        self._by_gram: dict[int, list[int]] = defaultdict(list)
        for text in texts:
            grams = _shingles(text)
            for gram in _prefix(grams):
                self._by_gram[gram].append(len(self._sets))
            self._sets.append(frozenset(grams))

    def has(self, text: str) -> bool:
        """Whether one of the texts is near `text` (normalised)."""
        grams = _shingles(text)
        candidates = {index for gram in _prefix(grams) for index in self._by_gram.get(gram, ())}
        return any(_jaccard(self._sets[index], grams) >= NEAR for index in candidates)


def _prefix(grams: list[int]) -> list[int]:
    # The small term keeps rounding from lifting a whole product (0.8 * 5) above itself.
    return grams[: len(grams) - math.ceil(NEAR * len(grams) - 1e-9) + 1]


def _jaccard(one: frozenset[int], other: list[int]) -> float:
    shared = len(one.intersection(other))
    return shared / (len(one) + len(other) - shared)
