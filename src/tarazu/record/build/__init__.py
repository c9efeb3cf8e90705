"""From a run folder, or the files of an outside study, to a record."""
