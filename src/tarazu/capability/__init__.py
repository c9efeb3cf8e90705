"""What alignment cost: lm-evaluation-harness's tasks, done by a checkpoint of ours (extra `capability`)."""
