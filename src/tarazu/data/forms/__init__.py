"""The forms in which others publish conversations and preferences."""
