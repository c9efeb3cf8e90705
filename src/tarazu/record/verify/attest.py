"""`tarazu record attest`: run the gate on a record, and sign what it found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tarazu.errors import BadInput
from tarazu.files import write_text
from tarazu.record.attestation.collected import MOST
from tarazu.record.attestation.envelope import name_of, sign, text_of
from tarazu.record.attestation.keyless import bundle_name, need_sigstore, sign_keyless
from tarazu.record.attestation.statement import statement_of
from tarazu.record.ceilings import Ceilings
from tarazu.record.contracts import GateReport
from tarazu.record.ed25519 import load_private_key, public_pem
from tarazu.record.manifest import ATTESTATIONS, Environment
from tarazu.record.model import Depth
from tarazu.record.reading import read_record
from tarazu.record.verify.gate import verify
from tarazu.run.lock import hardware, versions


def attest(
    path: Path,
    key: Path | None,
    *,
    depth: Depth = "analysis",
    ceilings: Ceilings | None = None,
    on_step: Callable[[str], None] = lambda line: None,
) -> tuple[GateReport, Path]:
    """Take a record through the gate and add a signed statement of its verdict to it: of any verdict.

    Without a key, Sigstore certifies the signer's identity. Returns the gate's report and the new file. Raises BadInput
    if the key or the record cannot be used, or if nothing was run because a file, a signature or another attestation is
    not in order; MissingExtra; and TarazuError where Sigstore does not sign.
    """
    if key is None:
        need_sigstore()
    public = None if key is None else public_pem(load_private_key(key).public_key())
    files = read_record(path, size_mib=(ceilings or Ceilings()).size_mib).files
    if sum(file.startswith(f"{ATTESTATIONS}/") for file in files) >= MOST:
        raise BadInput(f"{path / ATTESTATIONS}: has {MOST} attestations, which is the most; remove one")
    report = verify(path, depth=depth, ceilings=ceilings, on_step=on_step)
    if not report.intact:
        raise BadInput(f"{path}: not attested, because nothing was run: {report.defects[0]}; repair the record first")
    environment = Environment(versions=versions(), hardware=hardware())
    statement = statement_of(report, public, environment)
    if key is None:
        name, text = bundle_name(statement), sign_keyless(statement)
    else:
        signed = sign(statement, key)
        name, text = name_of(signed), text_of(signed)
    file = path / ATTESTATIONS / name
    file.parent.mkdir(exist_ok=True)
    write_text(file, text)
    return report, file
