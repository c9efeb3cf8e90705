"""A static web site of records, and a server with a query API for it."""
