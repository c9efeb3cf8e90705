"""Make the result a folder."""

import os
import sys

os.mkdir(sys.argv[2] + "/results.json")
