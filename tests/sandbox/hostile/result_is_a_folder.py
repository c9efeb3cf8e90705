"""Create a folder in place of the result."""

import os
import sys

os.mkdir(sys.argv[2] + "/results.json")
