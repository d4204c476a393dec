"""The rigs: one module each, and the door to all of them."""
