"""Stability maps: how far a cart may differ from its file before a policy falls."""
