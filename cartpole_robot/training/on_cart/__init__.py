"""A policy that goes on learning on a cart: episodes there, updates between them."""
