"""Leave a sparse result file that is larger than the limit for reading it back."""

import sys

with open(sys.argv[2] + "/results.json", "wb") as stream:
    stream.truncate(65 << 20)
