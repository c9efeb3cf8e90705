"""Scripts that a build copies into a record. Each computes results.json again from one depth."""
