"""Reads the metadata of a GGUF file, the format of llama.cpp's models: magic, version, counts, then keys and values.

llama.cpp's own reader loads a compiled library and logs to the terminal. A file must be refused where llama.cpp is not
installed, too.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from tarazu.errors import BadInput

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_VERSIONS = (2, 3)

Value = int | float | str


class _Reader:
    """Reads values one after another. Raises struct.error at the end of the file."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.place = data, 0

    def number(self, form: str) -> int | float:
        value: int | float = struct.unpack_from("<" + form, self.data, self.place)[0]
        self.place += struct.calcsize("<" + form)
        return value

    def text(self) -> str:
        length = int(self.number("Q"))
        self.skip(length)
        return self.data[self.place - length : self.place].decode("utf-8", errors="replace")

    def skip(self, length: int) -> None:
        self.place += length
        if self.place > len(self.data):
            raise struct.error("the file ends before")

    def value(self, kind: int) -> Value:
        """A value of this kind. Of an array, its length."""
        if kind == _TEXT:
            return self.text()
        if kind != _ARRAY:
            return self.number(_NUMBERS[kind])
        each, length = int(self.number("I")), int(self.number("Q"))
        if each in _NUMBERS:
            self.skip(length * struct.calcsize("<" + _NUMBERS[each]))
        else:
            for _ in range(length):
                self.value(each)
        return length


def read_metadata(path: Path) -> dict[str, Value]:
    """The metadata of a GGUF file by key; of an array, its length. Raises BadInput."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = _Reader(data)
            if data[:4] != b"GGUF":
                raise BadInput(f"{path}: is not a GGUF file")
            reader.place = 4
            version = reader.number("I")
            if version not in _VERSIONS:
                raise BadInput(
                    f"{path}: has version {version} of GGUF; {' and '.join(map(str, _VERSIONS))} can be read"
                )
            reader.number("Q")  # the number of tensors
            count = int(reader.number("Q"))
            return {reader.text(): reader.value(int(reader.number("I"))) for _ in range(count)}
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None
    except (struct.error, KeyError, ValueError, RecursionError):
        raise BadInput(f"{path}: is not a complete GGUF file") from None
