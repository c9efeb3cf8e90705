"""Build a record from a run folder or from the files of an outside study."""
