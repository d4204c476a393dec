"""The DQN learner: collecting, the update in C, epsilon, optimizers, scaled observations."""
