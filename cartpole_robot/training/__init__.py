"""Training: configuration and presets, the DQN learner, what watches it, and the run folder."""
