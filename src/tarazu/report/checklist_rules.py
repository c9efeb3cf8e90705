"""What results and the files beside them say to each point of a checklist.

Only data counts: a point that nothing but an author's word supports is met in part at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tarazu.data.prompts import PEOPLE_WROTE_OR_REVIEWED, REVIEWED
from tarazu.data.rows import KINDS
from tarazu.report.text import interval, number
from tarazu.results.model import EstimateEntry, Results
from tarazu.results.quantity import quantity_of
from tarazu.results.words import p_words

Answer = Literal["met", "partly", "not met", "does not apply"]
Said = tuple[Answer, str]
"""An answer and its evidence."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """What lies beside the results.

    `prompts` says whether the table of scores has the prompts' texts, and is None where nobody looked. `settings` are
    those of the study that made the responses, and `versions` those of the software."""

    scores: bool
    prompts: bool | None = None
    settings: Mapping[str, Any] | None = None
    versions: Mapping[str, Any]
    hardware: bool = False


def representative(results: Results, files: Files) -> Said:
    kinds = quantity_of(results.primary).rates
    counts = {
        code: {rates.rate(rate).n for rate in kinds}
        for code, rates in results.arms[results.primary_arm].languages.items()
    }
    lacking = sum(0 in own for own in counts.values())
    numbers = {n for own in counts.values() for n in own if n}
    if not counts or lacking:
        return "not met", f"{lacking} of {len(counts)} languages lack prompts of a kind."
    spread = f"{min(numbers)} to {max(numbers)}" if len(numbers) > 1 else f"{min(numbers)}"
    return "partly", (
        f"Each of {len(counts)} languages has {spread} responses per rate and arm. Whether these prompts represent the "
        "language cannot be computed."
    )


def _sources(results: Results) -> tuple[set[str], set[str]]:
    """The names of the prompts' sources: those that people wrote, translated or corrected, as their publishers say or a
    row names the reviewer of each prompt, and the others."""
    read = (results.data or {}).get("prompts")
    accounts = [one for one in (read if isinstance(read, list) else ()) if isinstance(one, dict)]
    people: set[str] = set()
    others: set[str] = set()
    for one in accounts:
        notes = one.get("notes")
        reviewed = notes.get(REVIEWED) if isinstance(notes, dict) else None
        name = str(one.get("source"))
        by_people = name in PEOPLE_WROTE_OR_REVIEWED or (reviewed is not None and reviewed == one.get("kept"))
        (people if by_people else others).add(name)
    return people - others, others


_UNKNOWN_SOURCES = "The results do not say where the prompts come from."


def curated(results: Results, files: Files) -> Said:
    people, others = _sources(results)
    if not people and not others:
        return "not met", _UNKNOWN_SOURCES
    if not others:
        return "met", f"People wrote, translated or corrected the prompts of {_and(people)}, by source or by row."
    text = f"No native speaker is known to have written or reviewed the prompts of {_and(others)}."
    return ("partly" if people else "not met"), text


def generated(results: Results, files: Files) -> Said:
    people, others = _sources(results)
    if people and not others:
        return "does not apply", f"People wrote, translated or corrected the prompts of {_and(people)}."
    about = f"the prompts of {_and(others)}" if others else "the prompts"
    return "not met", f"No analysis of biases in {about} is among the results."


def translated(results: Results, files: Files) -> Said:
    people, others = _sources(results)
    if people and not others:
        return "partly", f"People wrote, translated or corrected the prompts of {_and(people)}; no quality is reported."
    return (
        "not met",
        f"{'' if others else _UNKNOWN_SOURCES + ' '}No estimate of translation quality is among the results.",
    )


def metrics(results: Results, files: Files) -> Said:
    kinds = quantity_of(results.primary).kinds
    codes = [code for code in results.arms[results.primary_arm].languages if code in results.validity.languages]
    states = [results.validity.languages[code].of(kind).status for code in codes for kind in kinds]
    trusted, tested = states.count("trusted"), len(states) - states.count("unassessed")
    if not tested:
        return "not met", "The judge was not tested in these languages: there are no known answers."
    text = f"The judge is trusted in {trusted} of {len(states)} pairs of language and prompt kind ({tested} tested)."
    return ("met" if trusted == len(states) else "partly" if trusted else "not met"), text


def significance(results: Results, files: Files) -> Said:
    primary, quantity = results.primary, quantity_of(results.primary)
    changes = [own.change(quantity.name) for own in results.arms[results.primary_arm].languages.values()]
    defined = sum(one is not None and one.ci_low is not None for one in changes)
    if primary.p is None:
        return ("partly" if defined else "not met"), (
            f"D has no test: {primary.reason}. {defined} of {len(changes)} languages have an interval of the "
            f"{quantity.title}."
        )
    text = f"D has a two-sided test (p {p_words(primary.p)}); the secondary estimates are one Holm family. "
    text += f"{defined} of {len(changes)} languages have an interval of the {quantity.title}."
    return ("met" if defined == len(changes) else "partly"), text


def power(results: Results, files: Files) -> Said:
    primary = results.primary
    if primary.mde is None:
        return "not met", f"Power is not known: {primary.reason or 'D has no interval'}."
    return "met", f"These data detect {number(primary.mde)} points with 80 % power."


def sampling(results: Results, files: Files) -> Said:
    generation = (files.settings or {}).get("generation")
    if not isinstance(generation, Mapping):
        return "not met", "How the responses were decoded is not known."
    samples = generation.get("samples")
    if not generation.get("sampling"):
        return "does not apply", "Decoding was greedy."
    if isinstance(samples, int) and samples > 1:
        return (
            "met",
            f"There are {samples} samples of each response, and intervals treat those of a prompt as a cluster.",
        )
    return "not met", "Decoding was stochastic, with one sample of each response."


def outliers(results: Results, files: Files) -> Said:
    influence = results.tradeoff.influence
    if influence is None or influence.lowest is None:
        return "not met", "D has no interval, so the influence of single languages is not known."
    text = f"Without any one language D is between {number(influence.lowest)} and {number(influence.highest)} points"
    if not influence.hinges_on:
        return "met", f"{text}, and the verdict is the same."
    return "partly", f"{text}; without {len(influence.hinges_on)} of the languages the verdict would be another."


def support_considered(results: Results, files: Files) -> Said:
    primary = results.primary
    counts = f"{primary.n_high} high- and {primary.n_low} low-resource languages"
    if primary.n_high and primary.n_low:
        return "met", f"Means are compared between {counts}, with equal weight for every language."
    return "not met", f"There are {counts}, so groups are not compared."


def support_documented(results: Results, files: Files) -> Said:
    own = results.arms[results.primary_arm].languages
    grouped = [code for code in own if code in results.groups.by_language()]
    text = f"{len(grouped)} of {len(own)} languages are in a resource group, which every table shows."
    return ("met" if own and len(grouped) == len(own) else "partly" if grouped else "not met"), text


def by_language(results: Results, files: Files) -> Said:
    rates = [
        own.rate(rate)
        for arm in results.arms.values()
        for own in arm.languages.values()
        for rate in quantity_of(results.primary).rates
    ]
    defined = sum(rate.value is not None for rate in rates)
    text = f"{defined} of {len(rates)} rates (arm, language, kind) have a value with its interval and n."
    return ("met" if rates and defined == len(rates) else "partly" if defined else "not met"), text


def _with_text(results: Results) -> tuple[int, int]:
    """Responses whose text was read, and all."""
    total = sum(arm.rate(rate).n for arm in results.arms.values() for rate in quantity_of(results.primary).rates)
    read = sum(own.kinds[kind].empty.n for own in results.health.arms.values() for kind in KINDS if kind in own.kinds)
    return min(read, total), total


def qualitative(results: Results, files: Files) -> Said:
    read, total = _with_text(results)
    if not read:
        return "not met", "No responses are among the files."
    return "partly", (
        f"The report shows responses of all arms side by side ({read} of {total} have a text), and counts those that "
        "are empty, looping or refusing. No person's analysis of errors is among the results."
    )


def meaningful(results: Results, files: Files) -> Said:
    verdict, tradeoff = results.primary.verdict, results.tradeoff
    if verdict is None:
        return "not met", "There is no verdict to check."
    rows = {name: tradeoff.check(name) for name in ("non_degenerate", "untruncated", "corrected")}
    made = {name: row for name, row in rows.items() if row is not None and _defined(row)}
    changed = [name.replace("_", "-") for name, row in made.items() if row.verdict != verdict]
    ruler = results.ruler.status.replace("_", " ")
    text = f"The ruler is {ruler}; {len(made)} of {len(rows)} checks for artifacts were made"
    if changed or results.ruler.status == "not_comparable":
        return "not met", f"{text}" + (f", and the verdict changes in: {', '.join(changed)}." if changed else ".")
    done = results.ruler.status == "comparable" and len(made) == len(rows)
    return ("met" if done else "partly"), f"{text}, and none changes the verdict."


def _defined(row: EstimateEntry) -> bool:
    return row.estimate is not None and row.ci_low is not None


def pipeline(results: Results, files: Files) -> Said:
    version = files.versions.get("tarazu")
    if results.data is not None and version:
        return "met", f"Tarazu {version} generated, judged and analyzed the responses."
    return "partly", "Tarazu analyzed the scores; where the responses were generated and judged is not known."


def code_released(results: Results, files: Files) -> Said:
    version = files.versions.get("tarazu")
    if not version:
        return "not met", "The version of Tarazu is not recorded."
    if results.data is None:
        return "partly", f"The analysis is Tarazu {version}'s, which is open source; the rest of the code is not known."
    return "met", f"Tarazu {version} is open source (Apache-2.0)."


def prompts_published(results: Results, files: Files) -> Said:
    generation = (files.settings or {}).get("generation")
    shape = generation.get("prompt_format") if isinstance(generation, Mapping) else None
    if files.prompts is None and files.scores:
        return "partly", "Whether the table of scores has the prompts' texts was not looked up for this page."
    if not files.prompts:
        return "not met", "The prompts' texts are not in the table of scores."
    if shape:
        return "met", f"The table of scores has every prompt; the format is {shape}."
    return "partly", "The table of scores has the prompts; their format is not known."


def outputs_released(results: Results, files: Files) -> Said:
    read, total = _with_text(results)
    if read and not files.scores:
        return "not met", f"{read} of {total} responses had a text, and the table of scores is not among the files."
    text = f"{read} of {total} responses have their text in the table of scores."
    return ("met" if total and read == total else "partly" if read else "not met"), text


def scores_released(results: Results, files: Files) -> Said:
    _, total = _with_text(results)
    if files.scores:
        return "met", f"The table of scores is among the files; the results count {total} responses."
    return "not met", "The table of scores is not among the files."


def hyperparameters(results: Results, files: Files) -> Said:
    cuts = (
        f"harmless at {number(results.thresholds.harmless, 2)}, helpful above {number(results.thresholds.helpful, 2)}"
    )
    if files.settings and "reward" in files.settings:
        return "met", f"The study has the judges and their settings; thresholds: {cuts}."
    return "partly", f"Thresholds: {cuts}. The judge is not known."


def model_versions(results: Results, files: Files) -> Said:
    named = list(_checkpoints(files.settings or {}))
    if not named:
        return "not met", "Which checkpoints gave the responses is not known."
    loose = [path for path, revision in named if not revision and not path.startswith("builtin:")]
    if loose:
        return "partly", f"Without a revision or digest: {_and(set(loose))}."
    words = {
        f"{path} at revision {revision}" if revision else f"{path} of this version of Tarazu"
        for path, revision in named
    }
    return "met", f"The arms start from {_and(words)}."


def _checkpoints(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The checkpoints that a study names, each with its revision, or nothing."""
    arms = settings.get("arms")
    every = [settings.get("model"), *(arms.values() if isinstance(arms, Mapping) else ())]
    for one in every:
        path = (one.get("path") or one.get("from")) if isinstance(one, Mapping) else None
        if path and not (isinstance(arms, Mapping) and path in arms):
            yield str(path), str(one.get("revision") or "")


def human_evaluation(results: Results, files: Files) -> Said:
    people = results.agreement
    if people is None:
        return "not met", "No person labelled a response."
    return "met", (
        f"{people.responses} of {people.of_responses} responses have labels of {len(people.raters)} people, in "
        "ratings.parquet."
    )


def limitations(results: Results, files: Files) -> Said:
    computed = [f"the ruler is {results.ruler.status.replace('_', ' ')}"]
    computed += ["the answer is inconclusive"] if results.primary.verdict == "inconclusive" else []
    computed += [f"{len(results.excluded)} exclusions are listed"] if results.excluded else []
    own = "has a caution of its own" if results.study.caution.strip() else "states no caution of its own"
    return "partly", (
        f"Computed limits: {', '.join(computed)}. The study {own}. Whether these are all limits cannot be computed."
    )


def reproducible(results: Results, files: Files) -> Said:
    if files.settings and "generation" in files.settings and files.versions:
        seed, packages = results.study.seed, len(files.versions)
        return "met", f"The study's settings, its seed ({seed}) and the versions of {packages} packages are recorded."
    return "partly", "The analysis can be repeated from the table of scores, and the responses cannot be made again."


def uncertainty(results: Results, files: Files) -> Said:
    primary = results.primary
    if primary.ci_low is None:
        return "partly", f"Rates have intervals; D has none: {primary.reason}."
    how = "languages within a group and prompts vary; seeds " + (
        "vary too" if (files.settings or {}).get("seeds", 1) not in (None, 1) else "do not"
    )
    return "met", f"D has a 95 % interval {interval(primary.ci_low, primary.ci_high)} ({how}); rates have theirs."


def compute(results: Results, files: Files) -> Said:
    if files.hardware:
        return "met", "Processor, memory and accelerators are recorded."
    return "not met", "The hardware is not recorded."


def _and(names: set[str]) -> str:
    return ", ".join(sorted(names))
