"""Leave a result that is nested too deeply for a recursive reader."""

import sys

with open(sys.argv[2] + "/results.json", "w") as stream:
    stream.write('{"arms":' + "[" * 200_000 + "]" * 200_000 + "}")
