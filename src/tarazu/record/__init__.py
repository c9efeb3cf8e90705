"""Records: citable and checkable copies of a run. docs/records.md defines their contract."""
