"""People and judges: which responses people labelled, how far they agree with each other and with the judges."""
