"""Read the host's secrets: password hashes, home directories, the environment, other processes, claimed values."""

import contextlib
import glob
import json
import os
import sys
from pathlib import Path

inputs, out = map(Path, sys.argv[1:])
secret_file = (inputs / "target.txt").read_text().strip()
got = []
places = ["/etc/shadow", "/etc/hostname", "/etc/ssh", "/root/.ssh", "/home", "/var", "/run", "/sys", secret_file]
for place in [*places, "/proc/kcore", "/dev/mem", "/dev/vda", "/dev/sda", "/record/../etc/shadow"]:
    try:
        found = os.listdir(place) if os.path.isdir(place) else Path(place).read_bytes()
        if found:
            got.append(place)
    except OSError:
        pass
text = ""
for place in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    with contextlib.suppress(OSError):
        text += Path(place).read_text(errors="replace")
if "TARAZU_TEST_SECRET" in text or "TARAZU_TEST_SECRET" in os.environ:
    got.append("environment")
got += [name for name in ("claims.json", "results.json", "manifest.json") if (inputs / name).exists()]
(out / "results.json").write_text(json.dumps({"succeeded": got}))
