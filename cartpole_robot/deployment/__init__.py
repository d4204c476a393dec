"""A policy at work on a cart, in real time: the run, what is seen of it, and what is kept when it fails."""
