"""What passes through a model at a time in training: documents, their layout in a row, and the schedule of rows."""
