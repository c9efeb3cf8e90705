"""Print something that looks like a good result, and write no file."""

print('{"exit": 0, "problem": ""}')
print('{"schema": "tarazu/results/v2", "arms": {}}')
