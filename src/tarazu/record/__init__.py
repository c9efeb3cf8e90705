"""Records: a run made citable and checkable (docs/records.md has the contract)."""
