"""What is known of one language, and where each fact is from."""

from __future__ import annotations

from dataclasses import dataclass

from tarazu.languages import LANGUAGES, facts_of, joshi_class_of, language_code, name_of, primary, script_of

SHIPPED = "languages.csv"
JOSHI = "Joshi et al. 2020"
CLDR = "CLDR"
CODE = "the code"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A fact, and its source. None if it is not known."""

    value: str | int | None
    source: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LookedUp:
    """A language by the text that named it. `of` is the language whose facts it has, which differs for variants."""

    written: str
    code: str
    of: str
    name: Fact
    joshi_class: Fact
    script: Fact
    family: Fact


def look_up(text: str) -> LookedUp:
    """The facts of a language by tag, code or English name. Raises UnknownLanguage."""
    code = language_code(text)
    of, own = primary(code), facts_of(code)
    name, joshi_class, script = name_of(code), joshi_class_of(code), script_of(code)
    written = script is not None and script in code.split("-")[1:]
    usual = SHIPPED if of in LANGUAGES else CLDR
    return LookedUp(
        written=text,
        code=code,
        of=of,
        name=Fact(value=None if name == code else name, source=SHIPPED if own else JOSHI if name != code else None),
        joshi_class=Fact(value=joshi_class, source=None if joshi_class is None else JOSHI),
        script=Fact(value=script, source=None if script is None else CODE if written else usual),
        family=Fact(value=own.family if own else None, source=SHIPPED if own else None),
    )
