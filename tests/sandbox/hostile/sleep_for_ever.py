"""Never end, and use no processor time, so that a limit on it has no effect."""

import time

while True:
    time.sleep(3600)
