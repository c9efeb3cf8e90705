"""Spoil one file of a record or of an import at random, and see what every reader of it does.

`try_spoilt` spoils file after file and runs commands on each: whatever the file holds, a command ends with exit code 0,
1 or 2, without a traceback, and with one line on standard error if the code is 2. Sealed work is shared between runs
with equal inputs, the analysis of an import is made once, and documents are read in this process. So times are those
of the readers outside the sandbox.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from gate_records import CLAIMS, DOCUMENT, SCORES, drafted_record, imported_record, reseal, share_sealed_work
from record_data import pdf

from tarazu.cli import main
from tarazu.record.build import _look_up, assemble, look_up
from tarazu.record.corrections import correct
from tarazu.record.reading import read_record
from tarazu.record.verify.gate import verify

HTML = "<html><body><h1>A study</h1><h2>Results</h2><p>The rate of the dpo arm is 62.5 percent.</p></body></html>"
_SNIPPETS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n", b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 70),
    *(b"[" * 100_000, b'{"a":' * 2000, b'"\\ud800"', b'"\\u0000"', b"\x1b]0;x\x07", "\u202e".encode(), b"-0", b"null"),
    *(b"a" * 100_000, b"&a [*a]", b"&a [1]\n- *a", b"!!python/object/apply:os.system [id]", b"1:1:1", b"%TAG", b"\t"),
    *(
        b"<div>" * 300,
        b"<!--",
        b"<![CDATA[",
        b"</p>" * 300,
        b"*_" * 300,
        b"[](" * 300,
        b"> " * 60,
        b"endobj",
        b"stream",
    ),
)
_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        10**400,
        2**53 + 1,
        -(2**63),
        1e308,
        -0.0,
        5e-324,
        0.5,
        "",
        " ",
        "x",
        "1",
        "NaN",
        [],
        {},
    ),
    *("a" * 6000, "\u202e", "\x1b]0;x\x07", "\ud800", "\uffff", "../../etc/passwd", "/etc/passwd", "con", "9999-99-99"),
    *([[]] * 5000, {str(number): 1 for number in range(5000)}, [1, "a", None], {"a": {"b": [1]}}, "--help", "\u0663"),
)
_JSON = ("manifest.json", "claims.json", "results.json", "repro/repro.json", "gate.json", "signature.json")
_OTHERS = ("provenance.json", "corrections.jsonl", "ro-crate-metadata.json", "scores.parquet", "sources/study.md")
_RUN = ("scores.parquet", "repro/analysis.py", "study.lock.yaml")
"""Files that the sandbox reads. Where they are spoilt and resealed, only other readers than the gate are tried."""


# --- how files are spoilt -------------------------------------------------------------------------


def spoilt_bytes(rng: random.Random, data: bytes) -> bytes:
    """The bytes with one to three small changes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(changed) + 1)
        end = min(len(changed), at + rng.choice((1, 3, 30, 3000)))
        change = rng.randrange(7)
        if change == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            del changed[at:]
        elif change == 2:
            del changed[at:end]
        elif change == 3:
            changed[at:at] = changed[at:end] * rng.choice((1, 2, 50))
        elif change == 4:
            changed[at:at] = rng.randbytes(rng.choice((1, 4, 64)))
        else:
            changed[at : at if change == 5 else end] = rng.choice(_SNIPPETS)
    return bytes(changed)


def spoilt_value(rng: random.Random, value: Any) -> Any:
    """A JSON value with a change at a random place."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        change = rng.random()
        if change < 0.07:
            return {name: one for name, one in value.items() if name != key}
        if change < 0.14:
            return {**value, rng.choice(("x", key.upper(), "\x1b[2J", "a" * 1000, "")): value[key]}
        return {**value, key: spoilt_value(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        change = rng.random()
        if change < 0.07:
            return value[:at] + value[at + 1 :]
        if change < 0.14:
            return value[:at] + [value[at]] * rng.choice((2, 1200)) + value[at + 1 :]
        return [*value[:at], spoilt_value(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, float | int) and rng.random() < 0.5:
        return rng.choice((-value, value * 10**6, value + 1e-9, str(value), int(value), value * 1e300))
    return rng.choice(_VALUES)


def spoil_file(rng: random.Random, path: Path) -> None:
    data = path.read_bytes() if path.is_file() else b"{}"
    if path.suffix == ".json" and data and rng.random() < 0.6:
        with contextlib.suppress(ValueError):
            data = json.dumps(spoilt_value(rng, json.loads(data))).encode()
            if rng.random() < 0.9:
                path.write_bytes(data)
                return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(spoilt_bytes(rng, data))


def spoil_folder(rng: random.Random, record: Path) -> str:
    """Change what the record's folder holds, and not what is in its files."""
    path = record / rng.choice((*_JSON, *_OTHERS, "record.html", "superseded", "proofs", "x"))
    change = rng.choice(("remove", "folder", "link", "loop", "pipe", "grow", "name", "extra", "deep", "twin"))
    if change in ("remove", "folder", "link", "loop", "pipe"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a change that is not possible leaves the record as it was
        if change == "folder":
            path.mkdir(parents=True)
        elif change == "link":
            path.symlink_to("/etc/passwd")
        elif change == "loop":
            path.symlink_to(path.name)
        elif change == "pipe":
            os.mkfifo(path)
        elif change == "grow" and path.is_file():
            os.truncate(path, rng.choice((2**31 + 1, 40 << 20, 10)))
        elif change == "name":
            (record / os.fsdecode(rng.choice((b"\xff", b"a\nb", b"\x1b[2J", b"n" * 252, b"con", b"a:b")))).touch()
        elif change == "extra":
            extra = record / rng.choice(("superseded/a.json", "proofs/a", "a.py"))
            extra.parent.mkdir(exist_ok=True)
            extra.write_bytes(b"x")
        elif change == "deep":
            (record / "/".join(["d"] * rng.choice((3, 17, 300)))).mkdir(parents=True)
        elif change == "twin":
            (record / "repro" / "analysis.py.txt").mkdir()
    return f"{change} {path.name}"


# --- what readers do with them --------------------------------------------------------------------


@dataclass
class Report:
    """What came of the spoilt files: how often each command ended how, the longest processor time, and the faults."""

    ends: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    faults: list[str] = field(default_factory=list)
    mib: int = 0
    """Largest memory of this process, which other tests may have used before."""

    def add(self, what: str, command: str, code: int, seconds: float, fault: str) -> None:
        self.ends[f"{command} {code}"] += 1
        self.slowest = max(self.slowest, (seconds, f"{what}: {command}"))
        self.mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        if fault:
            self.faults.append(f"{what}: {command}: {fault}")


def run_command(arguments: list[str]) -> tuple[int, str]:
    """Exit code, and what is wrong with how the command ended."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
    except Exception:
        return -1, traceback.format_exc()[-2000:]
    lines = err.getvalue().splitlines()
    if code not in (0, 1, 2):
        return code, f"exit code {code}"
    if code == 2 and (len(lines) != 1 or not lines[0].isprintable() or len(lines[0]) > 5000):
        return code, f"not one plain line: {err.getvalue()[:500]!r}"
    return code, "a traceback" if "Traceback" in out.getvalue() + err.getvalue() else ""


@dataclass(frozen=True)
class Honest:
    """What is spoilt: records with a correction and a verdict, and the files of an import."""

    records: list[Path]
    given: Path


def honest(folder: Path, *, drafted: bool = True) -> Honest:
    """An imported record, and one with drafted claims, which takes longer to make and to verify."""
    made = []
    for make in (imported_record, drafted_record) if drafted else (imported_record,):
        (folder / make.__name__).mkdir()
        record = make(folder / make.__name__)
        correct(record, kind="METADATA", note="A first correction.", fields=["work.title"])
        verify(record)
        made.append(record)
    given = folder / "given"
    given.mkdir()
    (given / "claims.yaml").write_text(CLAIMS, encoding="utf-8")
    (given / "study.md").write_text(DOCUMENT, encoding="utf-8")
    (given / "page.html").write_text(HTML, encoding="utf-8")
    (given / "paper.pdf").write_bytes(pdf([("A study", 20, "B"), ("The helpfulness rate is 62.5 percent.", 10, "R")]))
    return Honest(made, given)


def share_work(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Share what takes long and does not depend on the spoilt file."""
    share_sealed_work(monkeypatch)
    analyze = assemble.analyze_scores

    def analyze_once(scores: Any, options: Any, *, out: Path, known: Path | None) -> None:
        if not (folder / "analysis").exists():
            analyze(scores, options, out=folder / "analysis", known=known)
        shutil.copytree(folder / "analysis", out)

    def read_here(inputs: Path, limits: Any) -> tuple[bytes | None, str]:
        try:
            _look_up.main(inputs, inputs)
        except Exception as error:  # as a program that fails in the sandbox
            return None, f"it failed: {type(error).__name__}"
        return (inputs / "results.json").read_bytes(), ""

    monkeypatch.setattr(assemble, "analyze_scores", analyze_once)
    monkeypatch.setattr(look_up, "_run", read_here)


def try_spoilt(source: Honest, folder: Path, *, seed: int, numbers: Iterable[int], every: bool) -> Report:
    """Spoil a file for each number, and run `every` command on it or one of them."""
    report = Report()
    for number in numbers:
        rng = random.Random(f"{seed} {number}")
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        spoil = _spoilt_import if rng.random() < 0.15 else _spoilt_record
        what, commands = spoil(rng, source, work)
        for name, arguments in commands.items() if every else [rng.choice(list(commands.items()))]:
            start = time.process_time()  # other work on the machine does not count
            code, fault = run_command(arguments)
            report.add(f"{number}, {what}", name, code, time.process_time() - start, fault)
        shutil.rmtree(work, ignore_errors=True)
    return report


Commands = dict[str, list[str]]


def _spoilt_record(rng: random.Random, source: Honest, work: Path) -> tuple[str, Commands]:
    record = Path(shutil.copytree(source.records[-1 if rng.random() < 0.15 else 0], work / "records" / "record"))
    sealed = rng.random() < 0.5
    if rng.random() < 0.1:
        what, name, sealed = spoil_folder(rng, record), "", False
    else:
        kept = sorted(path.relative_to(record).as_posix() for path in (record / "superseded").iterdir())
        name = rng.choice((*_JSON, *_JSON, *_OTHERS, "repro/analysis.py", "study.lock.yaml", *kept))
        what = f"{name}{', resealed' if sealed else ''}"
        spoil_file(rng, record / name)
    if sealed:
        with contextlib.suppress(Exception):  # what is spoilt may not be readable any more
            reseal(record)
    commands = {
        "show": ["record", "show", str(record), *rng.choice(([], ["--json"]))],
        "site build": ["site", "build", str(work / "records"), "--out", str(work / "site")],
        "assess": ["record", "assess", str(record)],
    }
    if not (sealed and name in _RUN):
        commands["verify"] = ["record", "verify", str(record), *rng.choice(([], ["--json"]))]
    return what, commands


def _spoilt_import(rng: random.Random, source: Honest, work: Path) -> tuple[str, Commands]:
    given = Path(shutil.copytree(source.given, work / "given"))
    name = rng.choice(("claims.yaml", "claims.yaml", "study.md", "page.html", "paper.pdf"))
    spoil_file(rng, given / name)
    sources = [
        argument for one in ("study.md", "page.html", "paper.pdf") for argument in ("--source", str(given / one))
    ]
    claims = ["--claims", str(given / "claims.yaml")]
    return f"import {name}", {
        "import": [
            "record",
            "import",
            str(SCORES),
            *claims,
            *sources,
            "--out",
            str(work / "made"),
            "--date",
            "2026-11-24",
        ]
    }


def unchanged(source: Honest) -> Callable[[], bool]:
    """Whether the records that are spoilt are still the ones that they were."""
    before = [read_record(record).digest for record in source.records]
    return lambda: [read_record(record).digest for record in source.records] == before
