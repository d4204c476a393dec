"""Studies: one training field or two varied, many seeds, a figure at the end."""
