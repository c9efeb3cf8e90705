"""Attestations: whoever ran the gate on a record signs what it found, and the record carries it."""
