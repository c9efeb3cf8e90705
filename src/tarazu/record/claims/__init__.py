"""Check claims one by one: the value or evidence that each claim refers to, and the finding."""
