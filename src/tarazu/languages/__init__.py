"""Languages: the 50 of XTREME-R with the facts that a study needs, and the one code of every other language.

`language_code` turns what people write (tags, ISO 639 codes, FLORES codes, English names) into one code for each
language, so that two spellings of a language are never two languages.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal

TASKS = (
    "xnli",
    "xcopa",
    "udpos",
    "wikiann",
    "xquad",
    "mlqa",
    "tydiqa",
    "mewslix",
    "lareqa",
    "tatoeba",
    "multichecklist",
)
"""XTREME-R's tasks (Ruder et al. 2021) and MultiCheckList."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """One language. `script` is an ISO 15924 code. `common_crawl_pages` counts pages of CC-MAIN-2018-34."""

    code: str
    iso639_3: str
    name: str
    endonym: str
    family: str
    script: str
    common_crawl_pages: int
    joshi_class: int
    tasks: frozenset[str]


def _read() -> dict[str, Language]:
    text = files("tarazu").joinpath("languages", "languages.csv").read_text(encoding="utf-8")
    return {
        row["code"]: Language(
            code=row["code"],
            iso639_3=row["iso639_3"],
            name=row["name"],
            endonym=row["endonym"],
            family=row["family"],
            script=row["script"],
            common_crawl_pages=int(row["common_crawl_pages"]),
            joshi_class=int(row["joshi_class"]),
            tasks=frozenset(task for task in TASKS if row[task] == "1"),
        )
        for row in csv.DictReader(text.splitlines())
    }


LANGUAGES: dict[str, Language] = _read()
"""Languages by two-letter code, sorted."""


def by_task(task: str) -> tuple[str, ...]:
    """Codes of the languages of an XTREME-R task, sorted."""
    return tuple(code for code, language in LANGUAGES.items() if task in language.tasks)


# --- any language ---------------------------------------------------------------------------------

CODE_PATTERN: Final = "^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$"
"""The form of a code that `language_code` returns."""

SAME_LANGUAGE: Final = {
    "cmn": "zh", "arb": "ar", "pes": "fa", "azj": "az", "ekk": "et", "zsm": "ms", "swh": "sw", "fil": "tl", "nb": "no",
    "als": "sq", "lvs": "lv", "khk": "mn", "npi": "ne", "ory": "or", "gaz": "om", "plt": "mg", "uzn": "uz", "ydd": "yi",
}  # fmt: skip
"""Codes of the variety that data sets mean by a language's own code, and two codes of one language."""

_NAMES: Final = {
    "simplified chinese": "zh", "chinese (simplified)": "zh", "chinese simplified": "zh", "mandarin": "zh",
    "mandarin chinese": "zh", "traditional chinese": "zh-Hant", "chinese (traditional)": "zh-Hant",
    "chinese traditional": "zh-Hant", "brazilian portuguese": "pt-BR", "portuguese (brazil)": "pt-BR",
    "modern standard arabic": "ar", "standard arabic": "ar", "farsi": "fa", "filipino": "tl", "castilian": "es",
    "norwegian": "no", "norwegian bokmål": "no", "panjabi": "pa", "haitian": "ht", "bangla": "bn", "kiswahili": "sw",
    "bahasa indonesia": "id", "modern greek": "el", "myanmar": "my", "oriya": "or", "odia": "or", "uyghur": "ug",
}  # fmt: skip

_ONE_SCRIPT: Final = {"Hang": "Kore", "Hani": "Hans", "Hira": "Jpan", "Kana": "Jpan"}
"""Scripts that data sets name for a language with a mixed or unspecified one."""
_ZH_REGIONS: Final = {"CN": "Hans", "SG": "Hans", "MY": "Hans", "TW": "Hant", "HK": "Hant", "MO": "Hant"}
"""Regions that stand for a script of Chinese."""
_NO_LANGUAGE: Final = frozenset({"und", "mul", "mis", "zxx"})


class UnknownLanguage(ValueError):
    """The text names no language."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listed:
    name: str
    joshi_class: int


@cache
def _listed() -> dict[str, _Listed]:
    """Languages other than the 50 with their classes, of the list that Joshi et al. (2020) published."""
    rows = csv.DictReader(files("tarazu").joinpath("languages", "joshi.csv").read_text(encoding="utf-8").splitlines())
    return {row["code"]: _Listed(name=row["name"], joshi_class=int(row["joshi_class"])) for row in rows}


@cache
def _by_name() -> dict[str, str]:
    names = {listed.name.casefold(): code for code, listed in _listed().items()}
    for code, language in LANGUAGES.items():
        names[language.name.casefold()] = names[language.endonym.casefold()] = code
    return names | _NAMES


@cache
def language_code(text: str) -> str:
    """The one code of a language, from a BCP 47 tag, an ISO 639 or FLORES code, or an English name.

    Deprecated codes become today's (iw: he), three letters two where there are two (deu: de), and the code of a
    standard variety that of its language (cmn: zh, arb: ar). The usual script of a language is omitted (zh-Hans and
    zh-CN: zh; deu_Latn: de); another one stays (zh-TW: zh-Hant; sr-Latn), and so does a region (pt-BR). Raises
    UnknownLanguage.
    """
    text = text.strip()
    if text in LANGUAGES:
        return text
    by_name = _by_name().get(" ".join(text.casefold().split()))
    if by_name is not None and text.istitle():
        return by_name  # the language Aka is not Akan, whose code is aka
    tag = _resolved_tag(text.replace("_", "-")) if re.fullmatch(r"[A-Za-z0-9_-]{2,35}", text) else None
    code = tag or by_name
    if code is None:
        raise UnknownLanguage(
            f"unknown language '{text[:40]}'; write a BCP 47 tag such as de, zh-Hant or yue, or an English name"
        )
    return code


def _resolved_tag(text: str) -> str | None:
    from langcodes import Language as Tag
    from langcodes import tag_is_valid
    from langcodes.tag_parser import LanguageTagError

    try:
        tag = Tag.get(text)
        valid = tag_is_valid(text)
    except (LanguageTagError, ValueError):
        return None
    if not valid or not tag.language or tag.language in _NO_LANGUAGE:
        return None
    primary = SAME_LANGUAGE.get(tag.language, tag.language)
    script, territory = tag.script, tag.territory
    if primary == "zh" and territory in _ZH_REGIONS:
        script, territory = script or _ZH_REGIONS[territory], None
    usual = _usual_script(primary)
    if script is not None and usual in (script, _ONE_SCRIPT.get(script)):
        script = None
    made = Tag.make(
        language=primary, script=script, territory=territory, variants=tag.variants, extensions=tag.extensions,
        private=tag.private,
    ).to_tag()  # fmt: skip
    return made if re.fullmatch(CODE_PATTERN, made) else None


@cache
def _usual_script(code: str) -> str | None:
    """The usual script of a language (a region may change it), if CLDR has one."""
    from langcodes.data_dicts import LIKELY_SUBTAGS

    if code in LANGUAGES:
        return LANGUAGES[code].script
    return LIKELY_SUBTAGS[code].split("-")[1] if code in LIKELY_SUBTAGS else None


def primary(code: str) -> str:
    """The language of a code without script, region and variants: pt for pt-BR."""
    return code.split("-")[0]


def facts_of(code: str) -> Language | None:
    """The facts of one of the 50. A variant such as pt-BR or zh-Hant has those of its language, except the script."""
    return LANGUAGES.get(primary(code))


def script_of(code: str) -> str | None:
    """The ISO 15924 code of a language's script: the one in its code, else its usual one. None if it is not known."""
    written = next((part for part in code.split("-")[1:] if re.fullmatch("[A-Z][a-z]{3}", part)), None)
    return written or _usual_script(primary(code))


_RIGHT_TO_LEFT: Final = frozenset(
    {"Adlm", "Arab", "Aran", "Hebr", "Mand", "Mend", "Nkoo", "Rohg", "Samr", "Syrc", "Thaa", "Yezi"}
)
"""Living scripts that are written from right to left."""


def direction_of(code: str) -> Literal["ltr", "rtl"]:
    """The direction in which a language is written, by its script; from left to right if the script is not known."""
    return "rtl" if script_of(code) in _RIGHT_TO_LEFT else "ltr"


def joshi_class_of(code: str) -> int | None:
    """The class of a language from 0 to 5 (Joshi et al. 2020). None if their list does not have it."""
    own = facts_of(code)
    if own is not None:
        return own.joshi_class
    listed = _listed().get(primary(code))
    return listed.joshi_class if listed else None


def name_of(code: str) -> str:
    """The English name of a language, with script and region as in its code. The code itself if there is no name."""
    base = primary(code)
    listed = _listed().get(base)
    name = LANGUAGES[base].name if base in LANGUAGES else listed.name if listed else None
    if name is None:
        return code
    rest = code[len(base) + 1 :]
    return f"{name} ({rest})" if rest else name


def classified() -> int:
    """How many languages beside the 50 have a Joshi class."""
    return len(_listed())
