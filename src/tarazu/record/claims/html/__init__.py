"""The text of HTML documents that a reader sees."""
