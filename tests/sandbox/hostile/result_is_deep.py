"""Leave a result nested so deep that a recursive reader falls over."""

import sys

with open(sys.argv[2] + "/results.json", "w") as stream:
    stream.write('{"arms":' + "[" * 200_000 + "]" * 200_000 + "}")
