"""Training: configuration and presets, the DQN learner, its callbacks, and the run folder."""
