"""The rigs: one module each, and `open_rig`, which opens any of them by name."""
