"""Create a link to a file of the host in place of the result."""

import sys
from pathlib import Path

(Path(sys.argv[2]) / "results.json").symlink_to("/etc/passwd")
