"""Assess a record from its public files alone: levels, dimensions, review, tier, monitor. This is triage, not peer
review."""
