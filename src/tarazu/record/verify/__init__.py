"""The gate: whether a record is as its makers left it, and what it claims comes out again when it is run."""
