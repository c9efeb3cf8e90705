"""`tarazu label`: people rate a random sample of a run's responses, blind to the arm."""
