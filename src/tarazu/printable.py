"""Untrusted text, made safe to print: on a terminal, in a page, in a feed."""

from __future__ import annotations

import re

# Joiners (U+200C, U+200D) stay: Persian and the Indic scripts are spelt with them. U+FFFE and U+FFFF, and the last two
# of every other plane, are no characters, and XML does not allow the first two.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff\ufff0-\ufffb"
    "\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)


def visible(text: str) -> str:
    """`text` with control, bidirectional and invisible characters replaced by their names, so that none acts."""
    return _UNSAFE.sub(lambda match: f"[U+{ord(match.group()):04X}]", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`text` as one line that cannot move a terminal's cursor or hide what follows."""
    return visible(" ".join(text.split()))
