"""Replace the output folder with a link."""

import os
import sys
from pathlib import Path

inputs, out = map(Path, sys.argv[1:])
os.rmdir(out)
out.symlink_to("/proc/self")
