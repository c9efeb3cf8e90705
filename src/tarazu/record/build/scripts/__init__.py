"""Scripts that a build copies into a record: each makes results.json again from one depth."""
