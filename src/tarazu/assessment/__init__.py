"""What can be said of a record from its public files alone: levels, dimensions, review, tier, monitor. Triage, not peer
review."""
