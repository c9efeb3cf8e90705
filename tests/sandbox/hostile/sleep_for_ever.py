"""Never end, and use no processor time that a limit could see."""

import time

while True:
    time.sleep(3600)
