"""Make empty files without end: each takes memory of the kernel, and no byte of the disk."""

import os
import sys

folder = sys.argv[2] + "/files"
os.mkdir(folder)
os.chdir(folder)
number = 0
while True:
    os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY))
    if number % 2:
        os.symlink("nowhere", f"link-{number}")
    number += 1
