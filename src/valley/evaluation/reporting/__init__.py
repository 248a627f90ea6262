"""A page about runs: their scores side by side, what they are worth, what made them, and sample answers."""
