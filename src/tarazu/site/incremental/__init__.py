"""Building a site again: what an earlier build made, what changed since, and how a site is brought up to date."""
