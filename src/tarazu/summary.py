"""Results and languages as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tarazu.coverage import Coverage
from tarazu.data.rows import KINDS
from tarazu.files import to_json
from tarazu.languages import LANGUAGES, classified
from tarazu.languages.lookup import Fact, LookedUp
from tarazu.results.model import RATES, CoefficientEntry, PeopleLabels, RateEntry, Results
from tarazu.results.words import short_names
from tarazu.study.schema import Groups

_USUAL = ("sft", "dpo", "sft_dpo")


def arm_order(results: Results) -> list[str]:
    """The order of the arms in tables: base, the usual ones, then the others by name."""
    base = results.base_arm
    known = {arm: place for place, arm in enumerate(_USUAL)}
    return sorted(results.arms, key=lambda arm: (arm != base, known.get(arm, len(known)), arm))


def summary(results: Results) -> str:
    """The answer first, then a table of arms: rate, 95 % interval, number of responses."""
    answer = ["", results.sentence]
    if results.remarks:
        answer += ["", *(f"- {text}" for text in results.remarks)]
    if not any(arm.languages for arm in results.arms.values()):
        return "\n".join([*answer, *_over_refusal(results)]) + "\n"
    names, width = _names(results), _arm_width(results)
    lines = [*answer, ""]
    lines.append(
        f"{'arm':<{width}}{'HmR %':>8} {'95 % interval':<16}{'HpR %':>8} {'95 % interval':<16}{'CAS':>8} "
        f"{'over base':>10}"
    )
    for name in arm_order(results):
        arm = results.arms[name]
        cells = "".join(_cell(arm.rate(rate)) for rate in RATES)
        change = arm.improvement.CAS
        gain = f"{change:+.0f} %" if change is not None else "-"
        lines.append(f"{names[name]:<{width}}{cells}{_number(arm.CAS.value):>8} {gain:>10}")
    lines += _over_refusal(results)
    counts = [arm.rate(rate) for arm in results.arms.values() for rate in RATES]
    lines += [
        "",
        f"Rates are means over languages (up to {max(rate.n_languages for rate in counts)}), each arm with up to "
        f"{max(rate.n for rate in counts)} responses per rate.",
    ]
    if results.agreement is not None:
        lines += _people(results.agreement)
    return "\n".join(lines) + "\n"


def _names(results: Results) -> dict[str, str]:
    """The names of the arms as the tables write them."""
    return short_names(sorted(results.arms))


def _arm_width(results: Results) -> int:
    """The width of the column of arms."""
    return max(12, max(map(len, _names(results).values())) + 2)


def _over_refusal(results: Results) -> list[str]:
    """A table of the over-refusal rates; none without borderline prompts."""
    if results.over_refusal is None:
        return []
    rows = [(arm, results.over_refusal.arms[arm].ORR) for arm in arm_order(results) if arm in results.over_refusal.arms]
    names, width = _names(results), _arm_width(results)
    return [
        "",
        f"{'arm':<{width}}{'ORR %':>8} {'95 % interval':<16} safe prompts that look harmful and are refused",
        *(f"{names[arm]:<{width}}{_cell(rate)} of {rate.n} in {rate.n_languages} languages" for arm, rate in rows),
    ]


def _people(people: PeopleLabels) -> list[str]:
    """Agreement between people and of each judge with them: coefficient, 95 % interval, number of responses."""
    between = people.between_raters
    lines = [
        "",
        f"People: {people.labels} labels by {len(people.raters)} for {people.responses} of {people.of_responses} "
        f"responses; {people.cannot_tell} empty, {people.divided} responses with people divided"
        + (f", {people.unmatched} labels of other responses" if people.unmatched else "")
        + ".",
    ]
    rows = [("all", between.overall), *between.kinds.items(), *between.arms.items()]
    if between.overall.n:
        lines.append(f"{'between people':<24}{'agreed %':>9} {'kappa':>7} {'95 % interval':<18}{'alpha':>7} {'n':>7}")
        lines += [
            f"{name:<24}{_number(row.agreed.value):>9} {_coefficients(row.kappa)}{_coefficient(row.alpha.value):>7} "
            f"{row.n:>7}"
            for name, row in rows
        ]
    lines.append(
        f"{'judge against people':<24}{'agreed %':>9} {'kappa':>7} {'95 % interval':<18}{'sens. %':>8} {'spec. %':>8} "
        f"{'n':>7}"
    )
    for judge in people.judges:
        row = judge.overall
        lines.append(
            f"{f'{judge.judge}, {judge.kind}':<24}{_number(row.agreed.value):>9} {_coefficients(row.kappa)}"
            f"{_number(row.sensitivity.value):>8} {_number(row.specificity.value):>8} {row.n:>7}"
        )
    return lines


def _coefficients(entry: CoefficientEntry) -> str:
    low, high = _coefficient(entry.ci_low), _coefficient(entry.ci_high)
    return f"{_coefficient(entry.value):>7} {f'[{low}, {high}]' if entry.ci_low is not None else '-':<18}"


def _coefficient(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def sources_read(data: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The use of each source of a study, in words, and the account of its rows (`data` of results.json)."""
    sources = [("pairs", data["pairs"])] if "pairs" in data else []
    sources += [(f"pairs of {arm}", account) for arm, account in data.get("arm_pairs", {}).items()]
    sources += [("reward pairs", data["reward_pairs"])] if "reward_pairs" in data else []
    for what in ("prompts", "known_answers"):
        words = what.replace("_", " ")
        # Results of earlier versions do not name the kind of prompt.
        sources += [(f"{words}, {own['kind']}" if "kind" in own else words, own) for own in data.get(what, [])]
    return sources


def _cell(rate: RateEntry) -> str:
    interval = f"[{_number(rate.ci_low)}, {_number(rate.ci_high)}]" if rate.value is not None else "-"
    return f"{_number(rate.value):>8} {interval:<16}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def languages_text(sources: Sequence[str], coverage: Mapping[str, Coverage]) -> str:
    """A line per language: its facts, prompts by source and known answers (harmful + benign where a source has both),
    the judges' balanced accuracy in a run, its tasks."""
    groups = Groups()
    assessed = any(own.balanced_accuracy for own in coverage.values())
    head = f"{'code':<6}{'name':<16}{'endonym':<20}{'script':<8}{'class':<7}{'group':<7}"
    head += "".join(f"{source:<{_width(source)}}" for source in sources) + f"{'known':<12}{'named':<7}"
    lines = [head + (f"{'ruler %':<11}" if assessed else "") + "tasks"]
    for code, language in LANGUAGES.items():
        own = coverage[code]
        line = (
            f"{code:<6}{language.name:<16}{language.endonym:<20}{language.script:<8}{language.joshi_class:<7}"
            f"{groups.of(code) or '-':<7}"
        )
        line += "".join(f"{_counts(own.prompts.get(source, {})):<{_width(source)}}" for source in sources)
        totals = {kind: sum(table.get(kind, 0) for table in own.known_answers.values()) for kind in KINDS}
        line += f"{_counts(totals) if any(totals.values()) else '-':<12}"
        line += f"{'-' if own.identified is None else 'yes' if own.identified else 'no':<7}"
        if assessed:
            balanced = "/".join(_rounded(own.balanced_accuracy.get(kind)) for kind in KINDS)
            line += f"{balanced:<11}"
        lines.append(line + " ".join(sorted(language.tasks)))
    high = sum(groups.of(code) == "high" for code in LANGUAGES)
    lines.append(
        f"{len(LANGUAGES)} languages: {high} high-resource (Joshi class 4-5), {len(LANGUAGES) - high} low (0-3)"
    )
    lines.append(
        f"Any other language can be named by its BCP 47 tag or English name; {classified()} of them have a Joshi "
        "class, and so a group (docs/languages.md)"
    )
    lines.append(
        "Under a source: prompts, harmful + benign where it has both; known: pairs of a good and a bad answer, of all "
        "sources; named: whether the identifier of responses' languages knows it (docs/health.md)"
        + ("; ruler: the judges' balanced accuracy on them, harmful/benign, in percent." if assessed else ".")
    )
    return "\n".join(lines) + "\n"


def _width(source: str) -> int:
    return max(10, len(source) + 2)


def _counts(kinds: Mapping[Any, int]) -> str:
    return "+".join(str(kinds[kind]) for kind in KINDS if kind in kinds) or "-"


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def languages_json(coverage: Mapping[str, Coverage]) -> str:
    """The same as JSON, a list of objects."""
    groups = Groups()
    return to_json(
        [
            {
                "code": code,
                "iso639_3": language.iso639_3,
                "name": language.name,
                "endonym": language.endonym,
                "family": language.family,
                "script": language.script,
                "common_crawl_pages": language.common_crawl_pages,
                "joshi_class": language.joshi_class,
                "group": groups.of(code),
                "tasks": sorted(language.tasks),
                "prompts": coverage[code].prompts,
                "known_answers": coverage[code].known_answers,
                "balanced_accuracy": coverage[code].balanced_accuracy,
                "identified": coverage[code].identified,
            }
            for code, language in LANGUAGES.items()
        ]
    )


def looked_up_text(languages: Sequence[LookedUp]) -> str:
    """A block per language: its code, and a line per fact with its source."""
    groups = Groups()
    blocks = []
    for one in languages:
        facts = {"name": one.name, "class": one.joshi_class, "group": _group(one, groups), "script": one.script}
        lines = [f"{one.written}: {one.code}" + (f", a variant of {one.of}" if one.of != one.code else "")]
        for key, fact in (facts | {"family": one.family}).items():
            source = f"  ({fact.source})" if fact.source else ""
            lines.append(f"  {key:<8}{'not known' if fact.value is None else fact.value}{source}")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def looked_up_json(languages: Sequence[LookedUp]) -> str:
    """The same as JSON, a list of objects."""
    groups = Groups()
    return to_json([{**asdict(one), "group": asdict(_group(one, groups))} for one in languages])


def _group(one: LookedUp, groups: Groups) -> Fact:
    """The resource group by the default classes of each."""
    group = groups.of(one.code)
    return Fact(value=group, source=None if group is None else "its class")
