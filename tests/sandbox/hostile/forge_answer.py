"""Write to the launcher's own channel, which is open in the parent process of the same user."""

import os

for number in range(3, 64):
    for path in (f"/proc/{os.getppid()}/fd/{number}", f"/proc/self/fd/{number}"):
        try:
            with open(path, "wb") as stream:
                stream.write(b"[" * 200_000)
        except OSError:
            pass
