"""People: what they labelled, their agreement with each other and with judges, effects by their labels."""
