"""The cost of alignment: lm-evaluation-harness's tasks, run on a trained checkpoint (extra `capability`)."""
