"""Continued learning on a real cart: episodes on the cart, updates between them."""
