"""Point the result at a file of the host."""

import sys
from pathlib import Path

(Path(sys.argv[2]) / "results.json").symlink_to("/etc/passwd")
