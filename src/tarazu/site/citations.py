"""How a record is cited: BibTeX and CSL JSON."""

from __future__ import annotations

import re
from typing import Any

from tarazu.record.manifest import Work
from tarazu.report.text import visible

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_DOI = re.compile(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]+")


def known_doi(doi: str | None) -> str | None:
    """The DOI if it is one."""
    return doi if doi is not None and _DOI.fullmatch(doi) else None


def bibtex(work: Work, doi: str | None, url: str | None) -> str:
    """A BibTeX entry, in UTF-8; TeX's own characters are escaped."""
    authors = " and ".join(f"{{{_tex(name)}}}" if "," not in name else _tex(name) for name in work.authors)
    fields = {
        "author": authors or "{anonymous}",
        "title": f"{{{_tex(work.title)}}}",
        "year": work.submitted[:4],
        "month": str(int(work.submitted[5:7])),
        "note": _tex(f"Record SRCH {work.srch_id}, urn:uuid:{work.id}"),
        "doi": known_doi(doi),
        "url": url,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{srch{work.srch_id.lower()},", *lines, "}"]) + "\n"


def csl(work: Work, doi: str | None, url: str | None) -> dict[str, Any]:
    """A CSL JSON item."""
    year, month, day = (int(part) for part in work.submitted.split("-"))
    said: dict[str, Any] = {
        "id": f"srch{work.srch_id.lower()}",
        "type": "dataset",
        "title": visible(work.title),
        "author": [_person(name) for name in work.authors] or [{"literal": "anonymous"}],
        "issued": {"date-parts": [[year, month, day]]},
        "abstract": visible(work.abstract),
        "number": f"SRCH {work.srch_id}",
    }
    if known_doi(doi):
        said["DOI"] = doi
    if url:
        said["URL"] = url
    return said


def sentence(work: Work, doi: str | None) -> str:
    """A citation to copy."""
    end = f" https://doi.org/{known_doi(doi)}" if known_doi(doi) else f" urn:uuid:{work.id}"
    title = work.title.rstrip(".")
    return f"{'; '.join(work.authors) or 'Anonymous'} ({work.submitted[:4]}). {title}. Record SRCH {work.srch_id}.{end}"


def _person(name: str) -> dict[str, str]:
    family, comma, given = visible(name).partition(",")
    return {"family": family.strip(), "given": given.strip()} if comma else {"literal": family.strip()}


def _tex(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in " ".join(visible(text).split()))
