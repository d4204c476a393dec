"""Policies on carts other than the one they were made for: how far a cart may be from its file before they fall."""
