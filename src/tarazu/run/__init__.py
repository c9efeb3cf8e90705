"""A study from its settings to its report: the graph of its stages, what runs them, and how they resume."""
