"""Time a site of many records, which are copies of one real record with changed words, numbers and seals.

python scripts/measure_site.py RECORD [--records 10000] [--searches 1000]

The site is built, built again after nothing and after one record changed, and searched over its API.
"""

from __future__ import annotations

import argparse
import copy
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tarazu.files import file_sha256, to_json
from tarazu.record.identity import work_id
from tarazu.record.manifest import MANIFEST, json_digest
from tarazu.record.model import Artifact, Claims

_TOPICS = ("Refusals", "Helpful answers", "Reward models", "Preference pairs", "Trade-offs", "Low-resource languages")
_WAYS = ("after DPO", "under SFT", "from parallel prompts", "with few seeds", "by script and family", "at scale")
_CHANGED = (MANIFEST, "results.json", "claims.json", "gate.json")
_PLACES = ("in the Andes", "along the Niger", "in the Sahel", "across Java", "in Bengal", "in Anatolia", "worldwide")


def many_records(source: Path, folder: Path, count: int, seed: int = 0) -> None:
    """Write `count` records below `folder`, each a changed copy of the record `source` with a valid manifest.

    Each has an id, a title, a date and rates of its own; its claims of rates follow. A gate.json of the source is kept,
    about the new manifest.
    """
    draw = random.Random(seed)
    manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
    results = json.loads((source / "results.json").read_text(encoding="utf-8"))
    claims = json.loads((source / "claims.json").read_text(encoding="utf-8"))
    for number in range(count):
        target = folder / f"record-{number:05d}"
        # Files that stay as they are take no room of their own.
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_CHANGED), copy_function=os.link)
        own_results, own_claims = copy.deepcopy(results), copy.deepcopy(claims)
        _shift(own_results, own_claims, draw.gauss(0, 0.5))
        (target / "results.json").write_text(to_json(own_results), encoding="utf-8")
        (target / "claims.json").write_text(to_json(own_claims), encoding="utf-8")
        title = f"{draw.choice(_TOPICS)} {draw.choice(_WAYS)} {draw.choice(_PLACES)}, study {number}"
        day = f"2025-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
        for artifact in manifest["artifacts"]:
            if artifact["path"] in ("results.json", "claims.json"):
                path = target / artifact["path"]
                artifact |= {"size": path.stat().st_size, "sha256": file_sha256(path)}
        files = [Artifact.model_validate(artifact) for artifact in manifest["artifacts"]]
        given = work_id(files, Claims.model_validate(own_claims).claims)
        manifest["work"] |= {"id": given, "srch_id": given[:8].upper(), "title": title, "submitted": day}
        (target / MANIFEST).write_text(to_json(manifest), encoding="utf-8")
        if (source / "gate.json").is_file():
            gate = json.loads((source / "gate.json").read_text(encoding="utf-8"))
            gate["manifest"] = json_digest(manifest)
            (target / "gate.json").write_text(to_json(gate), encoding="utf-8")


def _shift(results: dict[str, Any], claims: dict[str, Any], by: float) -> None:
    """Move every arm's rates, with their intervals, and the claims that point at them."""
    for arm, entry in results["arms"].items():
        for rate in ("HmR", "HpR", "CAS"):
            for key in ("value", "ci_low", "ci_high"):
                if entry[rate][key] is not None:
                    entry[rate][key] = min(100.0, max(0.0, entry[rate][key] + by))
            for claim in claims["claims"]:
                if claim.get("check", {}).get("pointer") == f"/arms/{arm}/{rate}/value":
                    claim["check"]["value"] = entry[rate]["value"]


def serve(site: Path, protocol: type[Any] | None = None) -> tuple[Any, threading.Thread, int]:
    """A server of the site in a thread of this process, its thread, and its port. `protocol` bounds its connections."""
    import uvicorn

    from tarazu.site.serve import server_settings

    server = uvicorn.Server(server_settings(site, host="127.0.0.1", port=0, protocol=protocol))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return server, thread, port


def time_searches(port: int, count: int, seed: int = 0) -> list[float]:
    """Milliseconds of `count` searches over one connection: words, beginnings of words, filters."""
    draw = random.Random(seed)
    words = " ".join((*_TOPICS, *_WAYS, *_PLACES, "study interval percent harmless")).lower().replace(",", "").split()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    taken = []
    for _ in range(count):
        asked = " ".join(draw.choice(words)[: draw.randint(2, 12)] for _ in range(draw.randint(1, 3)))
        more = draw.choice(["", "&language=sw", "&verdict=inconclusive", "&limit=100"])
        start = time.perf_counter()
        connection.request("GET", f"/api/search?q={quote(asked)}{more}")
        answer = connection.getresponse()
        body = answer.read()
        taken.append(1000 * (time.perf_counter() - start))
        if answer.status != 200 or "records" not in json.loads(body):
            raise RuntimeError(f"{asked}: {answer.status}: {body[:200]!r}")
    connection.close()
    return taken


@dataclass(frozen=True)
class Measured:
    """What a build printed, its seconds, and the peak memory in MiB of the largest of its processes."""

    said: str
    seconds: float
    mib: float


def time_build(records: Path, site: Path) -> Measured:
    """Build a site in a process of its own."""
    command = [sys.executable, "-m", "tarazu", "site", "build", str(records), "--out", str(site)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the build ended with {process.returncode}")
    return Measured(said.partition(":")[0], time.perf_counter() - start, usage.ru_maxrss / 1024)


def retitle(record: Path) -> None:
    """Change a record's title in its manifest, and the manifest's digest in its gate.json."""
    manifest = json.loads((record / MANIFEST).read_text(encoding="utf-8"))
    manifest["work"]["title"] += ", corrected"
    (record / MANIFEST).write_text(to_json(manifest), encoding="utf-8")
    if (record / "gate.json").is_file():
        gate = json.loads((record / "gate.json").read_text(encoding="utf-8"))
        gate["manifest"] = json_digest(manifest)
        (record / "gate.json").write_text(to_json(gate), encoding="utf-8")


def measure(source: Path, folder: Path, records: int, searches: int) -> dict[str, Measured]:
    """Build a site of many records in `folder`, and search it. Prints every figure."""
    many_records(source, folder / "records", records)
    builds = {}
    for name in ("first", "unchanged", "one record changed"):
        if name == "one record changed":
            retitle(folder / "records" / "record-00007")
        builds[name] = one = time_build(folder / "records", folder / "site")
        print(f"{name}: {one.said}: {one.seconds:.1f} s, {one.mib:.0f} MiB; load {os.getloadavg()[0]:.1f}", flush=True)
    server, thread, port = serve(folder / "site")
    taken = sorted(time_searches(port, searches))
    server.should_exit = True
    thread.join()
    print(
        f"{len(taken)} searches: median {statistics.median(taken):.1f} ms, 99 % below "
        f"{taken[int(0.99 * (len(taken) - 1))]:.1f} ms, slowest {taken[-1]:.1f} ms; load {os.getloadavg()[0]:.1f}"
    )
    return builds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measure(arguments.record, Path(name), arguments.records, arguments.searches)


if __name__ == "__main__":
    main()
