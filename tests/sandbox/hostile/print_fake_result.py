"""Print what a good result looks like, and write none."""

print('{"exit": 0, "problem": ""}')
print('{"schema": "tarazu/results/v1", "arms": {}}')
