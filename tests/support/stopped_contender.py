"""A contender that does not get to its end: python -m stopped_contender HOW WORK OUT."""

import os
import signal
import sys

if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "memory":
    raise MemoryError
raise ValueError("a fault of the program")
