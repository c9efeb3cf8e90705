"""`tarazu record build` and `tarazu record import`: build a record from a run folder or from an outside study."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tarazu.errors import BadInput
from tarazu.files import atomic_directory, file_sha256, refuse_occupied, to_json
from tarazu.pool.model import Pool
from tarazu.pool.recorded import PAGE as POOL_PAGE
from tarazu.pool.recorded import POOL, check_same, other_runs, run_folder, why_not
from tarazu.preregistration.reading import PLAN_FILE
from tarazu.readers import read_json, validation_message
from tarazu.record.build.authored import ResolvedClaims, read_claims, resolve_claims
from tarazu.record.build.drafting import draft_claims, draft_pool_claims
from tarazu.record.build.evidence import Evidence, data_json, read_evidence
from tarazu.record.build.imported import OutsideStudy, imported_evidence, names_of, unknown_of_imported
from tarazu.record.build.look_up import READING
from tarazu.record.build.published import Published, read_published
from tarazu.record.build.reruns import plan_reruns, script_path, script_text
from tarazu.record.claims.documents import media_type as document_type
from tarazu.record.claims.shipped import Proof, shipped_proofs
from tarazu.record.extra import require_records_extra
from tarazu.record.manifest import MANIFEST, Environment, Manifest, Pointer, Work
from tarazu.record.metadata.citation import (
    DATACITE,
    CitationInfo,
    check_citation,
    citation_cff,
    datacite,
    work_of,
    zenodo,
)
from tarazu.record.metadata.crate import CRATE, crate
from tarazu.record.metadata.croissant import CROISSANT, croissant, has_prompts
from tarazu.record.metadata.provenance import provenance
from tarazu.record.model import (
    CLAIMS_SCHEMA,
    DEPTHS,
    MOST_CLAIMS,
    Artifact,
    Claim,
    Claims,
    Depth,
    RecordModel,
    Role,
    is_portable,
)
from tarazu.record.reading import CLAIMS, REPRO, Record, check_artifacts, read_record
from tarazu.record.schemas import check_schema
from tarazu.run.analyze import analyze_scores
from tarazu.sandbox.limits import Limits
from tarazu.scores import read_scores

_LONGEST_NAME = 150
_LONGEST_TITLE = 500
_OUTPUTS = (
    "verification-levels-v1",
    "quality-dimensions-v1",
    "quality-tiers-v1",
    "review-monitor-v1",
)
_MEDIA_TYPES = {
    ".cff": "application/yaml",
    ".html": "text/html",
    ".json": "application/json",
    ".lean": "text/x-lean",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".smt2": "text/x-smtlib2",
    ".yaml": "application/yaml",
}


_READ: frozenset[Role] = frozenset({"study", "scores", "known_answers", "results", "plan"})
"""Roles of what the analysis of another pooled run reads, and of its results."""


@dataclass(frozen=True, kw_only=True)
class AuthorInput:
    """What the authors add to a record: a claims file, the documents that it quotes, and the citation."""

    citation: CitationInfo
    claims: Path | None = None
    sources: Sequence[Path] = ()
    limits: Limits = READING
    """Those of reading the documents."""


@dataclass(frozen=True, kw_only=True)
class _PooledRuns:
    """A folder that `tarazu pool` wrote, its pool, and the evidence of each run after the first."""

    folder: Path
    pool: Pool
    others: tuple[Evidence, ...]


def build_from_run(run: Path, out: Path, author: AuthorInput) -> Record:
    """Build a record from a folder that `tarazu run` or `tarazu analyze --out` wrote.

    The record contains claims drafted from results.json, the package's proofs, and the author's claims. `out` is
    written atomically. Raises BadInput, MissingExtra."""
    require_records_extra()
    refuse_occupied(out)
    evidence = read_evidence(run)
    drafted = draft_claims(evidence.results, read_scores(run / "scores.parquet"))
    return _build(evidence, out, drafted, shipped_proofs(), author)


def build_from_pool(pooled: Path, runs: Sequence[Path], out: Path, author: AuthorInput) -> Record:
    """Build a record of several runs and of their pool, a folder that `tarazu pool --out` wrote.

    `runs` are the pooled folders, in the pool's order. The record is that of the first run, with claims drafted from
    its results and from the pool; the gate analyses each run from its scores. Raises BadInput, MissingExtra.
    """
    require_records_extra()
    refuse_occupied(out)
    file = pooled / POOL
    if not file.is_file():
        raise BadInput(f"{pooled}: has no {POOL}; --run is for a folder that `tarazu pool --out` wrote")
    try:
        pool = Pool.model_validate(read_json(file))
    except ValidationError as error:
        raise BadInput(f"{file}: {validation_message(error)}; pool the runs again with this version") from None
    if reason := why_not(pool):
        raise BadInput(f"{file}: {reason}")
    if not runs:
        raise BadInput(f"{file}: is the pool of several runs; name each of them with --run")
    first, *others = [read_evidence(run) for run in runs]
    check_same(pool, [first.results, *(one.results for one in others)], str(file))
    for one in others:
        if one.lock["versions"] != first.lock["versions"]:
            raise BadInput(
                f"{one.run}: was computed with other packages than {first.run}; analyze all runs with one version"
            )
    drafted = [*draft_claims(first.results, read_scores(first.run / "scores.parquet")), *draft_pool_claims(pool)]
    citation = replace(author.citation, abstract=author.citation.abstract or pool.sentence)
    runs_beside = _PooledRuns(folder=pooled, pool=pool, others=tuple(others))
    return _build(first, out, drafted, shipped_proofs(), replace(author, citation=citation), runs_beside)


def build_from_scores(outside: OutsideStudy, out: Path, author: AuthorInput) -> Record:
    """Build a record of a published evaluation from its files, its claims (YAML) and the documents that they quote.

    The record contains only the study's own claims, so that the gate's verdict is about them. Without any, it contains
    those that follow from its scores. Raises BadInput, MissingExtra.
    """
    require_records_extra()
    refuse_occupied(out)
    if outside.published_by is not None and not 0 < len(outside.published_by.strip()) <= _LONGEST_TITLE:
        raise BadInput(f"--published-by: must have 1 to {_LONGEST_TITLE} characters; omit it or give a name")
    # Report errors in these files before the analysis.
    documents = _documents(author.sources)
    headings = dict.fromkeys(documents, "")
    if author.claims is not None:
        headings = resolve_claims(author.claims, read_claims(author.claims), documents, author.limits).headings
    elif documents:
        raise BadInput(
            f"{author.sources[0]}: documents are quoted by claims; give these with --claims, or omit --source"
        )
    published = read_published(outside.files, outside.analysis)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        analyze_scores(published.scores, outside.analysis, out=run, known=outside.known_answers)
        evidence = imported_evidence(read_evidence(run), outside, published)
        citation = _outside_citation(author.citation, evidence, published, headings)
        drafted = draft_claims(evidence.results, read_scores(run / "scores.parquet")) if author.claims is None else []
        return _build(evidence, out, drafted, [], replace(author, citation=citation))


def _outside_citation(
    citation: CitationInfo, evidence: Evidence, published: Published, headings: dict[str, str]
) -> CitationInfo:
    """The citation of a published evaluation: its own title, and an abstract that separates its claims from our
    results. `headings` are the documents' first headings by name."""
    files = names_of([file.path.name for file in published.files])
    answer = evidence.results.sentence
    if headings:
        first = next(iter(headings))
        title = headings[first] or first
        abstract = f"The claims of {', '.join(headings)}, checked against {files}. According to these scores: {answer}"
    else:
        title = f"A published evaluation: {files}"
        abstract = f"The scores in {files}, analysed again. According to these scores: {answer}"
    return replace(citation, title=citation.title or title[:_LONGEST_TITLE], abstract=citation.abstract or abstract)


def _build(
    evidence: Evidence,
    out: Path,
    drafted: Sequence[Claim],
    proofs: Sequence[Proof],
    author: AuthorInput,
    pooled: _PooledRuns | None = None,
) -> Record:
    claims, citation = author.claims, author.citation
    check_citation(citation)
    documents = _documents(author.sources)
    authored = (
        resolve_claims(claims, read_claims(claims), documents, author.limits)
        if claims
        else ResolvedClaims(claims=(), proofs={}, headings={})
    )
    all_claims = _all_claims(claims, [*drafted, *(proof.claim for proof in proofs)], authored)
    repro, reasons = plan_reruns(evidence, {*evidence.files, *(["data.json"] if data_json(evidence) else [])})
    if pooled is not None:
        reason = "the other pooled runs are in the record from their scores on"
        repro = repro.model_copy(update={"depths": {"analysis": repro.depths["analysis"]}})
        reasons = {"responses": reason, "training": reason}
    with atomic_directory(out) as folder:
        record = Writer(folder)
        for path, (source, role) in evidence.files.items():
            record.copy(path, source, role)
        data = data_json(evidence)
        if data is not None:
            record.text("data.json", data, "data")
        if pooled is not None:
            _copy_pooled(record, pooled)
        for depth in repro.depths:
            record.text(script_path(depth), script_text(depth), "repro")
        for proof in proofs:
            for path, text in proof.texts.items():
                if path not in record.artifacts:
                    record.text(path, text, "proof")
        for path, source in authored.proofs.items():
            if path in record.artifacts:
                raise BadInput(f"{source}: the package already ships a proof called {source.name}; rename yours")
            record.copy(path, source, "proof")
        for name, source in documents.items():
            record.copy(f"sources/{name}", source, "source", document_type(source))
        record.model(CLAIMS, all_claims, "claims", "claims-v1")
        record.model(REPRO, repro, "repro", "repro-v1")
        with _naming_invalid(out):
            work = work_of(citation, evidence.results, record.listed(), all_claims.claims)
        record.text("CITATION.cff", citation_cff(work), "metadata")
        record.text("zenodo.json", to_json(zenodo(work)), "metadata")
        record.text(DATACITE, to_json(datacite(work, citation.links)), "metadata")
        if has_prompts(record.listed()):
            record.text(CROISSANT, to_json(croissant(work, record.listed())), "metadata")
        models = [model.name for model in evidence.models]
        origin = provenance(work, record.listed(), all_claims, repro, models=models, given=evidence.given)
        record.model("provenance.json", origin, "provenance", "source-provenance-v1")
        record.text(CRATE, to_json(crate(work, record.listed(), repro, evidence.lock["versions"])), "metadata")
        with _naming_invalid(out):
            manifest = _manifest(evidence, work, record.listed(), citation, reasons)
        write_model(folder / MANIFEST, manifest, "paper-manifest-v1.1")
        (folder / "corrections.jsonl").touch()
        built = read_record(folder)
        for defect in check_artifacts(built):
            raise BadInput(f"{defect.path}: {defect.message}; it changed while the record was being built; build again")
    return read_record(out)


def _copy_pooled(record: Writer, pooled: _PooledRuns) -> None:
    """The pool, and of each run after the first what the analysis reads, with its results."""
    record.copy(POOL, pooled.folder / POOL, "results")
    record.copy(POOL_PAGE, pooled.folder / POOL_PAGE, "report")
    for position, evidence in zip(other_runs(pooled.pool), pooled.others, strict=True):
        folder = run_folder(position)
        for path, (source, role) in evidence.files.items():
            # The plan is compared with the responses.
            if role in _READ or (role == "responses" and PLAN_FILE in evidence.files):
                record.copy(f"{folder}/{path}", source, role)
        data = data_json(evidence)
        if data is not None:
            record.text(f"{folder}/data.json", data, "data")


@contextmanager
def _naming_invalid(out: Path) -> Iterator[None]:
    """Name what the manifest may not hold, such as a caution of a study that is too long."""
    try:
        yield
    except ValidationError as error:
        raise BadInput(f"{out / MANIFEST}: {validation_message(error)}; change it in the study and run again") from None


def _manifest(
    evidence: Evidence, work: Work, artifacts: Sequence[Artifact], citation: CitationInfo, reasons: dict[Depth, str]
) -> Manifest:
    return Manifest(
        work=work,
        artifacts=tuple(artifacts),
        environment=Environment(
            versions=evidence.lock["versions"], hardware=evidence.lock["hardware"], models=evidence.models
        ),
        quality_assessment=Pointer(
            path="assessment.json",
            contracts=_OUTPUTS,
            note="Computed by `tarazu record verify` from the record's public fields. Triage, not peer review. This "
            "is an output, outside the root of trust.",
        ),
        provenance=Pointer(path="provenance.json", contracts=("source-provenance-v1", "PROV-JSON")),
        limitations=tuple(_limitations(evidence, citation, reasons)),
        links=citation.links,
    )


def _limitations(evidence: Evidence, citation: CitationInfo, reasons: dict[Depth, str]) -> Iterator[str]:
    results = evidence.results
    if results.study.caution:
        yield results.study.caution
    yield from unknown_of_imported(evidence)
    ruler = results.ruler
    if ruler.status != "comparable":
        yield f"Reward models: {ruler.status.replace('_', ' ')}" + (f": {ruler.reason}" if ruler.reason else ".")
    if results.primary.reason:
        yield f"Primary estimate: {results.primary.reason}"
    study = evidence.study
    if study is not None and study.seeds == 1 and any(arm.method != "none" for arm in study.arms.values()):
        yield "Each arm was trained once, so the effect of another training seed is unknown."
    for depth in DEPTHS:
        if depth in reasons:
            yield f"Cannot be run again from depth {depth}: {reasons[depth]}."
    if evidence.models:
        yield "Model weights are referenced by hash and are not in the record."
    if not citation.authors:
        yield "The authors are not named."
    if citation.license is None:
        yield "No licence is stated."


def _all_claims(file: Path | None, own: Sequence[Claim], authored: ResolvedClaims) -> Claims:
    taken = {claim.id for claim in own}
    if len(own) + len(authored.claims) > MOST_CLAIMS:
        where = file or "the results"
        raise BadInput(
            f"{where}: a record has at most {MOST_CLAIMS} claims, and the build drafts {len(own)}; claim less"
        )
    for claim in authored.claims:
        if claim.id in taken:
            raise BadInput(f"{file}: the build drafts a claim with the id '{claim.id}'; choose another")
    return Claims(schema=CLAIMS_SCHEMA, claims=(*own, *authored.claims))


def _documents(sources: Sequence[Path]) -> dict[str, Path]:
    """Documents by name. Raises BadInput if one is not a file, has an unknown format, or has the same name as
    another."""
    documents: dict[str, Path] = {}
    for path in sources:
        document_type(path)
        if not path.is_file():
            raise BadInput(f"{path}: no such file; check the path")
        if path.name.casefold() in {name.casefold() for name in documents}:
            raise BadInput(f"{path}: two documents are called {path.name}, upper and lower case aside; rename one")
        if not is_portable(path.name) or len(path.name.encode()) > _LONGEST_NAME:
            raise BadInput(
                f"{str(path)!r}: a document's name must be one that every system can write, of at most {_LONGEST_NAME} "
                'bytes (no : * ? " < > | \\); rename it'
            )
        documents[path.name] = path
    return documents


# --- writing the files ---------------------------------------------------------------------------


class Writer:
    """Write files into `folder` and collect the manifest's entry for each of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.artifacts: dict[str, Artifact] = {}

    def listed(self) -> list[Artifact]:
        """The files written so far, sorted by path."""
        return [self.artifacts[path] for path in sorted(self.artifacts)]

    def copy(self, path: str, source: Path, role: Role, media_type: str | None = None) -> None:
        target = self._target(path)
        shutil.copyfile(source, target)
        self._add(path, role, media_type)

    def text(self, path: str, text: str, role: Role) -> None:
        self._target(path).write_text(text, encoding="utf-8", newline="\n")
        self._add(path, role)

    def model(self, path: str, value: RecordModel, role: Role, schema: str) -> None:
        write_model(self._target(path), value, schema)
        self._add(path, role)

    def _target(self, path: str) -> Path:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _add(self, path: str, role: Role, media_type: str | None = None) -> None:
        target = self._folder / path
        self.artifacts[path] = Artifact(
            path=path,
            role=role,
            media_type=media_type or _MEDIA_TYPES.get(target.suffix, "application/octet-stream"),
            size=target.stat().st_size,
            sha256=file_sha256(target),
        )


def write_model(path: Path, value: RecordModel, schema: str) -> None:
    """Write a model as JSON, after it was checked against its published schema."""
    dumped: Any = value.model_dump(mode="json", by_alias=True)
    check_schema(dumped, schema, path.name)
    path.write_text(to_json(dumped), encoding="utf-8", newline="\n")
