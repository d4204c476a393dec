"""Recorded commands run through a model of the cart, for comparison and identification."""
