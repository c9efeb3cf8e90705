"""Records with made-up gate outputs, for the tests of assessments and sites."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import record_data
from gate_records import renew_id
from shared_folder import shared_folder

from tarazu.files import file_sha256, to_json
from tarazu.record.build.assemble import AuthorInput, build_from_run
from tarazu.record.corrections import correct
from tarazu.record.reading import Record, read_record
from tarazu.run.analyze import AnalysisOptions, analyze_file

CLAIMS = """\
claims:
  - {kind: empirical, id: more-helpful, statement: DPO is more helpful than base., check: {expression: "HpR('dpo') > HpR('base')"}}
  - {kind: source_grounded, id: scale-a, statement: The scale is fair., source: a.md, quote: The scale is a fair one}
  - {kind: source_grounded, id: scale-b, statement: the scale is  FAIR., source: b.md, quote: We found the scale to be fair}
  - {kind: source_grounded, id: alone, statement: The pans are brass., source: a.md, quote: Its pans are made of brass}
"""  # noqa: E501

EVIL = "<script>window.hacked=1</script><img src=x onerror=window.hacked=2>\"'\u202e"


def analyzed(folder: Path) -> Path:
    """A folder that `tarazu analyze --out` wrote for a small table of scores."""
    scores = record_data.FILES / "scores.csv"
    analyze_file(scores, AnalysisOptions(overrides=["analysis.draws=100"]), out=folder / "run")
    return folder / "run"


@functools.cache
def built_once() -> Path:
    """A record that is built once per process. A test that changes it takes a copy."""
    folder = shared_folder("site")
    return build(analyzed(folder), folder / "record").path


def build(run: Path, out: Path, **stated: Any) -> Record:
    """A record with drafted claims, the package's theorems, and four claims by its authors."""
    folder = out.parent / f"{out.name}-given"
    folder.mkdir(parents=True)
    (folder / "claims.yaml").write_text(CLAIMS, encoding="utf-8")
    (folder / "a.md").write_text("# Scale\n\nThe scale is a fair one. Its pans are made of brass.\n", encoding="utf-8")
    (folder / "b.md").write_text("# Findings\n\nWe found the scale to be fair.\n", encoding="utf-8")
    statements = {"title": "A study of a scale", "question": None, "abstract": None, **stated}
    citation = record_data.CITATION.__class__(
        submitted=record_data.CITATION.submitted,
        authors=statements.pop("authors", record_data.CITATION.authors),
        license="CC-BY-4.0",
        **statements,
    )
    return build_from_run(
        run,
        out,
        AuthorInput(claims=folder / "claims.yaml", sources=[folder / "a.md", folder / "b.md"], citation=citation),
    )


def put_gate(
    record: Record, status: str = "VERIFIED", *, script: str = "package", checker: str = "z3", **verdicts: str
) -> Record:
    """Write a gate.json as the gate would: every claim is verified, except for `verdicts` by id (with _ for -).

    `script` says whose script ran, and `checker` what checked every claim.
    """
    changed = {name.replace("_", "-"): verdict for name, verdict in verdicts.items()}
    gate = {
        "contract": "gate-verdict-v1",
        "status": status,
        "label": status.capitalize(),
        "definition": "Made up for a test.",
        "reason": "made up for a test",
        "evaluated_at": "2026-11-24T10:00:00Z",
        "gate": "Gate 2 - Verification (formal proof or sandbox reproduction)",
        "enforcement": "none",
        "manifest": record.digest,
        "signed_by": None,
        "intact": True,
        "depth": "analysis",
        "scripts": {"analysis": script},
        "same_text": [],
        "claims": [
            {
                "id": claim.id,
                "kind": claim.kind,
                "verdict": changed.get(claim.id, "verified"),
                "reason": "made up for a test",
                "by": [checker],
            }
            for claim in record.claims.claims
        ],
        "tools": {"tarazu": "0.1.0"},
    }
    (record.path / "gate.json").write_text(json.dumps(gate), encoding="utf-8")
    return read_record(record.path)


def reseal(folder: Path, **changes: Any) -> Record:
    """Change keys of the work in a record's manifest, and update the sizes and digests of its files."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["work"] |= changes.pop("work", {})
    manifest |= changes
    for artifact in manifest["artifacts"]:
        path = folder / artifact["path"]
        artifact |= {"size": path.stat().st_size, "sha256": file_sha256(path)}
    renew_id(folder, manifest)
    (folder / "manifest.json").write_text(to_json(manifest), encoding="utf-8")
    return read_record(folder)


def three_records(folder: Path) -> Path:
    """A folder with a verified record, a corrected record, and a hostile record."""
    run = analyzed(folder)
    made = build(run, folder / "given" / "good")
    (folder / "records").mkdir()
    for name in ("good", "evil", "corrected"):
        shutil.copytree(made.path, folder / "records" / name)
    put_gate(read_record(folder / "records" / "good"))
    corrected = folder / "records" / "corrected"
    with (corrected / "sources" / "a.md").open("a", encoding="utf-8") as document:
        document.write("It has two pans.\n")
    reseal(corrected)
    correct(corrected, kind="CLAIM", note="The scale was not level.", fields=["claims"])
    make_evil(folder / "records" / "evil")
    return folder / "records"


def srch_id(records: Path, name: str) -> str:
    """The SRCH id of one of the three records."""
    return read_record(records / name).manifest.work.srch_id


def make_evil(folder: Path) -> None:
    """Put a script into every text of a record."""
    claims = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
    for claim in claims["claims"]:
        claim["statement"] = EVIL
        if claim["kind"] == "source_grounded":
            claim |= {"quote": EVIL, "section": EVIL}
        elif "expression" in claim.get("check", {}):
            claim["check"]["expression"] = EVIL
    (folder / "claims.json").write_text(json.dumps(claims), encoding="utf-8")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    results["arms"][EVIL] = results["arms"].pop("sft")
    results["sentence"] = EVIL
    results["study"] |= {"name": EVIL, "caution": EVIL, "title": EVIL}
    results["tradeoff"]["primary"] |= {"arm": EVIL, "reason": EVIL}
    (folder / "results.json").write_text(to_json(results), encoding="utf-8")
    (folder / "sources" / "a.md").write_text(EVIL, encoding="utf-8")
    (folder / "repro" / "analysis.py").write_text(f"'''{EVIL}'''", encoding="utf-8")
    (folder / "report.html").write_text(EVIL, encoding="utf-8")
    work = {
        "title": EVIL,
        "abstract": EVIL,
        "research_question": EVIL,
        "authors": [EVIL, "javascript:alert(1), x"],
        "license": EVIL,
    }
    links = ["javascript:window.hacked=3", "data:text/html,<script>1</script>", 'https://x.example/"onclick="1']
    record = reseal(folder, work=work, links=links, limitations=[EVIL])
    put_gate(record, "UNVERIFIED", hmr_dpo="not_run")
    gate = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    gate |= {"reason": EVIL, "definition": EVIL, "tools": {EVIL: EVIL}}
    (folder / "gate.json").write_text(json.dumps(gate), encoding="utf-8")
