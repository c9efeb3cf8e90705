"""Runs a program that a stranger wrote, sealed off from the machine. It knows nothing of records."""
