"""A study carried out: stages that are done when their fingerprint matches."""
