"""Learning controllers for a cart-pole, in simulation and on metal. Importing this package loads nothing heavy."""

__version__ = "0.1.0"
