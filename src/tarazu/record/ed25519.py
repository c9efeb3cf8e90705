"""Ed25519 keys, and what RFC 8032 leaves to readers of signatures: keys of small order, several codes of one value.

For the eight points of small order, some signatures are valid for many messages and need no private key.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tarazu.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_SIGN: Final = 1 << 255
_Y8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL: Final = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})
"""The y coordinates of the points whose order divides 8."""


class BadKey(Exception):
    """The text is not a public key that can be used. The message says why, in one line."""


def load_public_key(pem: str) -> Ed25519PublicKey:
    """The public key in PEM, which must be written as PEM writes it. Raises BadKey, MissingExtra."""
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    try:
        public = load_pem_public_key(pem.encode("ascii"))
    except (ValueError, TypeError, UnsupportedAlgorithm, UnicodeError) as error:
        raise BadKey(f"its key cannot be read: {str(error)[:200]}") from None
    if not isinstance(public, Ed25519PublicKey):
        raise BadKey("its key is not an Ed25519 key")
    if public_pem(public) != pem:
        raise BadKey("its public_key is not written as PEM writes it")
    if not is_safe_point(public.public_bytes(Encoding.Raw, PublicFormat.Raw)):
        raise BadKey("its key is weak: signatures for it can be made without a private key")
    return public


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file without a password. Raises BadInput, MissingExtra."""
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    fix = "make one with: openssl genpkey -algorithm ed25519 -out key.pem"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadInput(f"{path}: not a private key in PEM without a password; {fix}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"{path}: not an Ed25519 key; {fix}")
    return key


def public_pem(public: Ed25519PublicKey) -> str:
    """The public key in PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def key_id(public: Ed25519PublicKey) -> str:
    """`sha256:` and the SHA-256 of the public key (SubjectPublicKeyInfo, DER)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def _need_cryptography() -> None:
    if find_spec("cryptography") is None:
        raise MissingExtra("records", "cryptography")


def is_safe_point(encoded: bytes) -> bool:
    """Whether 32 bytes are the canonical code of a y coordinate that no point of small order has."""
    y = _y(encoded)
    return y < _P and y not in _SMALL


def is_canonical(signature: bytes) -> bool:
    """Whether the two halves of a signature, a point and a number, are each in their only canonical form."""
    return _y(signature[:32]) < _P and int.from_bytes(signature[32:], "little") < _ORDER


def _y(encoded: bytes) -> int:
    return int.from_bytes(encoded, "little") & (_SIGN - 1)
