"""Side by side with what a user would pick instead, on the machine at hand. Each contender runs in its own process."""
