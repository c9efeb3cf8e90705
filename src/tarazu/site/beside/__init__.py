"""Files beside a record's page in a site: its badge, and its data for the comparison with another."""
