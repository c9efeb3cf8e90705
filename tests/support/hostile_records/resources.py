"""Records that would use up the time, memory or disk of who reads or verifies them, or end their program."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gate_records import edit

from hostile_records.registry import Registry

HOSTILE = Registry()


def put(record: Path, name: str, place: str, text: str) -> None:
    """Put JSON text, which no JSON library may write, at the value with the text "HERE"."""
    path = record / name
    path.write_text(path.read_text(encoding="utf-8").replace(f'"{place}"', text), encoding="utf-8")


def limits(record: Path, **asked: int) -> None:
    edit(record / "repro" / "repro.json", lambda repro: repro["depths"]["analysis"].update(limits=asked))


def rate(record: Path, text: str) -> None:
    edit(record / "results.json", lambda results: results["arms"]["dpo"]["HpR"].update(value="HERE"))
    put(record, "results.json", "HERE", text)


# --- numbers, nesting, sizes (9, 10, 25) ----------------------------------------------------------


@HOSTILE.add(9, "BAD INPUT", "beyond 2**53")
def a_rate_of_400_digits(record: Path) -> None:
    rate(record, str(10**400))


@HOSTILE.add(9, "BAD INPUT", "beyond 2**53")
def a_count_beyond_what_is_exact(record: Path) -> None:
    edit(record / "results.json", lambda results: results["arms"]["dpo"]["HpR"].update(n=2**53 + 1))


@HOSTILE.add(10, "BAD INPUT", "over 64 levels")
def results_of_900_levels(record: Path) -> None:
    rate(record, "[" * 900 + "]" * 900)


@HOSTILE.add(10, "UNVERIFIED", "over 64 levels")
def a_script_whose_results_have_900_levels(record: Path) -> None:
    text = "import sys\nopen(sys.argv[2] + '/results.json', 'w').write('{\"a\": ' + '[' * 900 + ']' * 900 + '}')\n"
    (record / "repro" / "analysis.py").write_text(text, encoding="utf-8")


@HOSTILE.add(10, "UNVERIFIED", "beyond 2**53")
def a_script_whose_results_have_400_digits(record: Path) -> None:
    text = "import sys\nopen(sys.argv[2] + '/results.json', 'w').write('{\"a\": 1' + '0' * 400 + '}')\n"
    (record / "repro" / "analysis.py").write_text(text, encoding="utf-8")


@HOSTILE.add(10, "BAD INPUT", "'gate.json' is a folder")
def a_folder_called_gate_json(record: Path) -> None:
    (record / "gate.json").mkdir()


@HOSTILE.add(10, "BAD INPUT", "'record.html' is a folder")
def a_folder_called_record_html(record: Path) -> None:
    (record / "record.html").mkdir()


@HOSTILE.add(25, "BAD INPUT", "more than 524288 values")
def results_of_empty_lists(record: Path) -> None:
    rate(record, "[" + "[]," * 3_000_000 + "[]]")


# --- limits of the script (11) ----------------------------------------------------------------------


@HOSTILE.add(11, "BAD INPUT", "analysis.limits.seconds: asks for 80000")
def a_script_that_asks_for_all_memory(record: Path) -> None:
    limits(record, memory_mib=1_000_000, file_mib=500_000, processes=5000, seconds=80_000)


@HOSTILE.add(11, "BAD INPUT", "analysis.limits.file_mib: asks for 500000")
def a_script_that_asks_for_all_disk(record: Path) -> None:
    limits(record, file_mib=500_000)


@HOSTILE.add(11, "BAD INPUT", "analysis.limits.processes: asks for 5000")
def a_script_that_asks_for_all_processes(record: Path) -> None:
    limits(record, processes=5000)


@HOSTILE.add(11, "BAD INPUT", "analysis.limits.seconds: asks for 80000")
def a_script_that_asks_for_a_day(record: Path) -> None:
    limits(record, seconds=80_000)


@HOSTILE.add(11, "VERIFIED")
def a_script_that_asks_for_little(record: Path) -> None:
    limits(record, memory_mib=2048, file_mib=64, processes=64, seconds=200)


# --- time outside the sandbox (13) ------------------------------------------------------------------


def claims_of(text: str, count: int = 1) -> Callable[[Any], None]:
    def change(claims: Any) -> None:
        first = claims["claims"][0]
        made = [{**first, "id": f"claim-{number}", "check": {"expression": text}} for number in range(count)]
        claims["claims"] = [*made, *claims["claims"][1:]]

    return change


@HOSTILE.add(13, "UNVERIFIED", "says too little|holds for all values|no difference")
def an_expression_that_reads_all_it_can(record: Path) -> None:
    results = json.loads((record / "results.json").read_text(encoding="utf-8"))
    places = [
        f"value('/arms/{arm}/languages/{language}/CAS/value')"
        for arm, entry in results["arms"].items()
        for language, rates in entry["languages"].items()
        if rates["CAS"]["value"] is not None
    ]
    edit(record / "claims.json", claims_of(f"max({', '.join(places[:40])}) > -1e9"))


@HOSTILE.add(13, "BAD INPUT", "at most 1000 items")
def more_claims_than_are_read(record: Path) -> None:
    edit(record / "claims.json", claims_of("CAS('dpo') > 1", 1001))


@HOSTILE.add(13, "BAD INPUT", "at most 5000 characters")
def a_quotation_without_end(record: Path) -> None:
    edit(record / "claims.json", lambda claims: claims["claims"][1].update(quote="words " * 1000))


# --- lists and names (9, 30) ------------------------------------------------------------------------


@HOSTILE.add(30, "BAD INPUT", "work.authors")
def a_crowd_of_authors(record: Path) -> None:
    edit(record / "manifest.json", lambda manifest: manifest["work"].update(authors=["A. Name"] * 50_000))


@HOSTILE.add(30, "BAD INPUT", "work.authors.0")
def an_author_with_a_long_name(record: Path) -> None:
    edit(record / "manifest.json", lambda manifest: manifest["work"].update(authors=["A" * 5000]))


@HOSTILE.add(30, "BAD INPUT", "more than 8388608 bytes")
def a_manifest_of_nine_megabytes(record: Path) -> None:
    edit(record / "manifest.json", lambda manifest: manifest.update(limitations=["a" * 4000] * 2300))


@HOSTILE.add(9, "BAD INPUT", "more than 240 bytes")
def a_name_that_a_site_cannot_extend(record: Path) -> None:
    (record / ("n" * 249 + ".py")).touch()


@HOSTILE.add(9, "BAD INPUT", "more than 16 folders deep")
def folders_in_folders(record: Path) -> None:
    (record / "/".join("d" * 20)).mkdir(parents=True)


@HOSTILE.add(20, "BAD INPUT", "1024 are read; if you trust the record, allow more with --max-size")
def an_input_of_holes(record: Path) -> None:
    with (record / "known_answers.bin").open("wb") as stream:
        stream.truncate(1100 << 20)
