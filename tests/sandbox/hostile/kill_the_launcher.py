"""Kill every process that can be signalled, the launcher among them."""

import os
import signal

os.kill(os.getppid(), signal.SIGKILL)
os.kill(-1, signal.SIGKILL)
