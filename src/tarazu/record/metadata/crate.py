"""ro-crate-metadata.json: the record as an RO-Crate 1.2 (JSON-LD), and as a Process Run Crate 0.5 of its re-runs.

The tests check it with the RO-Crate validator, for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import tarazu
from tarazu.files import Json
from tarazu.record.manifest import MANIFEST, Work
from tarazu.record.model import Artifact, Depth, Repro, Rerun

CRATE: Final = "ro-crate-metadata.json"
_SPECIFICATION = "https://w3id.org/ro/crate/1.2"
_PROCESS_RUN = "https://w3id.org/ro/wfrun/process/0.5"
_PYTHON = "https://www.python.org/"
_SPDX = "https://spdx.org/licenses/"
NO_LICENSE: Final = "No licence is stated; all rights remain with the authors."

_DESCRIPTIONS: Final = {
    "study": "The study's settings, versions and hardware",
    "scores": "Scores table",
    "known_answers": "Rewards of known good and known bad answers",
    "data": "Data that were read, kept and dropped",
    "results": "All numbers of the study, and the answer in words",
    "report": "Report for readers",
    "responses": "Responses of the arms",
    "claims": "Claims, and how each of them is checked",
    "repro": "How to compute results.json again",
    "proof": "Proof of a mathematical claim",
    "plan": "Plan that was preregistered, or its signature",
    "source": "Document that claims quote",
    "provenance": "Where the record comes from",
    "metadata": "Citation or deposit metadata",
}

_READ = ("study", "scores", "known_answers", "plan")
"""Roles of the files that a record is built from."""


def crate(work: Work, artifacts: Sequence[Artifact], repro: Repro, versions: Mapping[str, str]) -> Mapping[str, Json]:
    """The crate's JSON-LD: the root, every artifact, manifest.json, the authors, the licence, and as actions the build
    and, for each depth, what gave results.json and gives it again.

    This file and manifest.json are described without size and digest: this file cannot contain its own digest, and
    manifest.json contains this file's. `versions` are those of the environment, including Python's.
    """
    files = [artifact for artifact in artifacts if artifact.path != CRATE]
    people = [
        {"@id": f"#author-{number}", "@type": "Person", "name": name} for number, name in enumerate(work.authors, 1)
    ]
    program = {
        "@id": "#tarazu",
        "@type": "SoftwareApplication",
        "name": "Tarazu",
        "url": "urn:tarazu:software",
        "version": tarazu.__version__,
        "softwareVersion": tarazu.__version__,
    }
    language = {
        "@id": _PYTHON,
        "@type": "ComputerLanguage",
        "name": "Python",
        "url": _PYTHON,
        "version": versions["python"],
    }
    identifiers = [
        {
            "@id": f"urn:uuid:{work.id}",
            "@type": "PropertyValue",
            "name": "UUID",
            "propertyID": "UUID",
            "value": work.id,
        },
        {"@id": "#srch", "@type": "PropertyValue", "name": "SRCH id", "propertyID": "SRCH", "value": work.srch_id},
    ]
    root: dict[str, Json] = {
        "@id": "./",
        "@type": "Dataset",
        "name": work.title,
        "description": work.abstract,
        "datePublished": work.submitted,
        "identifier": [{"@id": identifier["@id"]} for identifier in identifiers],
        "license": {"@id": _SPDX + work.license} if work.license else {"@id": "#license"},
        "hasPart": [{"@id": _uri(path)} for path in [MANIFEST, *(file.path for file in files)]],
        "conformsTo": {"@id": _PROCESS_RUN},
        "mentions": [{"@id": "#build"}, *({"@id": _run_id(depth)} for depth in repro.depths)],
    }
    if people:
        named = [{"@id": person["@id"]} for person in people]
        root["author"] = root["publisher"] = named if len(named) > 1 else named[0]
    license = {
        "@id": _SPDX + work.license if work.license else "#license",
        "@type": "CreativeWork",
        "name": work.license or "No licence",
        "description": f"SPDX licence {work.license}" if work.license else NO_LICENSE,
    }
    build: Mapping[str, Json] = {
        "@id": "#build",
        "@type": "CreateAction",
        "name": "Build of the record",
        "description": "Tarazu wrote the claims, how to compute them again, and where they come from.",
        "instrument": {"@id": "#tarazu"},
        "object": [{"@id": _uri(file.path)} for file in files if file.role in _READ],
        "result": [{"@id": _uri(file.path)} for file in files if file.role in ("claims", "repro", "provenance")],
    }
    profile: Mapping[str, Json] = {
        "@id": _PROCESS_RUN,
        "@type": ["CreativeWork", "Profile"],
        "name": "Process Run Crate",
        "version": "0.5",
    }
    runs = [_run(depth, rerun, root.get("author")) for depth, rerun in repro.depths.items()]
    descriptor: Mapping[str, Json] = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": _SPECIFICATION},
    }
    manifest = {
        "@id": MANIFEST,
        "@type": "File",
        "name": MANIFEST,
        "description": "The root of trust: every file with its digest",
        "encodingFormat": "application/json",
    }
    graph: list[Mapping[str, Json]] = [descriptor, root, manifest, *map(_file, files)]
    graph += [*identifiers, license, program, language, profile, build, *runs, *people]
    return {
        "@context": f"{_SPECIFICATION}/context",
        "@graph": graph,
    }


def _run_id(depth: Depth) -> str:
    return f"#run-from-{depth}"


def _run(depth: Depth, rerun: Rerun, agent: Json) -> Mapping[str, Json]:
    """The computation of results.json from a depth, as the script does it again."""
    inputs: list[Json] = [{"@id": _uri(path)} for path in rerun.inputs]
    return {
        "@id": _run_id(depth),
        "@type": "CreateAction",
        "name": f"results.json from depth {depth}",
        "description": f"The study's computation of results.json, from its {depth}. `python {rerun.script} INPUTS OUT` "
        "repeats it, and `tarazu record verify` compares what it gives.",
        "instrument": {"@id": _uri(rerun.script)},
        "object": inputs[0] if len(inputs) == 1 else inputs,
        "result": {"@id": "results.json"},
        **({"agent": agent} if agent is not None else {}),
    }


def _file(artifact: Artifact) -> Mapping[str, Json]:
    script = artifact.path.endswith(".py")
    return {
        "@id": _uri(artifact.path),
        "@type": ["File", "SoftwareSourceCode"] if script else "File",
        **({"programmingLanguage": {"@id": _PYTHON}} if script else {}),
        "name": artifact.path,
        "description": _DESCRIPTIONS[artifact.role],
        "encodingFormat": artifact.media_type,
        "contentSize": str(artifact.size),
        "sha256": artifact.sha256,
    }


def _uri(path: str) -> str:
    """A path as a relative URI."""
    from urllib.parse import quote

    return quote(path, safe="/@+-._~")
