"""How a conversation becomes tokens: for training, generation and scoring alike. Needs the `models` extra."""
