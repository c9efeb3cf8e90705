"""The gate: checks that a record is unchanged, runs it again, and compares the results with its claims."""
