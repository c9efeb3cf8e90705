"""Describe a record for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tarazu.errors import BadInput, one_line
from tarazu.files import Json
from tarazu.readers import read_json
from tarazu.record.manifest import ATTESTATIONS
from tarazu.record.model import DEPTHS
from tarazu.record.reading import Record
from tarazu.record.schemas import check_schema

_GATE = "gate.json"


def record_facts(record: Record) -> Mapping[str, Json]:
    """Title, ids, claims, depths and, if the gate has run, its verdict, as JSON."""
    work = record.manifest.work
    return {
        "work": work.model_dump(mode="json"),
        "digest": record.digest,
        "artifacts": {"count": len(record.manifest.artifacts), "bytes": sum(record.files.values())},
        "depths": [depth for depth in DEPTHS if depth in record.repro.depths],
        "claims": [
            {"id": claim.id, "kind": claim.kind, "origin": claim.origin, "statement": claim.statement}
            for claim in record.claims.claims
        ],
        "limitations": list(record.manifest.limitations),
        "corrections": record.manifest.corrections.count,
        "attestations": [*_attestations(record)],
        "gate": _gate(record),
    }


def record_text(record: Record) -> str:
    """The same facts as lines of text."""
    manifest, claims, gate = record.manifest, record.claims.claims, _gate(record)
    work = manifest.work
    kinds = Counter(claim.kind.replace("_", "-") for claim in claims)
    depths = [depth for depth in DEPTHS if depth in record.repro.depths]
    lines = [
        work.title,
        f"SRCH {work.srch_id}   id {work.id}   submitted {work.submitted}",
        f"by {'; '.join(work.authors) or 'authors not named'}   licence {work.license or 'not stated'}",
        f"manifest {record.digest}",
        "",
        f"Question: {work.research_question}",
        f"Abstract: {work.abstract}",
        "",
        f"{len(claims)} claims ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}):",
        *(f"  {claim.id}: {claim.statement}" for claim in claims),
        "",
        f"{len(manifest.artifacts)} files, {sum(record.files.values()) / 1e6:.1f} MB; can be run again from: "
        f"{', '.join(depths)}",
        f"Corrections: {manifest.corrections.count or 'none'}",
        f"Attestations: {len(_attestations(record)) or 'none'} (tarazu record verify checks them)",
        "Limitations:" if manifest.limitations else "Limitations: none are listed",
        *(f"  {line}" for line in manifest.limitations),
        f"Gate: {gate['status']}: {gate['reason']}" if gate else "Gate: has not run (tarazu record verify)",
    ]
    return "\n".join(_printed(line) for line in lines) + "\n"


def _attestations(record: Record) -> list[str]:
    return sorted(path for path in record.files if path.startswith(f"{ATTESTATIONS}/"))


def _printed(line: str) -> str:
    """A line, with its indent. A record may come from a stranger, so its text must not act on the terminal."""
    return line[: len(line) - len(line.lstrip(" "))] + one_line(line)


def _gate(record: Record) -> dict[str, str] | None:
    """The gate's verdict according to gate.json, which is outside the root of trust."""
    if _GATE not in record.files:
        return None
    verdict = read_json(record.path / _GATE)
    if not isinstance(verdict, dict):
        raise BadInput(f"{record.path / _GATE}: not an object; run `tarazu record verify` again")
    check_schema(verdict, "gate-verdict-v1", str(record.path / _GATE))
    return {key: verdict[key] for key in ("status", "label", "reason", "evaluated_at")}
