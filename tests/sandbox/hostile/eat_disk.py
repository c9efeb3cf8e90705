"""Fill the disk: first with one endless file, then with many files."""

import json
import os
import signal
import sys
from pathlib import Path

out = Path(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
chunk, written = b"x" * (1 << 20), 0
for folder in ("/tmp", "/dev/shm", str(out)):
    for number in range(100):
        try:
            with open(f"{folder}/{number}", "wb") as stream:
                while True:
                    written += stream.write(chunk)
        except OSError:
            pass
for number in range(100):
    for folder in ("/tmp", "/dev/shm", str(out)):
        os.unlink(f"{folder}/{number}")
(out / "results.json").write_text(json.dumps({"written_mib": written >> 20}))
