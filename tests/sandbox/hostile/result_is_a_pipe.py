"""Make the result a named pipe that nobody writes to, so that a reader waits."""

import os
import sys

os.mkfifo(sys.argv[2] + "/results.json")
