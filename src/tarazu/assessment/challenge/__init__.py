"""Reviewers tested on records with planted faults. Nothing of it enters the gate, the review score or the tier."""
