"""Give a key twice, so that two readers may see different values."""

import sys

with open(sys.argv[2] + "/results.json", "w") as stream:
    stream.write('{"arms": {}, "arms": {"dpo": {"HmR": {"value": 50}}}}')
