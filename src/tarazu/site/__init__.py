"""A static site from a folder of records, and a read-only server over it."""
