"""Several runs of one study, with different models, pooled into one answer."""
