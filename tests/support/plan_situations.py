"""The rest of the changes of a plan: signatures, hiding, responses and results; and the list of all changes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from gate_records import edit, reseal
from plan_forging import Edit, analyse, bound, bytes_of, honest, kept, listed, mark, named, rebind, sign_again, signed
from plan_mutations import CONTRADICTORY, DEPARTING, TEXTS, Base, Outcome, PlanMutation, at

from tarazu.preregistration.reading import PLAN_FILE, SIGNATURE_FILE
from tarazu.record.signing import RECORD

ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""Of Ed25519's group."""
Change = Callable[[Path], None]


# --- the signature beside the plan, with the manifest's digests renewed -------------------------------------


def _signature(change: Edit, record: Path) -> None:
    edit(record / SIGNATURE_FILE, change)
    reseal(record)


def _raw(change: Callable[[bytes], bytes]) -> Change:
    def on(own: Any) -> None:
        own["signature"] = base64.b64encode(change(base64.b64decode(own["signature"]))).decode()

    return partial(_signature, on)


def _signature_bytes(change: Callable[[bytes], bytes], record: Path) -> None:
    path = record / SIGNATURE_FILE
    path.write_bytes(change(path.read_bytes()))
    reseal(record)


def _for_a_record(record: Path) -> None:
    sign_again(record, context=RECORD)
    reseal(record)


def _key_of_another(record: Path) -> None:
    """The other key's name on the author's signature."""
    own = (record / SIGNATURE_FILE).read_bytes()
    sign_again(record)
    other: dict[str, str] = {}
    edit(record / SIGNATURE_FILE, other.update)
    (record / SIGNATURE_FILE).write_bytes(own)
    _signature(lambda mine: mine.update(key_id=other["key_id"], public_key=other["public_key"]), record)


def _link(name: str, record: Path) -> None:
    (record / name).rename(record.parent / name)
    (record / name).symlink_to(record.parent / name)


_SIGNATURES: Final[tuple[tuple[str, Outcome, Change], ...]] = (
    ("zeros", "refused", _raw(lambda raw: bytes(64))),
    ("halves exchanged", "refused", _raw(lambda raw: raw[32:] + raw[:32])),
    (
        "the order added",
        "refused",
        _raw(lambda raw: raw[:32] + (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")),
    ),
    ("of another digest", "refused", partial(_signature, lambda own: own.update(digest="sha256:" + "0" * 64))),
    ("key's id", "refused", partial(_signature, lambda own: own.update(key_id="sha256:" + "0" * 64))),
    ("algorithm none", "refused", partial(_signature, lambda own: own.update(algorithm="none"))),
    ("no key", "refused", partial(_signature, lambda own: own.pop("public_key"))),
    ("a name more", "refused", partial(_signature, lambda own: own.update(name="The registry"))),
    ("made for a record", "refused", _for_a_record),
    ("of another key", "refused", _key_of_another),
    ("a key twice", "refused", partial(_signature_bytes, lambda data: data.replace(b"{", b'{"algorithm": "x",', 1))),
    ("empty", "refused", partial(_signature_bytes, lambda data: b"")),
    ("not JSON", "refused", partial(_signature_bytes, lambda data: b"-----BEGIN SIGNATURE-----")),
    ("deleted", "refused", lambda record: (record / SIGNATURE_FILE).unlink()),
    ("a link", "bad input", partial(_link, SIGNATURE_FILE)),
)


# --- hiding -----------------------------------------------------------------------------------------------------


def _not_an_input(path: str, record: Path) -> None:
    def change(repro: Any) -> None:
        for depth in repro["depths"].values():
            depth["inputs"] = [one for one in depth["inputs"] if one != path]

    edit(record / "repro" / "repro.json", change)
    reseal(record)


def _unlisted(record: Path, *paths: str) -> None:
    def change(manifest: Any) -> None:
        manifest["artifacts"] = [one for one in manifest["artifacts"] if one["path"] not in paths]

    edit(record / "manifest.json", change)


def _dropped(record: Path) -> None:
    """The plan and its signature, wherever the record names them, but for the results."""
    for name in (PLAN_FILE, SIGNATURE_FILE):
        (record / name).unlink()
    _unlisted(record, PLAN_FILE, SIGNATURE_FILE)
    _not_an_input(PLAN_FILE, record)


def _dropped_with_section(record: Path) -> None:
    _dropped(record)
    analyse(record)
    reseal(record)


def _renamed(record: Path) -> None:
    def change(manifest: Any) -> None:
        for one in manifest["artifacts"]:
            one["path"] = one["path"].replace(PLAN_FILE, "plan.json")

    (record / PLAN_FILE).rename(record / "plan.json")
    edit(record / "manifest.json", change)


def _not_in_manifest(record: Path) -> None:
    _unlisted(record, PLAN_FILE)


def _no_section(record: Path) -> None:
    edit(record / "results.json", lambda results: results.pop("preregistration"))
    reseal(record)


# --- responses, scores and settings ------------------------------------------------------------------------


def _then(change: Change, *, honestly: bool) -> Change:
    def apply(record: Path) -> None:
        change(record)
        if honestly:
            analyse(record)
        reseal(record)

    return apply


def _mark(name: str, plan: str | None, record: Path) -> None:
    mark(record / "responses" / name, plan)


def _no_responses(record: Path) -> None:
    (record / "responses" / "dpo.parquet").unlink()
    _unlisted(record, "responses/dpo.parquet")
    _not_an_input("responses/dpo.parquet", record)


def _lock(change: Edit, record: Path) -> None:
    path = record / "study.lock.yaml"
    lock = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(lock)
    path.write_text(yaml.safe_dump(lock, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _scores(change: Callable[[list[Any]], list[Any]], record: Path) -> None:
    path = record / "scores.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema), path)


def _other_prompt(rows: list[Any]) -> list[Any]:
    return [row | {"prompt": f"{row['prompt']} Please."} if row["language"] == "qu" else row for row in rows]


def _fewer_prompts(rows: list[Any]) -> list[Any]:
    first = rows[0]["prompt_id"]
    return [row for row in rows if row["prompt_id"] != first]


_CONDUCT: Final[tuple[tuple[str, Change], ...]] = (
    ("responses without the plan's mark", partial(_mark, "base.parquet", None)),
    ("responses of another plan", partial(_mark, "dpo.parquet", "3" * 64)),
    ("responses left out", _no_responses),
    ("another temperature in the settings", partial(_lock, at("study", "generation", "sampling", "temperature")(0.2))),
    ("other known answers in the settings", partial(_lock, at("inputs", "known_answers", "benign", "es", "n")(9))),
    ("another model in the settings", partial(_lock, at("inputs", "models", "model.path")({"sha256": "4" * 64}))),
    ("no inputs in the settings", partial(_lock, lambda lock: lock.pop("inputs"))),
    ("another prompt", partial(_scores, _other_prompt)),
    ("fewer prompts", partial(_scores, _fewer_prompts)),
)

_COUNTED: Final[dict[str, Outcome]] = {"fewer prompts": "falsified"}
"""The record's claims on the numbers of responses are then wrong."""

# --- results that say otherwise, of a late record --------------------------------------------------------------


def _says(change: Edit, record: Path, *, rebound: bool = False) -> None:
    if rebound:
        rebind(record)
    edit(record / "results.json", lambda results: change(results["preregistration"]))
    reseal(record)


def _confirmatory(section: Any) -> None:
    section |= {"status": "confirmatory", "order": "before_responses", "departures": []}


def _as_planned(record: Path) -> None:
    """The settings have the planned threshold, and the results still those of the other."""
    _lock(at("study", "thresholds", "harmless")(0.0), record)
    _says(_confirmatory, record, rebound=True)


_RESULTS: Final[tuple[tuple[str, Outcome, Change], ...]] = (
    ("all of it", "falsified", partial(_says, _confirmatory)),
    ("status", "falsified", partial(_says, lambda own: own.update(status="confirmatory"))),
    ("order", "falsified", partial(_says, lambda own: own.update(order="before_responses"))),
    ("departures", "falsified", partial(_says, lambda own: own.update(departures=[]))),
    ("what was planned", "falsified", partial(_says, lambda own: own["departures"][0].update(planned=-1.0))),
    ("what was done", "falsified", partial(_says, lambda own: own["departures"][0].update(done=0.0))),
    ("reason", "falsified", partial(_says, lambda own: own.update(reason="1 departure from the plan"))),
    ("date", "falsified", partial(_says, lambda own: own.update(date="2026-01-01"))),
    ("all of it, rebound", "falsified", partial(_says, _confirmatory, rebound=True)),
    ("all of it, rebound, planned settings", "falsified", _as_planned),
    ("order, rebound, honestly", "exploratory", _then(rebind, honestly=True)),
)
_HIDING: Final[tuple[tuple[str, Base, Outcome, Change], ...]] = (
    ("plan dropped, results as they were", "late", "bad input", _then(_dropped, honestly=False)),
    ("plan dropped, results without it", "late", "exploratory", _dropped_with_section),
    ("followed plan dropped, results without it", "confirmatory", "exploratory", _dropped_with_section),
    ("plan not in the manifest", "late", "bad input", _not_in_manifest),
    ("plan under another name", "late", "bad input", _renamed),
    ("plan a link", "late", "bad input", partial(_link, PLAN_FILE)),
    ("plan deleted", "late", "refused", lambda record: (record / PLAN_FILE).unlink()),
    ("results without it", "late", "bad input", _no_section),
    ("plan hidden from the analysis", "late", "bad input", partial(_not_an_input, PLAN_FILE)),
    ("responses hidden from the analysis", "late", "bad input", partial(_not_an_input, "responses/base.parquet")),
    ("settings hidden from the analysis", "late", "bad input", partial(_not_an_input, "study.lock.yaml")),
)
_DATE: Final = at("date")("2026-01-01")
_FAR: Final[tuple[tuple[str, Outcome, Change], ...]] = (
    ("date: alone", "refused", kept(_DATE)),
    ("date: and the manifest", "bad input", listed(_DATE)),
    ("date: and the results", "refused", named(_DATE)),
    ("date: and the signature", "falsified", signed(_DATE)),
    ("date: and the signature, honestly", "exploratory", honest(_DATE, rebound=False)),
    *((f"{name}: alone", "refused", kept(change)) for name, change in DEPARTING[:4]),
    *((f"{name}: and the manifest", "bad input", listed(change)) for name, change in DEPARTING[4:8]),
    *((f"{name}: and the results", "refused", named(change)) for name, change in DEPARTING[8:12]),
    *((f"{name}: and the signature", "falsified", signed(change)) for name, change in DEPARTING[12:16]),
    *((f"{name}: honestly", "exploratory", honest(change, rebound=True)) for name, change in DEPARTING[::3]),
)


def _all() -> tuple[PlanMutation, ...]:
    follows: Base = "confirmatory"
    return (
        *(PlanMutation(name, follows, outcome, change) for name, outcome, change in _FAR),
        *(PlanMutation(f"{name}: everything", follows, "falsified", bound(change)) for name, change in DEPARTING),
        *(PlanMutation(f"{name}: contradictory", follows, "refused", bound(change)) for name, change in CONTRADICTORY),
        *(PlanMutation(f"text: {name}", follows, "refused", bytes_of(change)) for name, change in TEXTS),
        *(PlanMutation(f"signature: {name}", follows, outcome, change) for name, outcome, change in _SIGNATURES),
        *(PlanMutation(f"hidden: {name}", base, outcome, change) for name, base, outcome, change in _HIDING),
        *(PlanMutation(name, follows, "falsified", _then(change, honestly=False)) for name, change in _CONDUCT),
        *(
            PlanMutation(f"{name}, honestly", follows, _COUNTED.get(name, "exploratory"), _then(change, honestly=True))
            for name, change in _CONDUCT
        ),
        *(PlanMutation(f"results say: {name}", "late", outcome, change) for name, outcome, change in _RESULTS),
    )


PLAN_MUTATIONS: Final = _all()
