"""What responses are like, whatever a reward model says of them: empty, looping, in which language, refusing."""
