"""Properties of responses that do not depend on a reward model: empty, looping, language, refusal."""
