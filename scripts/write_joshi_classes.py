"""Write src/tarazu/languages/joshi.csv: the classes of languages other than the 50 (Joshi et al. 2020).

    python scripts/write_joshi_classes.py lang2tax.txt

The argument is the list that the authors published
(https://microsoft.github.io/linguisticdiversity/assets/lang2tax.txt). It has names and classes but no codes. A name
gets a code where it is a name in the IANA registry of language tags, which langcodes ships. Names that are not there or
stand for several languages, and languages that the list has twice with different classes, are excluded.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import langcodes

from tarazu.languages import LANGUAGES, SAME_LANGUAGE

SHA256: Final = "2e182e8f4bd9adb0bc04af2f74852d770581ac0b5a3609224ced7b08266d6dd2"
OUT: Final = Path(__file__).parents[1] / "src/tarazu/languages/joshi.csv"

_OF_THE_FIFTY: Final = {
    "arabic": "ar", "azerbaijani": "az", "haitian": "ht", "haitian creole": "ht", "eastern punjabi": "pa",
    "mandarin": "zh",
}  # fmt: skip
"""Names of some of the 50 in the list. The others have the name that Tarazu gives them."""
_RENAMED: Final = {"norwegian (bokmål)": "norwegian", "norwegian (nynorsk)": "norwegian nynorsk"}
"""Names in the list that the registry writes in another way."""


@dataclass(frozen=True, kw_only=True, order=True)
class Entry:
    """A line of the list."""

    name: str
    joshi_class: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="lang2tax.txt as published")
    content = parser.parse_args().source.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise SystemExit("not the published list: its SHA-256 is another one")
    OUT.write_text(table(content.decode("utf-8")), encoding="utf-8", newline="\n")


def table(text: str) -> str:
    """joshi.csv from the text of the published list."""
    lines = [line.rsplit(",", 1) for line in text.splitlines()]
    entries = [Entry(name=_RENAMED.get(name, name), joshi_class=int(own)) for name, own in lines]
    fifty = {language.name.lower() for language in LANGUAGES.values()} | set(_OF_THE_FIFTY)
    names = registered_names()
    by_code: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        code = names.get(entry.name.casefold())
        if code is not None and entry.name not in fifty:
            by_code[SAME_LANGUAGE.get(code, code)].append(entry)
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(["code", "name", "joshi_class"])
    for code, own in sorted(by_code.items()):
        if code not in LANGUAGES and len({entry.joshi_class for entry in own}) == 1:
            rows.writerow([code, _title(min(own).name), min(own).joshi_class])
    return written.getvalue()


def registered_names() -> dict[str, str]:
    """The code of each name in the registry that stands for one language.

    A complete name goes before one without its qualifier in parentheses. A language with a two-letter code goes before
    one without. Otherwise a name of several languages stands for none. A deprecated code shows that a name without its
    qualifier was that of another language too, but no name stands for such a code.
    """
    complete: dict[str, set[str]] = defaultdict(set)
    bare: dict[str, set[str]] = defaultdict(set)
    for code, name, deprecated in _registry():
        if not deprecated:
            complete[name.casefold()].add(code)
        bare[re.sub(r"\s*\(.*\)", "", name).casefold()].add(code)
    current = {code for codes in complete.values() for code in codes}
    chosen = {name: _one(complete.get(name) or codes) for name, codes in bare.items()} | {
        name: _one(codes) for name, codes in complete.items()
    }
    return {name: code for name, code in chosen.items() if code in current}


def _one(codes: set[str]) -> str | None:
    short = [code for code in codes if len(code) == 2]
    chosen = short or list(codes)
    return chosen[0] if len(chosen) == 1 else None


def _registry() -> Iterator[tuple[str, str, bool]]:
    """Codes and names of the languages in the IANA registry, and whether a code is deprecated."""
    registry = files("langcodes").joinpath("data", "language-subtag-registry.txt").read_text(encoding="utf-8")
    for record in registry.split("%%\n"):
        fields = [line.split(": ", 1) for line in record.splitlines() if ": " in line and not line.startswith(" ")]
        code, deprecated = _field(fields, "Subtag"), bool(_field(fields, "Deprecated"))
        if _field(fields, "Type") == "language" and ".." not in code:
            # A deprecated code stays as it is: its language may have been divided into several.
            standard = code if deprecated else langcodes.standardize_tag(code)
            yield from ((standard, value, deprecated) for key, value in fields if key == "Description")


def _field(fields: Sequence[Sequence[str]], name: str) -> str:
    return next((value for key, value in fields if key == name), "")


def _title(name: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in name.split(" "))


if __name__ == "__main__":
    main()
