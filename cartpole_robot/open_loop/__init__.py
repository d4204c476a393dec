"""Recorded commands run through a model of the cart: what comparing and identifying share."""
