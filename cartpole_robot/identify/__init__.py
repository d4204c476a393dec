"""Identification of a simulated cart from recordings of a real one."""
