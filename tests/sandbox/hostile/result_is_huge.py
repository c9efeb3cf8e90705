"""Leave a result of more bytes than are read back, most of them a hole."""

import sys

with open(sys.argv[2] + "/results.json", "wb") as stream:
    stream.truncate(65 << 20)
