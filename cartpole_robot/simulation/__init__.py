"""The simulated cart-pole: the rigid body in PyBullet and what surrounds it."""
