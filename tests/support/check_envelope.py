"""Read an attestation as other programs do, in the checkers' environment.

python check_envelope.py ENVELOPE MANIFEST PUBLIC

Prints, as JSON, who accepts what. MANIFEST holds the manifest's canonical bytes, and PUBLIC the key that signed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf.json_format import ParseDict
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement as InTotoStatement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from sigstore import dsse
from sigstore.hashes import Hashed
from sigstore_models.common.v1 import HashAlgorithm


def main(envelope: Path, manifest: Path, public: Path) -> dict[str, object]:
    text = envelope.read_text(encoding="utf-8")
    document = json.loads(text)
    key = load_pem_public_key(public.read_bytes())
    keyid = document["signatures"][0]["keyid"]
    accepted: dict[str, object] = {}

    try:
        keys = Envelope.from_dict(json.loads(text)).verify([SSlibKey.from_crypto(key, keyid=keyid)], 1)
        accepted["securesystemslib"] = list(keys) == [keyid]
    except VerificationError:
        accepted["securesystemslib"] = False

    payload = base64.b64decode(document["payload"])
    message = ParseDict(json.loads(payload), statement_pb2.Statement())
    InTotoStatement.copy_from_pb(message).validate()
    accepted["in-toto"] = message.predicate_type

    # Sigstore checks signatures with the keys of its certificates; its envelope, statement and encoding are these.
    parsed = dsse.Envelope._from_json(text)
    statement = dsse.Statement(parsed._inner.payload)
    digest = hashlib.sha256(manifest.read_bytes()).digest()
    accepted["sigstore: subject"] = statement._matches_digest(Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest))
    try:
        key.verify(parsed.signature, statement._pae())
        accepted["sigstore: signature"] = True
    except InvalidSignature:
        accepted["sigstore: signature"] = False
    return accepted


if __name__ == "__main__":
    print(json.dumps(main(*map(Path, sys.argv[1:]))))
