"""What RFC 8032 leaves to those who check Ed25519 signatures: keys of small order, and several codes for one value.

For the eight points of small order, some signatures are valid for many messages and need no private key.
"""

from __future__ import annotations

from typing import Final

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_SIGN: Final = 1 << 255
_Y8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL: Final = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})
"""The y coordinates of the points whose order divides 8."""


def is_safe_point(encoded: bytes) -> bool:
    """Whether 32 bytes are the canonical code of a y coordinate that no point of small order has."""
    y = _y(encoded)
    return y < _P and y not in _SMALL


def is_canonical(signature: bytes) -> bool:
    """Whether the two halves of a signature, a point and a number, are each in their only canonical form."""
    return _y(signature[:32]) < _P and int.from_bytes(signature[32:], "little") < _ORDER


def _y(encoded: bytes) -> int:
    return int.from_bytes(encoded, "little") & (_SIGN - 1)
