"""Leave numbers that are not finite: a comparison with them could be true or false by accident."""

import sys

with open(sys.argv[2] + "/results.json", "w") as stream:
    stream.write('{"arms": {"dpo": {"HmR": {"value": NaN, "n": Infinity}, "HpR": {"value": 1e999}}}}')
