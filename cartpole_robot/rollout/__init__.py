"""Episodes: one loop, and what evaluates, judges and records them."""
