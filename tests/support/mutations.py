"""Tamper with records at random, one change each, with or without recomputing digests to hide the change.

`tamper(rng, record, resealed)` changes a copy and describes the change. Resealed changes affect only what the gate can
detect without the manifest's digest: numbers, tolerances, pointers, expressions, proofs, results, and the chain of
corrections. docs/records.md lists what it cannot detect.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gate_records import edit, reseal

from tarazu.record.claims.pointers import escaped

Change = Callable[[random.Random, Path], str]


def tamper(rng: random.Random, record: Path, *, resealed: bool) -> str:
    """Change the record in one way; with `resealed`, recompute what would give the change away."""
    while True:
        change = rng.choice(_SEALED if resealed else _PLAIN)
        try:
            description = change(rng, record)
            break
        except (IndexError, ValueError):  # an earlier change removed all that this one could act on
            continue
    if resealed:
        reseal(record)
    return f"{change.__name__}: {description}"


def listed(record: Path) -> list[str]:
    manifest = json.loads((record / "manifest.json").read_text(encoding="utf-8"))
    return [artifact["path"] for artifact in manifest["artifacts"]]


# --- digests kept ---------------------------------------------------------------------------------


def flip_a_bit(rng: random.Random, record: Path) -> str:
    name = rng.choice([path for path in listed(record) if (record / path).stat().st_size])
    data = bytearray((record / name).read_bytes())
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)
    (record / name).write_bytes(data)
    return f"{name} at {at}"


def cut_a_file(rng: random.Random, record: Path) -> str:
    name = rng.choice([path for path in listed(record) if (record / path).stat().st_size])
    data = (record / name).read_bytes()
    (record / name).write_bytes(data[: rng.randrange(len(data))])
    return name


def swap_files(rng: random.Random, record: Path) -> str:
    # Of one kind, so that nothing but their contents can tell.
    pairs = [("proofs/cas_between.smt2", "proofs/helpful_falls.smt2"), ("claims.json", "results.json")]
    pairs += [("repro/analysis.py", "proofs/Metrics.lean"), ("CITATION.cff", "report.html")]
    one, other = rng.choice(pairs)
    a, b = (record / one).read_bytes(), (record / other).read_bytes()
    (record / one).write_bytes(b)
    (record / other).write_bytes(a)
    return f"{one} and {other}"


def add_a_file(rng: random.Random, record: Path) -> str:
    name = rng.choice(["extra.txt", "repro/sitecustomize.py", "proofs/more.smt2", ".hidden", "superseded/more.json"])
    (record / name).parent.mkdir(exist_ok=True)
    (record / name).write_text("x", encoding="utf-8")
    return name


def remove_a_file(rng: random.Random, record: Path) -> str:
    name = rng.choice([*listed(record), *(f"superseded/{path.name}" for path in (record / "superseded").iterdir())])
    (record / name).unlink()
    return name


def change_a_digest(rng: random.Random, record: Path) -> str:
    def other(manifest: Any) -> None:
        artifact = rng.choice(manifest["artifacts"])
        at = rng.randrange(64)
        digit = rng.choice([one for one in "0123456789abcdef" if one != artifact["sha256"][at]])
        artifact["sha256"] = artifact["sha256"][:at] + digit + artifact["sha256"][at + 1 :]

    edit(record / "manifest.json", other)
    return "manifest.json"


# --- claims, with digests recomputed or kept ------------------------------------------------------


def _claims(record: Path, change: Callable[[list[Any]], str]) -> str:
    description = ""

    def changed(claims: Any) -> None:
        nonlocal description
        description = change(claims["claims"])

    edit(record / "claims.json", changed)
    return description


def _values(claims: list[Any], of: type = float) -> list[Any]:
    return [one for one in claims if "pointer" in one.get("check", {}) and isinstance(one["check"]["value"], of)]


def _expressions(claims: list[Any]) -> list[Any]:
    return [one for one in claims if "expression" in one.get("check", {})]


def shift_a_claim(rng: random.Random, record: Path) -> str:
    def change(claims: list[Any]) -> str:
        claim = rng.choice(_values(claims))
        value = claim["check"]["value"]
        # From just past the tolerance, upwards.
        by = max(abs(value), 1e-3) * 10 ** rng.uniform(-8.5, 0)
        claim["check"]["value"] = value + rng.choice((-1, 1)) * by
        return f"{claim['id']} by {by:g}"

    return _claims(record, change)


def another_word(rng: random.Random, record: Path) -> str:
    def change(claims: list[Any]) -> str:
        claim = rng.choice(_values(claims, str))
        words = ["differs", "equivalent", "inconclusive", "trusted", "Differs: it does."]
        claim["check"]["value"] = rng.choice([word for word in words if word != claim["check"]["value"]])
        return str(claim["id"])

    return _claims(record, change)


def swap_values(rng: random.Random, record: Path) -> str:
    def change(claims: list[Any]) -> str:
        one = rng.choice(_values(claims))
        others = [two for two in _values(claims) if two["check"]["value"] != one["check"]["value"]]
        other = rng.choice(others)
        one["check"]["value"], other["check"]["value"] = other["check"]["value"], one["check"]["value"]
        return f"{one['id']} and {other['id']}"

    return _claims(record, change)


def loosen_a_tolerance(rng: random.Random, record: Path) -> str:
    def change(claims: list[Any]) -> str:
        claim = rng.choice(_values(claims))
        kind = rng.choice(("relative", "absolute"))
        claim["check"]["tolerance"] = {"analysis": {kind: 10 ** rng.uniform(-8.5, 3)}}
        return f"{claim['id']} {claim['check']['tolerance']}"

    return _claims(record, change)


def change_a_pointer(rng: random.Random, record: Path) -> str:
    results = json.loads((record / "results.json").read_text(encoding="utf-8"))
    numbers = dict(_numbers(results, ""))

    def change(claims: list[Any]) -> str:
        claim = rng.choice(_values(claims))
        value = claim["check"]["value"]
        others = [place for place, number in numbers.items() if abs(number - value) > 1e-6 * max(1, abs(value))]
        claim["check"]["pointer"] = rng.choice([*others, "/nowhere", "/arms", "/thresholds/harmless", ""])
        return f"{claim['id']} to {claim['check']['pointer']!r}"

    return _claims(record, change)


def turn_an_expression(rng: random.Random, record: Path) -> str:
    def change(claims: list[Any]) -> str:
        claim = rng.choice(_expressions(claims))
        text = claim["check"]["expression"]
        ways = [f"not ({text})", text.replace(">", "<"), text.replace(">", "=="), f"{text} and 1 > 2", f"{text} >"]
        claim["check"]["expression"] = rng.choice(ways)
        return f"{claim['id']} {claim['check']['expression']}"

    return _claims(record, change)


def empty_an_expression(rng: random.Random, record: Path) -> str:
    def change(claims: list[Any]) -> str:
        claim = rng.choice(_expressions(claims))
        text = claim["check"]["expression"]
        ways = ["1 < 2", "CAS('dpo') >= 0", f"({text}) or CAS('dpo') <= 100", "HmR('dpo') == HmR('dpo')", "True"]
        ways += ["within(CAS('dpo'), 50, 60)", "value('/tradeoff/primary/p') < 2"]
        claim["check"]["expression"] = rng.choice(ways)
        return f"{claim['id']} {claim['check']['expression']}"

    return _claims(record, change)


def add_a_false_claim(rng: random.Random, record: Path) -> str:
    def change(claims: list[Any]) -> str:
        value = rng.uniform(0, 100)
        check = {"pointer": "/arms/dpo/CAS/value", "value": value}
        made = {"kind": "empirical", "id": "added", "statement": "CAS of dpo is another.", "check": check}
        claims.insert(rng.randrange(len(claims)), made)
        return f"{value}"

    return _claims(record, change)


def change_a_result(rng: random.Random, record: Path) -> str:
    results = json.loads((record / "results.json").read_text(encoding="utf-8"))
    place = rng.choice(list(dict(_numbers(results, ""))))

    def change(found: Any) -> None:
        *above, last = [step.replace("~1", "/").replace("~0", "~") for step in place.split("/")[1:]]
        for step in above:
            found = found[int(step)] if isinstance(found, list) else found[step]
        key: Any = int(last) if isinstance(found, list) else last
        found[key] += max(abs(found[key]), 1e-3) * 10 ** rng.uniform(-6, 0)

    edit(record / "results.json", change)
    return place


def change_a_proof(rng: random.Random, record: Path) -> str:
    def change(claims: list[Any]) -> str:
        claim = rng.choice([one for one in claims if one["kind"] == "mathematical"])
        negation = claim["smt"]["negation"]
        ways = [f"(not {negation})", "false", "(< 2 1)", f"{negation} (exit)", "(not (= 1 1))"]
        claim["smt"]["negation"] = rng.choice(ways)
        return f"{claim['id']} {claim['smt']['negation']}"

    return _claims(record, change)


def _numbers(value: Any, place: str) -> Any:
    """Pointers and values of all numbers below `value`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{place}/{escaped(key)}")
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _numbers(inner, f"{place}/{at}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place, value


# --- corrections ----------------------------------------------------------------------------------


def edit_a_correction(rng: random.Random, record: Path) -> str:
    path = record / "corrections.jsonl"
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    event = rng.choice(events)
    key = rng.choice(["public_note", "corrected_at", "event_id"])
    event[key] += "0"
    path.write_text("".join(json.dumps(one, sort_keys=True) + "\n" for one in events), encoding="utf-8")
    return f"{event['event_id']} {key}"


def drop_a_correction(rng: random.Random, record: Path) -> str:
    path = record / "corrections.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    dropped = lines.pop(rng.randrange(len(lines)))
    path.write_text("".join(lines), encoding="utf-8")
    return dropped[:60]


def edit_what_was_superseded(rng: random.Random, record: Path) -> str:
    path = rng.choice(sorted((record / "superseded").iterdir()))
    edit(path, lambda manifest: manifest["work"].update(title="Another past"))
    return path.name


_EITHER: list[Change] = [
    shift_a_claim,
    another_word,
    swap_values,
    loosen_a_tolerance,
    change_a_pointer,
    turn_an_expression,
    empty_an_expression,
    add_a_false_claim,
    change_a_result,
    edit_a_correction,
    drop_a_correction,
    edit_what_was_superseded,
]
_PLAIN: list[Change] = [
    *(flip_a_bit, flip_a_bit, flip_a_bit, flip_a_bit, cut_a_file, swap_files, add_a_file, remove_a_file),
    *(change_a_digest, change_a_proof, *_EITHER),
]
# A changed proof costs a run of both solvers, where the others share what was run: it is drawn less often.
_SEALED: list[Change] = [*_EITHER, *_EITHER, change_a_proof]
